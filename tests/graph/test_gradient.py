"""Gradients of every operation against torch's autograd, and by finite differences."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch.nn import functional as F

from coursekit import graph
from coursekit.graph import gradient, jvp, trace
from coursekit.graph.rules import NONE, RULES
from coursekit.kernels import formats
from coursekit.kernels.ops import OPS
from coursekit.kernels.ops.linear import PANEL
from coursekit.kernels.ops.sparse import columns_of
from tests.graph.random_graphs import inputs_of, loss_of, steps, torch_gradients


def network(kind):
    """torch's own recurrent cells, step by step, from given weights."""

    def run(x, w, u, b, d, *states):
        H = u.shape[1]
        h, c = [*states, *[torch.zeros(x.shape[0], H, dtype=x.dtype)] * 2][:2]
        out = []
        for t in range(x.shape[1]):
            i, r = F.linear(x[:, t], w, b), F.linear(h, u, d)
            if kind == "rnn":
                h = torch.tanh(i + r)
            elif kind == "lstm":
                a, f, g, o = (i + r).chunk(4, 1)
                c = f.sigmoid() * c + a.sigmoid() * g.tanh()
                h = o.sigmoid() * c.tanh()
            else:
                (ir, iz, ig), (ur, uz, ug) = i.chunk(3, 1), r.chunk(3, 1)
                z = (iz + uz).sigmoid()
                h = (1 - z) * (ig + (ir + ur).sigmoid() * ug).tanh() + z * h
            out.append(h)
        out = torch.stack(out, 1) if out else torch.zeros(x.shape[0], 0, H, dtype=x.dtype)
        return (out, h, c) if kind == "lstm" else (out, h)

    return run


def attention(q, k, v, causal=False):
    scores = q @ k.transpose(-1, -2) / max(q.shape[-1], 1) ** 0.5
    if causal:
        scores = scores.masked_fill(torch.ones(scores.shape[-2:]).triu(1).bool(), -torch.inf)
    return torch.softmax(scores, -1) @ v


