"""What is traced computes what the function computes, and what cannot be traced says why."""

import numpy as np
import pytest

from coursekit import graph
from coursekit.graph import Graph, Node, Spec, trace
from coursekit.kernels import cpu
from coursekit.kernels.ops import OPS

rng = np.random.default_rng(0)


def arrays(*shapes, dtype="float64"):
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def check(function, *given, rtol=1e-12):
    """The graph gives what NumPy gives, in shape and dtype too."""
    traced = trace(function, *given)
    got, wanted = traced(*given), function(*given)
    for g, w in zip(*((v if isinstance(v, tuple) else (v,)) for v in (got, wanted)), strict=True):
        w = np.asarray(w)
        assert (g.shape, g.dtype) == (w.shape, w.dtype)
        np.testing.assert_allclose(g, w, rtol=rtol, atol=rtol)
    return traced


@pytest.mark.parametrize("name", OPS)
def test_every_operation_of_the_contract_is_the_kernel(name):
    op = OPS[name]
    case = op.cases_for("test")[1]
    given = op.draw(np.random.default_rng(1), case.sizes, **case.options)
    traced = trace(lambda *x: getattr(graph, name)(*x, **case.options), *given)
    wanted = getattr(cpu, name)(*given, **case.options)
    got = traced(*given)
    pairs = zip(got, wanted, strict=True) if isinstance(wanted, tuple) else [(got, wanted)]
    for g, w in pairs:
        np.testing.assert_array_equal(g, w)
    node = traced.nodes[len(given)]
    assert node.operation == name
    assert node.cost == op.cost(op.sizes(case.sizes, op.settings(case.options)), **case.options)


OPERATORS = {
    "+": lambda x, y: x + y + 1,
    "-": lambda x, y: 2 - x - y,
    "*": lambda x, y: 3 * x * y,
    "/": lambda x, y: 1 / (x / y),
    "**": lambda x, y: abs(x) ** y,
    "@": lambda x, y: x @ y.T,
    "unary -": lambda x, y: -x,
    "numpy": lambda x, y: np.exp(np.tanh(x)) + np.sqrt(np.absolute(y)) - np.log(np.maximum(x, y) ** 2),
    "array on the left": lambda x, y: np.ones((3, 4)) * x + np.arange(4.0) @ np.ones((4, 4)) - y,
    "array @": lambda x, y: np.ones((2, 3)) @ x,
    "slices": lambda x, y: x[1:, ::2] * y[0, -2:],
    "slices of one": lambda x, y: x[1:2] * y[:, 3:],
    "ellipsis": lambda x, y: x[..., 1] + y[-1, 2],
    "iteration": lambda x, y: sum(row * row for row in x),
    "methods": lambda x, y: x.reshape(4, -1).transpose().sum(axis=(0,), keepdims=True) + y.mean() + y.max(axis=1).sum(),
    "a constant": lambda x, y: (x, np.float64(3.0)),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_are_those_of_numpy(name):
    check(OPERATORS[name], *arrays((3, 4), (3, 4)))


@pytest.mark.parametrize(
    "shapes", [((3, 4), (4,)), ((3, 1), (1, 4)), ((), (2, 3)), ((2, 1, 3), (5, 1)), ((0, 3), (3,))]
)
def test_shapes_broadcast(shapes):
    check(lambda x, y: x * y + x, *arrays(*shapes))


@pytest.mark.parametrize(
    "shapes", [((2, 3, 4), (2, 4, 5)), ((2, 3, 4), (4, 5)), ((3, 4), (2, 4, 5)), ((2, 1, 3, 4), (5, 4, 2))]
)
def test_stacks_of_matrices(shapes):
    check(lambda x, y: x @ y, *arrays(*shapes))


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (1, 2), ()])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions(axis, keepdims):
    how = {"axis": axis, "keepdims": keepdims}
    check(lambda x: (x.sum(**how), x.mean(**how), x.max(**how)), *arrays((3, 4, 5)))


def test_numbers_take_the_dtype_of_the_tensor():
    assert (
        trace(lambda x: 2 * x + np.float64(1), *arrays((2,), dtype="float32")).outputs[0].dtype == "float32"
    )


def test_functions_of_arrays_give_values():
    x = arrays((2, 3), dtype="float32")[0]
    np.testing.assert_array_equal(graph.softmax(x, axis=0), cpu.softmax(x, axis=0))
    assert graph.mean(x) == pytest.approx(x.mean(), rel=1e-5)
    assert isinstance(graph.relu(x), np.ndarray)


def test_inputs_bear_the_names_of_parameters():
    traced = trace(lambda image, *weights: image * weights[0] * weights[1], *arrays((2,), (2,), (2,)))
    assert [node.name for node in traced.inputs] == ["image", "x1", "x2"]


def test_specs_will_do():
    traced = trace(lambda x: x @ x.T, Spec((3, 4), "float32"))
    assert traced.outputs[0].shape == (3, 3)


def test_a_graph_tells_its_cost():
    traced = trace(lambda x, w: graph.relu(x @ w), Spec((8, 16), "float32"), Spec((16, 4), "float32"))
    assert traced.cost.flops == 2 * 8 * 16 * 4 + 8 * 4
    assert traced.kernels == 2
    assert "relu" in repr(traced) and "float32 (8, 4)" in repr(traced)


