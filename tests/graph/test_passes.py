"""Every pass leaves the values as they are, and does what it is for."""

import numpy as np
import pytest
from hypothesis import given, settings

from coursekit import graph
from coursekit.graph import (
    Spec,
    cheap,
    common_subexpressions,
    dead_code,
    fold_constants,
    fuse,
    gradient,
    optimise,
    plan,
    recompute,
    simplify,
    trace,
)
from coursekit.graph import fused as generated
from tests.graph.random_graphs import inputs_of, loss_of, steps, traced

PASSES = {
    "dead_code": dead_code,
    "common_subexpressions": common_subexpressions,
    "fold_constants": fold_constants,
    "simplify": simplify,
    "simplify loosely": lambda g: simplify(g, exact=False),
    "recompute": recompute,
    "recompute what is cheap": lambda g: recompute(g, cheap),
    "recompute everything": lambda g: recompute(g, lambda node: True),
    "fuse": fuse,
    "optimise": optimise,
    "optimise loosely": lambda g: optimise(g, exact=False),
    "all": lambda g: recompute(optimise(g)),
    "all, again": lambda g: recompute(optimise(recompute(optimise(g)))),
}


@pytest.fixture
def interpreted(monkeypatch):
    """Generated sources of float64 run as Python, since each would take a third of a second to compile."""
    names = generated._words()

    def kernel(body):
        exec(body.source, names)
        return names[body.source[4 : body.source.index("(")]]

    monkeypatch.setattr(generated, "kernel", kernel)


def assert_same(got, wanted, rtol=1e-11, atol=1e-12):
    assert len(got) == len(wanted)
    for g, w in zip(got, wanted, strict=True):
        assert (g.shape, g.dtype) == (w.shape, w.dtype)
        np.testing.assert_allclose(g, w, rtol, atol)


@pytest.mark.parametrize("name", PASSES)
def test_random_graphs_agree(name, interpreted):
    @settings(deadline=None, max_examples=25, database=None)
    @given(program=steps())
    def check(program):
        inputs = inputs_of(program)
        before = traced(program, inputs)
        after = PASSES[name](before)
        assert_same(after(*inputs), before(*inputs))
        slopes = gradient(loss_of(program, inputs), with_value=True)
        again = PASSES[name](slopes)
        assert_same(again(*inputs), slopes(*inputs), 1e-9, 1e-10)
        assert [n.result for n in again.inputs] == [n.result for n in slopes.inputs]

    check()


FUSING = ("fuse", "optimise", "optimise loosely", "all", "all, again")


@pytest.mark.parametrize("name", [name for name in PASSES if name not in FUSING])
def test_differentiating_what_was_rewritten(name):
    """The passes may go before the gradient as well, but for those that make fused nodes, which have no rule."""

    @settings(deadline=None, max_examples=15, database=None)
    @given(program=steps())
    def check(program):
        inputs = inputs_of(program)
        loss = loss_of(program, inputs)
        assert_same(gradient(PASSES[name](loss))(*inputs), gradient(loss)(*inputs), 1e-9, 1e-10)

    check()


def test_random_graphs_of_vectors_agree(kernels_elsewhere):
    @settings(deadline=None, max_examples=6, database=None)
    @given(program=steps(most=8))
    def check(program):
        inputs = inputs_of(program, dtype="float32")
        before = gradient(loss_of(program, inputs), with_value=True)
        for g, w in zip(optimise(before)(*inputs), before(*inputs), strict=True):
            assert g.dtype == w.dtype == np.float32
            np.testing.assert_allclose(g, w, 1e-4, 1e-4 * (1 + np.abs(w).max(initial=0)))

    check()