def panels_of(weight):
    N, K = weight.shape
    P = -(-N // PANEL)
    return F.pad(weight, (0, 0, 0, P * PANEL - N)).reshape(P, PANEL, K).transpose(1, 2)


def linear_packed(x, panels, bias):
    P, K, _ = panels.shape
    return F.linear(x, panels.transpose(1, 2).reshape(P * PANEL, K)[: len(bias)], bias)


def rows(starts, each=1):
    return torch.repeat_interleave(torch.arange(len(starts) - 1), starts.diff())


def csr(values, columns, starts, x):
    out = torch.zeros(len(starts) - 1, x.shape[1], dtype=x.dtype)
    return out.index_add(0, rows(starts), values[:, None] * x[columns.long()])


def blocks(values, columns, starts, x):
    out = torch.zeros(len(starts) - 1, 8, x.shape[1], dtype=x.dtype)
    return out.index_add(0, rows(starts), values[:, :, None] * x[columns.long()][:, None]).flatten(0, 1)


def two_four(values, positions, x):
    columns = torch.from_numpy(columns_of(positions.numpy()))
    return (values[:, :, None] * x[columns]).sum(1)


def norm(x, weight, bias, eps=1e-5):
    return F.layer_norm(x, x.shape[-1:], weight, bias, eps)


def chain(x, scale, shift, gain, offset, limit=6.0):
    return (F.gelu(x * scale + shift, approximate="tanh") * gain + offset).clamp(-limit, limit)


def slope_of(function):
    """What torch's autograd gives, which torch can differentiate again: a gradient as an operation."""

    def run(*given, **options):
        *arrays, g = given
        leaves = [a if a.requires_grad else a.detach().requires_grad_() for a in arrays]
        return torch.autograd.grad(function(*leaves, **options), leaves, g, create_graph=True)

    return run


def conv_input(grad, weight, size=(), **o):
    x = torch.zeros(
        grad.shape[0], weight.shape[1] * o.get("groups", 1), *size, dtype=grad.dtype, requires_grad=True
    )
    return torch.autograd.grad(F.conv2d(x, weight, **o), x, grad, create_graph=True)[0]


def conv_weight(grad, x, size=(), **o):
    shape = (grad.shape[1], x.shape[1] // o.get("groups", 1), *size)
    weight = torch.zeros(shape, dtype=grad.dtype, requires_grad=True)
    return torch.autograd.grad(F.conv2d(x, weight, **o), weight, grad, create_graph=True)[0]


def avg_back(grad, size=(), **o):
    x = torch.zeros(*grad.shape[:2], *size, dtype=grad.dtype, requires_grad=True)
    return torch.autograd.grad(F.avg_pool2d(x, **o), x, grad, create_graph=True)[0]


def step_by_step(a, b, h0=None):
    h, found = torch.zeros(len(a), dtype=a.dtype) if h0 is None else h0, []
    for t in range(a.shape[1]):
        h = a[:, t] * h + b[:, t]
        found.append(h)
    return torch.stack(found, 1) if found else a * b


TORCH = {
    "matmul": torch.matmul,
    "batched_matmul": torch.matmul,
    "linear": F.linear,
    "pack_linear": panels_of,
    "linear_packed": linear_packed,
    "half_matmul": lambda a, b: a.float() @ b.float(),
    "conv2d": F.conv2d,
    "conv2d_grad_input": conv_input,
    "conv2d_grad_weight": conv_weight,
    "attention": attention,
    "rnn": network("rnn"),
    "lstm": network("lstm"),
    "gru": network("gru"),
    "linear_recurrence": step_by_step,
    "softmax": lambda x, axis=-1: torch.softmax(x, axis),
    "softmax_grad": lambda y, g, axis=-1: y * (g - (y * g).sum(axis, keepdim=True)),
    "layer_norm": norm,
    "add_layer_norm": lambda x, r, w, b, eps=1e-5: (x + r, norm(x + r, w, b, eps)),
    "rms_norm": lambda x, w, eps=1e-6: x / ((x * x).mean(-1, keepdim=True) + eps).sqrt() * w,
    "bias_gelu": lambda x, b, approximate="none": F.gelu(x + b, approximate=approximate),
    "bias_relu": lambda x, b: F.relu(x + b),
    "bias_relu_grad": lambda x, b, g: slope_of(lambda x, b: F.relu(x + b))(x, b, g),
    "bias_silu": lambda x, b: F.silu(x + b),
    "scale_shift_gelu_scale_shift_clip": chain,
    "log_sum_exp": lambda x: torch.logsumexp(x, -1),
    "log_sum_exp_grad": lambda x, g: g[..., None] * torch.softmax(x, -1),
    "reduce": lambda x, by="sum": {"sum": torch.sum, "mean": torch.mean, "max": torch.amax}[by](x, -1),
    "embedding": lambda i, w: w[i],
    "csr_matmul": csr,
    "block_sparse_matmul": blocks,
    "two_four_matmul": two_four,
    "max_pool2d": F.max_pool2d,
    "avg_pool2d": F.avg_pool2d,
    "avg_pool2d_grad": avg_back,
    "add": torch.add,
    "multiply": torch.mul,
    "relu": F.relu,
    "gelu": F.gelu,
    "silu": F.silu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "exp": torch.exp,
}


def as_tuple(value):
    return value if isinstance(value, tuple | list) else (value,)


def weighed(name, options, weights):
    """The sum of all results, each number times another."""

    def function(*arrays):
        found = as_tuple(getattr(graph, name)(*arrays, **options))
        return sum((out * w).sum() for out, w in zip(found, weights, strict=True))

    return function


def case_of(name, case, dtype):
    """Arrays, weights for the results, the numbers of the inputs that have slopes, and torch's slopes."""
    op, rng = OPS[name], np.random.default_rng(3)
    arrays = op.draw(rng, case.sizes, dtype, **case.options)
    tensors = [torch.from_numpy(a.copy()).requires_grad_(a.dtype.kind == "f") for a in arrays]
    outs = as_tuple(TORCH[name](*tensors, **case.options))
    weights = [np.asarray(rng.standard_normal(tuple(out.shape)), dtype) for out in outs]
    total = sum((out * torch.from_numpy(w)).sum() for out, w in zip(outs, weights, strict=True))
    which = [i for i, t in enumerate(tensors) if t.requires_grad]
    slopes = torch.autograd.grad(total, [tensors[i] for i in which], allow_unused=True)
    wanted = [
        np.zeros(arrays[i].shape) if s is None else s.numpy() for i, s in zip(which, slopes, strict=True)
    ]
    return arrays, weights, which, wanted


def assert_near(got, wanted, rtol):
    assert got.shape == wanted.shape
    error = np.abs(np.float64(got) - wanted).max(initial=0)
    assert error <= rtol * max(np.abs(np.float64(wanted)).max(initial=0), 1e-3), f"off by {error}"


DIFFERENTIABLE = [name for name in OPS if name in RULES]
CASES = [(name, case) for name in DIFFERENTIABLE for case in OPS[name].cases_for("tiny")]


def test_every_operation_has_a_rule_or_a_reason():
    assert set(RULES) | set(NONE) == set(graph.OPERATIONS)
    assert not set(RULES) & set(NONE)
    assert set(TORCH) == set(DIFFERENTIABLE)


@pytest.mark.parametrize("dtype, rtol", [("float64", 1e-6), ("float32", 1e-3)])
@pytest.mark.parametrize("name, case", CASES, ids=str)
def test_gradient_is_that_of_torch(name, case, dtype, rtol):
    if name == "half_matmul":
        dtype, rtol = "float32", 3e-3
    if dtype not in OPS[name].dtypes:
        pytest.skip(f"{name} has no {dtype}")
    arrays, weights, which, wanted = case_of(name, case, dtype)
    loss = trace(weighed(name, case.options, weights), *arrays)
    for got, w, i in zip(gradient(loss, which)(*arrays), wanted, which, strict=True):
        assert got.dtype == arrays[i].dtype
        assert_near(got, w, rtol)


@pytest.mark.parametrize("name", [n for n in DIFFERENTIABLE if n not in ("half_matmul", "bias_relu_grad")])
def test_gradient_is_that_of_finite_differences(name):
    case = OPS[name].cases_for("tiny")[0]
    arrays, weights, which, _ = case_of(name, case, "float64")
    loss = trace(weighed(name, case.options, weights), *arrays)
    slopes = gradient(loss, which)(*arrays)
    rng, h = np.random.default_rng(5), 1e-6
    direction = [rng.standard_normal(arrays[i].shape) for i in which]

    def moved(by):
        there = list(arrays)
        for i, d in zip(which, direction, strict=True):
            there[i] = arrays[i] + by * d
        return float(loss(*there))

    wanted = (moved(h) - moved(-h)) / (2 * h)
    got = sum(float((s * d).sum()) for s, d in zip(slopes, direction, strict=True))
    assert got == pytest.approx(wanted, rel=1e-5, abs=1e-6)


P = np.array([[0.3, 1.2, 2.5], [0.7, 0.1, 4.0]])
Q = np.array([[-0.4, 1.2, 0.6], [1.7, -2.0, 0.2]])
OTHERS = {
    "subtract": (lambda f, x, y: x - y, P, Q[0]),
    "divide": (lambda f, x, y: x / y, Q, P),
    "power": (lambda f, x, y: x**y, P, Q),
    "power of a number": (lambda f, x, y: 2.0**x + y**3, P, Q),
    "negative": (lambda f, x: -x, Q),
    "absolute": (lambda f, x: abs(x), Q),
    "sqrt": (lambda f, x: f.sqrt(x), P),
    "log": (lambda f, x: f.log(x), P),
    "erf": (lambda f, x: f.erf(x), Q),
    "maximum, with equals": (lambda f, x, y: f.maximum(x, y), P, Q),
    "minimum, with equals": (lambda f, x, y: f.minimum(x, y), P, Q),
    "max, with equals": (lambda f, x: (f.max(x, 1) if f is graph else torch.amax(x, 1)) * 2, np.round(Q)),
    "sum": (lambda f, x: f.sum(x, 0, True) * x, Q),
    "reshape, transpose": (lambda f, x, y: (x.reshape(3, 2).T * y).sum(0), Q, P),
    "slices": (lambda f, x: x[1:, ::2] * x[0, -1], Q),
    "broadcast_to": (lambda f, x: f.broadcast_to(x, (4, 2, 3)) ** 2, Q),
    "twice": (lambda f, x: x * x * x + x, Q),
    "rows and columns": (lambda f, x, y: x[:, :1] * y[1] + x[0, 0], P, Q),
}


@pytest.mark.parametrize("name", OTHERS)
def test_gradient_of_arrays_is_that_of_torch(name):
    function, *arrays = OTHERS[name]
    loss = trace(lambda *x: (function(graph, *x) * 1.5).sum(), *arrays)
    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    (function(torch, *tensors) * 1.5).sum().backward()
    for got, tensor in zip(gradient(loss)(*arrays), tensors, strict=True):
        assert_near(got, tensor.grad.numpy(), 1e-12)


def test_where_greater_and_add_rows():
    x, y = Q, P
    loss = trace(
        lambda x, y: (graph.where(graph.greater(x, y), x * x, 3 * y) + graph.equal(x, y) * x).sum(), x, y
    )
    dx, dy = gradient(loss)(x, y)
    np.testing.assert_allclose(dx, np.where(x > y, 2 * x, 0) + (x == y))
    np.testing.assert_allclose(dy, np.where(x > y, 0, 3))
    indices, g = np.array([1, 0, 1]), np.arange(12.0).reshape(4, 3)
    rows = trace(lambda i, x: (graph.add_rows(i, x, 4) * g).sum(), indices, np.ones((3, 3)))
    np.testing.assert_array_equal(gradient(rows, 1)(indices, np.ones((3, 3))), g[indices])


def test_a_sparse_layer_learns_where_it_has_numbers():
    dense = np.array([[0, 2.0, 0], [1, 0, 3]])
    values, columns, starts = formats.to_csr(dense)
    x, g = np.arange(6.0).reshape(3, 2), np.arange(4.0).reshape(2, 2) + 1
    loss = trace(lambda v, x: (graph.csr_matmul(v, columns, starts, x) * g).sum(), values, x)
    dv, dx = gradient(loss)(values, x)
    np.testing.assert_allclose(dv, (g @ x.T)[dense != 0])
    np.testing.assert_allclose(dx, dense.T @ g)


@settings(deadline=None, max_examples=60)
@given(program=steps())
def test_gradients_of_random_graphs_are_those_of_torch(program):
    inputs = inputs_of(program)
    value, wanted = torch_gradients(program, inputs)
    got_value, *got = gradient(loss_of(program, inputs), with_value=True)(*inputs)
    assert got_value == pytest.approx(value, rel=1e-9, abs=1e-12)
    for g, w in zip(got, wanted, strict=True):
        np.testing.assert_allclose(g, w, 1e-6, 1e-9)


@settings(deadline=None, max_examples=30)
@given(program=steps())
def test_both_modes_agree(program):
    inputs = inputs_of(program)
    loss = loss_of(program, inputs)
    directions = inputs_of(program, seed=1)
    change = jvp(loss)(*inputs, *directions)[1]
    slopes = gradient(loss)(*inputs)
    wanted = sum((s * d).sum() for s, d in zip(slopes, directions, strict=True))
    assert change == pytest.approx(wanted, rel=1e-8, abs=1e-10)


def test_forward_mode_of_layers():
    rng = np.random.default_rng(0)
    x, w, b = rng.standard_normal((2, 3, 5, 5)), rng.standard_normal((4, 3, 3, 3)), rng.standard_normal(4)

    def function(f, x, w, b):
        y = (f.conv2d if f is graph else F.conv2d)(x, w, b, padding=1)
        return y.reshape(2, 100)[:, :4] @ y.reshape(2, 100)[:, 4:8].T + x[0, 0, 0, 0]

    moved = [rng.standard_normal(a.shape) for a in (x, w, b)]
    got = jvp(trace(lambda *a: function(graph, *a), x, w, b))(x, w, b, *moved)
    tensors = [[torch.from_numpy(a) for a in group] for group in ((x, w, b), moved)]
    wanted = torch.func.jvp(lambda *a: function(torch, *a), *map(tuple, tensors))
    for g, t in zip(got, wanted, strict=True):
        np.testing.assert_allclose(g, t.numpy(), 1e-9, 1e-9)


def test_a_gradient_can_be_differentiated_again():
    x = np.array([0.5, -1.0])
    loss = trace(lambda x: (x**3 * graph.exp(x)).sum(), x)
    slope = gradient(loss, 0)
    again = trace(lambda x: slope(x).sum(), x)
    t = torch.tensor(x, requires_grad=True)
    first = torch.autograd.grad((t**3 * t.exp()).sum(), t, create_graph=True)[0]
    np.testing.assert_allclose(gradient(again, 0)(x), torch.autograd.grad(first.sum(), t)[0].numpy())


def test_tied_weights_count_each_use():
    rng = np.random.default_rng(0)
    x, w, b = rng.standard_normal((2, 3, 4)), rng.standard_normal((16, 4)), rng.standard_normal(16)
    loss = trace(lambda x, w, b: (graph.lstm(x, w, w, b, b)[2] ** 2).sum(), x, w, b)
    tensors = [torch.tensor(a, requires_grad=True) for a in (x, w, b)]
    (network("lstm")(tensors[0], tensors[1], tensors[1], tensors[2], tensors[2])[2] ** 2).sum().backward()
    for got, t in zip(gradient(loss)(x, w, b), tensors, strict=True):
        assert_near(got, t.grad.numpy(), 1e-9)


def test_what_the_value_does_not_depend_on_has_slope_0():
    loss = trace(lambda x, y: (x * 2).sum(), P, Q)
    np.testing.assert_array_equal(gradient(loss, "y")(P, Q), np.zeros_like(Q))


def test_only_what_is_wanted_is_computed():
    x, w = np.ones((3, 4)), np.ones((5, 4))
    loss = trace(lambda x, w: graph.linear(x, w).sum(), x, w)
    assert sum(n.operation == "matmul" for n in gradient(loss, "x").nodes) == 1
    assert sum(n.operation == "transpose" for n in gradient(loss, "x").nodes) == 0
    assert sum(n.operation == "matmul" for n in gradient(loss, "w").nodes) == 1


@pytest.mark.parametrize(
    "function, wrt, error, words",
    [
        (lambda x, i: x * 2, None, ValueError, r"one output of shape \(\), such as a mean; got \(2, 3\)"),
        (lambda x, i: (x.sum(), x.sum()), None, ValueError, "one output"),
        (lambda x, i: x.sum(), "i", TypeError, "i must hold floating-point numbers; got int64"),
        (lambda x, i: x.sum(), 2, ValueError, "no input 2; wanted a number below 2, or of x, i"),
        (lambda x, i: x.sum(), "z", ValueError, "no input 'z'"),
        (lambda x, i: graph.bias_silu_grad(x, x[0], x)[1].sum(), 0, ValueError, "has no rule: a second derivative"),
    ],
)  # fmt: skip
def test_misuse(function, wrt, error, words):
    traced = trace(function, P, np.array([1]))
    with pytest.raises(error, match=words):
        gradient(traced, wrt)


def test_forward_mode_says_what_it_cannot_do():
    with pytest.raises(ValueError, match="softmax is neither elementwise nor linear"):
        jvp(trace(lambda x: graph.softmax(x), P))
