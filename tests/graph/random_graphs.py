"""Random functions of arrays: a list of steps, each of values that came before, which any array library can take."""

import numpy as np
import torch
from hypothesis import strategies as st

from coursekit import graph

UNARY = {
    "negative": lambda x: -x,
    "absolute": torch.abs,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "silu": torch.nn.functional.silu,
    "gelu": torch.nn.functional.gelu,
    "erf": torch.erf,
}
BINARY = {
    "add": torch.add,
    "subtract": torch.sub,
    "multiply": torch.mul,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
}
A, B = 3, 5
SHAPES = [(A, B), (A, B), (A, B), (B,), (A, 1), (1, B), (), (1,)]


@st.composite
def steps(draw, most=14):
    """The shapes of the inputs, and steps (what, of which values, with what)."""
    shapes = draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=3))
    known, made = list(shapes), []
    for _ in range(draw(st.integers(1, most))):
        step, shape = draw(a_step(known))
        made.append(step)
        known.append(shape)
    return shapes, made


def like(shape, other):
    try:
        return np.broadcast_shapes(shape, other)
    except ValueError:
        return None


@st.composite
def a_step(draw, known):
    i = draw(st.integers(0, len(known) - 1))
    shape = known[i]
    kind = draw(
        st.sampled_from(["unary", "binary", "binary", "binary", "number", "safe", "sum", "shape", "slice"])
    )
    if kind == "binary":
        others = [j for j, other in enumerate(known) if like(shape, other) is not None]
        j = draw(st.sampled_from(others))
        return (draw(st.sampled_from([*BINARY])), (i, j), None), like(shape, known[j])
    if kind == "number":
        what = draw(st.sampled_from(["+", "*", "rdiv", "**"]))
        return (what, (i,), draw(st.sampled_from([0.0, 1.0, -1.0, 2.0, 0.5]))), shape
    if kind == "safe":
        return (draw(st.sampled_from(["exp", "log", "sqrt", "divide"])), (i,), None), shape
    if kind == "sum" and shape:
        axis, keepdims = draw(st.integers(0, len(shape) - 1)), draw(st.booleans())
        out = [1 if a == axis else n for a, n in enumerate(shape) if a != axis or keepdims]
        return (draw(st.sampled_from(["sum", "mean"])), (i,), (axis, keepdims)), tuple(out)
    if kind == "shape":
        if draw(st.booleans()):
            return ("transpose", (i,), None), shape[::-1]
        return ("flat", (i,), None), (int(np.prod(shape)),)
    if kind == "slice" and shape and shape[0] > 1:
        return ("slice", (i,), None), (shape[0] - 1, *shape[1:])
    return (draw(st.sampled_from([*UNARY])), (i,), None), shape


def evaluate(program, inputs, torches=False):
    """A number that depends on every value which nothing else uses, and those values."""
    values = list(inputs)
    used = set()
    for what, reads, option in program[1]:
        values.append(do(what, [values[r] for r in reads], option, torches))
        used |= set(reads)
    left = [v for i, v in enumerate(values) if i not in used and i >= len(inputs)]
    total = 0
    for value in left:
        total = total + (value * value).mean()
    return total, left


def do(what, given, option, torches):
    f = torch if torches else graph
    x = given[0]
    if what in UNARY:
        return UNARY[what](x) if torches else getattr(graph, what)(x)
    if what in BINARY:
        return BINARY[what](*given) if torches else getattr(graph, what)(*given)
    if what == "+":
        return x + option
    if what == "*":
        return option * x
    if what == "rdiv":
        return option / (2 + f.tanh(x))
    if what == "**":
        return (1.5 + f.tanh(x)) ** option
    if what == "exp":
        return f.exp(f.tanh(x))
    if what == "log":
        return f.log(2 + f.tanh(x))
    if what == "sqrt":
        return f.sqrt(2 + f.tanh(x))
    if what == "divide":
        return x / (1.5 + abs(f.tanh(x)))
    if what in ("sum", "mean"):
        return getattr(f, what)(x, option[0], option[1])
    if what == "transpose":
        return torch.permute(x, tuple(range(x.ndim)[::-1])) if torches else graph.transpose(x)
    if what == "flat":
        return x.reshape(-1) if torches or x.ndim else graph.reshape(x, (1,))
    return x[1:]


def inputs_of(program, seed=0, dtype="float64"):
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(shape), dtype) for shape in program[0]]


def traced(program, inputs):
    """The graph of the number and the values."""

    def function(*x):
        total, left = evaluate(program, x)
        return (total, *left)

    return graph.trace(function, *inputs)


def loss_of(program, inputs):
    """The graph of the number alone."""
    return graph.trace(lambda *x: evaluate(program, x)[0], *inputs)


def torch_gradients(program, inputs):
    tensors = [torch.tensor(a, requires_grad=True) for a in inputs]
    total = evaluate(program, tensors, torches=True)[0]
    total.backward()
    found = [
        np.zeros(a.shape) if t.grad is None else t.grad.numpy() for t, a in zip(tensors, inputs, strict=True)
    ]
    return total.item(), found