X, ROW, COLUMN, ONE = (
    Spec((7, 37), "float32"),
    Spec((37,), "float32"),
    Spec((7, 1), "float32"),
    Spec((), "float32"),
)
SHAPED = {
    "full": (lambda x, y: graph.exp(-x * y) + 0.5, (X, X)),
    "row": (lambda x, b: graph.relu(x + b) * b, (X, ROW)),
    "column": (lambda x, c: (x - c) / c, (X, COLUMN)),
    "number": (lambda x, s: graph.tanh(x * s) - s, (X, ONE)),
    "all": (lambda x, b, c, s: graph.sigmoid(x * b + c) * s - x, (X, ROW, COLUMN, ONE)),
    "row first": (lambda b, x: b - x * 2, (ROW, X)),
    "vector": (lambda x, y: graph.gelu(x) + graph.silu(y) * graph.erf(x), (ROW, ROW)),
    "numbers": (lambda x: graph.sqrt(abs(x)) * 3 + 1, (ONE,)),
    "sum": (lambda x, y: (x * y).sum(axis=1), (X, X)),
    "sum of rows": (lambda x, b, c: ((x - c) * b * 0.5).sum(axis=-1, keepdims=True), (X, ROW, COLUMN)),
    "sum of planes": (lambda x, y: (x * y + 1).sum(axis=(1, 2)), (Spec((3, 5, 11), "float32"),) * 2),
    "choices": (lambda x, y: graph.where(graph.greater(x, y), graph.maximum(x, 0), graph.minimum(y, x)), (X, X)),
    "equal": (lambda x, y: graph.equal(graph.relu(x), 0) * y, (X, X)),
    "planes": (
        lambda x, b, c: (x + b) * c - 1,
        (Spec((2, 3, 9), "float32"), Spec((9,), "float32"), Spec((2, 3, 1), "float32")),
    ),
    "nothing": (lambda x, y: x * y + 1, (Spec((0, 4), "float32"),) * 2),
    "one lane": (lambda x, c: x * c + 1, (Spec((5, 1), "float32"),) * 2),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", SHAPED)
def test_one_kernel_for_each_chain(name, dtype, kernels_elsewhere):
    function, specs = SHAPED[name]
    rng = np.random.default_rng(0)
    arrays = [np.asarray(rng.standard_normal(s.shape), dtype) for s in specs]
    before = trace(function, *arrays)
    after = fuse(before)
    assert [node.operation for node in after.nodes if node.computes] == ["fused"]
    got, wanted = after(*arrays), before(*arrays)
    assert (got.shape, got.dtype) == (wanted.shape, wanted.dtype)
    rtol = 5e-6 if dtype == "float32" else 1e-13
    np.testing.assert_allclose(got, wanted, rtol, rtol)


WHOLE = Spec((2, 3, 9), "float64")
OTHERWISE = {
    "a row beside a sum of planes": (
        lambda x, b: ((x + b) * 2).sum(axis=(1, 2)),
        (WHOLE, Spec((9,), "float64")),
    ),
    "columns of planes": (lambda x, c: (x + c) * c, (WHOLE, Spec((2, 1, 1), "float64"))),
    "columns of rows": (lambda x, c: (x + c) * c, (WHOLE, Spec((3, 1), "float64"))),
    "planes of rows": (lambda x, c: (x + c) * 2, (WHOLE, Spec((3, 9), "float64"))),
}


@pytest.mark.parametrize("name", OTHERWISE)
def test_what_lies_otherwise_is_left_to_numpy(name, interpreted):
    function, specs = OTHERWISE[name]
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s.shape) for s in specs]
    before = trace(function, *arrays)
    np.testing.assert_allclose(fuse(before)(*arrays), before(*arrays), 1e-13)


def test_special_values_pass_through_kernels(kernels_elsewhere):
    values = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-42, -1.5, 3e38], np.float32)
    x, y = (a.ravel().copy() for a in np.meshgrid(values, values))
    for name in ("add", "subtract", "multiply", "divide", "maximum", "minimum", "greater", "equal"):
        before = trace(lambda x, y, name=name: graph.relu(-getattr(graph, name)(x, y)), x, y)
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(fuse(before)(x, y), before(x, y), err_msg=name)