def test_what_is_read_twice_is_counted_once():
    square = trace(lambda x: x * x, Spec((8,), "float32"))
    product = trace(lambda x, y: x * y, Spec((8,), "float32"), Spec((8,), "float32"))
    assert square.cost.bytes == 2 * 32
    assert product.cost.bytes == 3 * 32


def test_taking_one_of_several_results_costs_nothing():
    row = Spec((4,), "float32")
    found = trace(
        lambda x, r, w, b: graph.add_layer_norm(x, r, w, b)[1], *[Spec((2, 4), "float32")] * 2, row, row
    )
    whole, *items = [node for node in found.nodes if node.computes]
    assert len(items) == 2 and {node.operation for node in items} == {"item"}
    assert found.cost == whole.cost


def test_nothing_can_be_changed():
    traced = trace(lambda x: x + np.ones(2), *arrays((2,)))
    with pytest.raises(AttributeError):
        traced.nodes[0].name = "y"
    with pytest.raises(ValueError, match="read-only"):
        next(n for n in traced.nodes if n.operation == "constant").value[0] = 5


def test_nodes_stand_after_what_they_read():
    x = Node("input", (), (Spec((2,), "float32"),), name="x")
    y = Node("exp", (x,), x.results)
    with pytest.raises(ValueError, match="stands before what it reads"):
        Graph((y, x), (y,))
    with pytest.raises(ValueError, match="not among the nodes"):
        Graph((x,), (y,))


X, M = Spec((3, 4), "float32"), Spec((5, 6), "float32")
MISUSE = {
    "if": (lambda x: x if x.sum() else -x, TypeError, "no if and no while"),
    "while": (lambda x: [0 for _ in iter(lambda: bool(x), False)], TypeError, "no if and no while"),
    "<": (lambda x: x < 0, TypeError, r"graph.greater\(x, y\)"),
    "==": (lambda x: x == x, TypeError, "cannot be compared"),
    "np.less": (lambda x: np.less(x, 0), TypeError, "cannot be compared"),
    "float": (lambda x: float(x), TypeError, "has no value while tracing"),
    "np.asarray": (lambda x: np.asarray(x), TypeError, "has no value"),
    "np.sin": (lambda x: np.sin(x), TypeError, "knows no np.sin"),
    "shapes": (lambda x: x + np.ones((3, 5), "float32"), ValueError, r"add: shapes must broadcast .* got \(3, 4\) and"),
    "dtypes": (lambda x: x * np.ones(4), TypeError, "multiply: arrays must be float32 like the first; got float64"),
    "integers": (lambda x: x * np.arange(4), TypeError, "must be float32 or float64; got int64"),
    "matmul": (lambda x: x @ x, ValueError, r"matmul: b must have shape \(K, N\) with K = 4 to match a"),
    "matmul of a vector": (lambda x: x @ np.ones(4, "float32"), ValueError, "two dimensions or more"),
    "conv2d": (lambda x: graph.conv2d(x, x), ValueError, "conv2d: x must have 4 dimensions"),
    "option": (lambda x: graph.softmax(x, dim=1), TypeError, "softmax: there is no option 'dim'; wanted axis"),
    "value of an option": (lambda x: graph.softmax(x, axis=2), ValueError, "softmax: axis must be from -2 to 1"),
    "too few": (lambda x: graph.layer_norm(x), TypeError, "wanted 3 to 3 arrays; got 1"),
    "reshape": (lambda x: x.reshape(5, -1), ValueError, "reshape: shape must have 12 elements"),
    "transpose": (lambda x: x.transpose(0, 0), ValueError, "transpose: axes must name each dimension"),
    "broadcast_to": (lambda x: graph.broadcast_to(x, (4, 4)), ValueError, "broadcast_to: shape"),
    "axis": (lambda x: x.sum(axis=2), ValueError, "sum: axis must name dimensions of x"),
    "axis twice": (lambda x: x.sum(axis=(0, -2)), ValueError, "each once"),
    "index": (lambda x: x[3], IndexError, "out of range"),
    "array as index": (lambda x: x[np.array([0])], TypeError, "see embedding"),
    "step": (lambda x: x[::-1], TypeError, "positive step"),
    "too many indices": (lambda x: x[0, 0, 0], IndexError, "no 3 dimensions"),
    "a list": (lambda x: x * [1], TypeError, "got list"),
    "result": (lambda x: "x", TypeError, "got str"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISUSE)
def test_misuse_says_what_was_wanted(name):
    function, error, words = MISUSE[name]
    with pytest.raises(error, match=words):
        trace(function, X)


def test_tensors_of_two_traces_do_not_mix():
    kept = []
    trace(lambda x: kept.append(x) or x, X)
    with pytest.raises(ValueError, match="another trace"):
        trace(lambda x: x + kept[0], X)


def test_wrong_arrays_are_refused():
    traced = trace(lambda x, y: x + y, X, X)
    x = np.zeros((3, 4), np.float32)
    for given, error, words in [
        ((x,), ValueError, r"wanted 2 arrays \(x, y\); got 1"),
        ((x, x.T), ValueError, r"y must have shape \(3, 4\), for which it was traced; got \(4, 3\)"),
        ((x, x.astype("float64")), TypeError, "y must be float32; got float64"),
        ((x, [1.0]), TypeError, "y must be a NumPy array; got list"),
    ]:
        with pytest.raises(error, match=words):
            traced(*given)
    with pytest.raises(TypeError, match="wanted NumPy arrays as examples; got list"):
        trace(lambda x: x, [1.0])