def test_source_can_be_read_and_is_shared():
    first = fuse(trace(lambda x, y: x * y + 2, X, X)).outputs[0].options["body"]
    second = fuse(trace(lambda a, b: a * b + 2, Spec((4,), "float32"), Spec((4,), "float32"))).outputs[0]
    assert first == second.options["body"]
    assert generated.kernel(first) is generated.kernel(second.options["body"])
    assert "v3 = v0 * v1\n" in first.source and "store(out, at + i, v4)" in first.source
    assert repr(first) == "multiply add"


def test_machine_code_is_kept(kernels_elsewhere):
    body = fuse(trace(lambda x: x * 1.25 + 0.125, X)).outputs[0].options["body"]
    generated.kernel.cache_clear()
    x = np.ones(X.shape, np.float32)
    fuse(trace(lambda x: x * 1.25 + 0.125, x))(x)
    name = body.source[4 : body.source.index("(")]
    assert any(name in path.name for path in kernels_elsewhere.iterdir())
    generated.kernel.cache_clear()


def test_threads_share_a_kernel(kernels_elsewhere):
    from coursekit.kernels import cpu

    rng = np.random.default_rng(0)
    x, b = rng.standard_normal((513, 401)).astype("f"), rng.standard_normal(401).astype("f")
    flat = fuse(trace(lambda x: graph.tanh(x * x + 1), x))
    rows = fuse(trace(lambda x, b: ((x + b) * b).sum(axis=1), x, b))
    alone = flat(x), rows(x, b)
    try:
        cpu.set_num_threads(2)
        np.testing.assert_array_equal(flat(x), alone[0])
        np.testing.assert_array_equal(rows(x, b), alone[1])
    finally:
        cpu.set_num_threads(1)


NOT_FUSED = {
    "one operation": lambda x, y: x * y,
    "an output between": lambda x, y: ((h := x * y), h + 1),
    "read elsewhere": lambda x, y: ((h := x * y) + 1) @ h.T,
    "no vector form": lambda x, y: graph.log(x) ** y,
    "columns": lambda x, y: (x * y).sum(axis=0),
    "the whole": lambda x, y: (x * y).sum(),
}


@pytest.mark.parametrize("name", NOT_FUSED)
def test_what_is_left_alone(name):
    before = trace(NOT_FUSED[name], X, X)
    assert [n.operation for n in fuse(before).nodes] == [n.operation for n in before.nodes]


def operations(made):
    return [node.operation for node in made.nodes if node.computes]


def test_dead_code_goes_and_inputs_stay():
    before = trace(lambda x, y: (graph.exp(x), x + 1)[1], X, X)
    after = dead_code(before)
    assert operations(after) == ["add"] and len(after.inputs) == 2


def test_the_same_is_computed_once():
    def function(x, y):
        both = (x * y + 1) * graph.exp(y * x + 1)
        return both + graph.softmax(x, axis=0) * graph.softmax(x, axis=1)

    before = trace(function, X, X)
    after = common_subexpressions(before)
    assert len(operations(before)) - len(operations(after)) == 2
    assert sum(n.operation == "constant" for n in after.nodes) == 1


def test_subtractions_do_not_commute():
    before = trace(lambda x, y: (x - y) * (y - x), X, X)
    assert operations(common_subexpressions(before)) == operations(before)


def test_zeros_of_two_signs_are_two_constants():
    x = np.array([1.0, -1.0])
    before = trace(lambda x: (x / np.zeros(2)) - (x / -np.zeros(2)), x)
    with np.errstate(divide="ignore"):
        np.testing.assert_array_equal(common_subexpressions(before)(x), before(x))


def test_constants_are_folded_unless_they_grow():
    def function(x):
        ones = x.tape.constant(np.ones(37, "f"))
        return x + graph.exp(ones * 2).sum() + graph.broadcast_to(ones, (7, 37))

    before = trace(function, X)
    after = dead_code(fold_constants(before))
    assert operations(after) == ["add", "broadcast_to", "add"]
    x = np.zeros(X.shape, "f")
    np.testing.assert_array_equal(after(x), before(x))


def test_of_several_results_those_needed_are_folded():
    arrays = [np.ones(shape) for shape in ((1, 2, 3), (8, 3), (8, 2), (8,), (8,))]
    before = trace(lambda x: graph.lstm(x.tape.constant(arrays[0]), *arrays[1:])[1] * 2, X)
    after = dead_code(fold_constants(before))
    assert operations(after) == []
    np.testing.assert_array_equal(after(np.zeros(X.shape, "f")), 2 * graph.lstm(*arrays)[1])


repeat = graph.broadcast_to
EXACT = {
    "x * 1": (lambda x, y: x * 1, []),
    "1 * x": (lambda x, y: 1 * x, []),
    "x * -1": (lambda x, y: x * -1, ["negative"]),
    "x / 1": (lambda x, y: x / 1, []),
    "x / 4": (lambda x, y: x / 4, ["multiply"]),
    "x / 3": (lambda x, y: x / 3, ["divide"]),
    "x - 0": (lambda x, y: x - 0, []),
    "x + 0": (lambda x, y: x + 0, ["add"]),
    "x - -0": (lambda x, y: x - (-0.0), ["subtract"]),
    "x + -0": (lambda x, y: x + (-0.0), []),
    "x * 0": (lambda x, y: x * 0, ["multiply"]),
    "x - x": (lambda x, y: x - x, ["subtract"]),
    "-(-x)": (lambda x, y: np.negative(-x), []),
    "x + (-y)": (lambda x, y: x + (-y), ["subtract"]),
    "x - (-y)": (lambda x, y: x - (-y), ["add"]),
    "(-x) * (-y)": (lambda x, y: (-x) * (-y), ["multiply"]),
    "||x||": (lambda x, y: abs(abs(x)), ["absolute"]),
    "|-x|": (lambda x, y: abs(-x), ["absolute"]),
    "x ** 1": (lambda x, y: x**1, []),
    "relu twice": (lambda x, y: graph.relu(graph.relu(x)), ["relu"]),
    "max(x, x)": (lambda x, y: graph.maximum(x, x), []),
    "where(c, x, x)": (lambda x, y: graph.where(y, x, x), []),
    "transpose twice": (lambda x, y: x.reshape(2, 4, 8).transpose(1, 2, 0).transpose(2, 0, 1).reshape(8, 8), []),
    "two turns": (
        lambda x, y: x.reshape(2, 4, 8).transpose(1, 2, 0).transpose(1, 0, 2),
        ["reshape", "transpose"],
    ),
    "reshape twice": (lambda x, y: x.reshape(16, 4).reshape(4, 16), ["reshape"]),
    "broadcast twice": (lambda x, y: repeat(repeat(x, (3, 8, 8)), (2, 3, 8, 8)), ["broadcast_to"]),
    "broadcast and add": (lambda x, y: repeat(x[0], (8, 8)) + y, ["slice", "reshape", "add"]),
    "broadcast and exp": (
        lambda x, y: graph.exp(repeat(x[0, 0], (8, 8))),
        ["slice", "reshape", "exp", "broadcast_to"],
    ),
    "max of one": (lambda x, y: x.reshape(8, 1, 8).max(axis=1), []),
    "sum of one": (lambda x, y: x.reshape(8, 1, 8).sum(axis=1), ["reshape", "sum"]),
    "all of it": (lambda x, y: x[:, 0:8], []),
    "cast": (lambda x, y: graph.cast(x, "float64"), []),
}  # fmt: skip


@pytest.mark.parametrize("name", EXACT)
def test_exact_algebra_changes_no_bit(name):
    function, left = EXACT[name]
    values = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, -1.5, 1e308])
    x, y = np.meshgrid(values, values)
    before = trace(function, x, y)
    after = dead_code(simplify(simplify(simplify(before))))
    assert operations(after) == left
    with np.errstate(all="ignore"):
        got, wanted = after(x, y), before(x, y)
    np.testing.assert_array_equal(got, wanted)
    np.testing.assert_array_equal(np.signbit(got)[~np.isnan(got)], np.signbit(wanted)[~np.isnan(wanted)])


LOOSE = {
    "x + 0": (lambda x: x + 0, []),
    "x * 0": (lambda x: x * 0 + graph.exp(x), ["exp"]),
    "x - x": (lambda x: (x - x) + graph.exp(x), ["exp"]),
    "x / x": (lambda x: graph.exp(x) * (x / x), ["exp"]),
    "0 / x": (lambda x: 0 / x, ["broadcast_to"]),
    "0 - x": (lambda x: 0 - x, ["negative"]),
    "numbers together": (lambda x: 2 * (x * 3) / 7, ["multiply"]),
    "x ** 0.5": (lambda x: x**0.5, ["sqrt"]),
    "log exp": (lambda x: graph.log(graph.exp(x)), []),
    "sum of one": (lambda x: x.reshape(2, 1, 2).sum(axis=1), []),
}


@pytest.mark.parametrize("name", LOOSE)
def test_loose_algebra_waits_to_be_asked(name):
    function, left = LOOSE[name]
    x = np.array([[0.3, 1.7], [2.5, 4.0]])
    before = trace(function, x)
    assert operations(simplify(before)) == operations(before)
    after = before
    for _ in range(3):
        after = dead_code(fold_constants(simplify(after, exact=False)))
    assert operations(after) == left
    np.testing.assert_allclose(after(x), before(x), 1e-15)


def test_a_square_is_a_product():
    assert operations(simplify(trace(lambda x: x**2, X))) == ["multiply"]
    assert operations(simplify(trace(lambda x: x**-1, X))) == ["divide"]


def deep(layers=12, width=64):
    """The gradient of a deep chain: each tanh is needed on the way back."""

    def loss(x, w):
        for _ in range(layers):
            x = graph.tanh(x * w + 0.1) * 1.5
        return x.sum()

    return optimise_without_fusion(
        gradient(trace(loss, Spec((width, width), "float64"), Spec((), "float64")))
    )


def optimise_without_fusion(g):
    for _ in range(3):
        g = dead_code(common_subexpressions(fold_constants(simplify(g))))
    return g


def test_recomputing_trades_work_for_memory():
    g = deep()
    kept = [n for n in g.nodes if n.operation == "tanh"]
    often = set(kept) - set(kept[::4])
    lean = recompute(g, lambda node: node in often or node.operation in ("multiply", "add"))
    assert plan(lean).peak < 0.7 * plan(g).peak
    assert lean.cost.flops > g.cost.flops
    rng = np.random.default_rng(0)
    arrays = rng.standard_normal((64, 64)), np.asarray(0.7)
    assert_same(lean(*arrays), g(*arrays))


def test_what_is_recomputed_by_default_lowers_the_bound():
    g = deep()
    lean = recompute(g)
    assert plan(lean).bound < 0.7 * plan(g).bound
    rng = np.random.default_rng(0)
    arrays = rng.standard_normal((64, 64)), np.asarray(0.7)
    assert_same(lean(*arrays), g(*arrays))


def test_nothing_is_recomputed_where_it_would_not_help():
    """To compute relu again, one had to keep what it is made of."""
    loss = trace(
        lambda x, w: (graph.relu(x @ w) @ w).sum(), Spec((64, 64), "float32"), Spec((64, 64), "float32")
    )
    g = dead_code(gradient(loss))
    assert operations(recompute(g)).count("relu") == 1
    assert operations(recompute(g, cheap)).count("relu") == 2
    assert plan(recompute(g)).bound <= plan(g).bound


def test_outputs_are_not_recomputed():
    before = trace(lambda x, y: ((h := graph.exp(x)), (graph.tanh(y * h) - y) @ (x * h).T), X, X)
    assert sum(n.operation == "exp" for n in recompute(before, lambda node: True).nodes) == 1


def test_constants_that_stand_in_a_source_are_gone():
    made = fuse(trace(lambda x: graph.tanh(x * 2.0) + 1.0, graph.Spec((5,), "float32")))
    assert [node.operation for node in made.nodes] == ["input", "fused"]
