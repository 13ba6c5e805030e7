"""Algebra on nodes: what can be said with less is said so.

Real numbers are not what machines compute with: x · 0 is 0 for real x, and nan for inf; x + 0 is x, but for x = -0 it
is +0. Rules that hold for every float, inf, nan and both zeros included, stand in ``EXACT``. Those in ``LOOSE`` hold
where all values are finite and nobody asks for the sign of a zero, and are used only where that is said.
"""

from collections.abc import Callable
from math import frexp

import numpy as np

from coursekit.graph import functions as f
from coursekit.graph.graph import Graph, Node
from coursekit.graph.operations import OPERATIONS
from coursekit.graph.rewrite import rewrite
from coursekit.graph.trace import Tensor, apply


def simplify(graph: Graph, exact: bool = True) -> Graph:
    """Nodes replaced by simpler ones. ``exact=False`` takes all values to be finite, and no zero to have a sign.

    Powers are an exception: pow is right to a digit or so in the last place, x · x to the last, so that x² may change
    there even where ``exact`` is true.
    """
    tables = (EXACT,) if exact else (EXACT, LOOSE)

    def rule(node: Node, inputs: list[Tensor]) -> Tensor | None:
        found = _without_broadcast(node, inputs)
        for table in tables:
            if found is None and node.operation in table:
                found = table[node.operation](*inputs, **node.options)
        return found if found is None or found.shape == node.shape else None

    return rewrite(graph, rule)


def number(tensor: Tensor) -> float | None:
    """The number that a constant is full of, or None."""
    value = tensor.node.value
    if value is None or value.size == 0 or value.dtype.kind != "f":
        return None
    first = value.flat[0]
    return float(first) if value.size == 1 or (value == first).all() else None


def is_zero(tensor: Tensor, sign: int = 0) -> bool:
    """Whether it is a constant of zeros: of +0 where ``sign`` is 1, of -0 where it is -1."""
    found = number(tensor)
    return found == 0 and (not sign or bool(np.signbit(tensor.node.value).all()) == (sign < 0))


def made_by(tensor: Tensor, operation: str) -> list[Tensor] | None:
    """What the operation was given, if that is what made the tensor."""
    if tensor.node.operation == operation:
        return [Tensor(tensor.tape, read) for read in tensor.node.inputs]
    return None


def same(x: Tensor, y: Tensor) -> bool:
    return x.node is y.node


def filled(like: Tensor, value: float, shape) -> Tensor:
    return f.broadcast_to(like.tape.lift(value, like.dtype), shape)


def _without_broadcast(node, inputs) -> Tensor | None:
    """An elementwise operation repeats its arguments itself; of one argument, it can be done before."""
    if node.operation not in OPERATIONS or not OPERATIONS[node.operation].elementwise:
        return None
    if len(inputs) == 1:
        bare = made_by(inputs[0], "broadcast_to")
        return f.broadcast_to(apply(node.operation, bare[0]), node.shape) if bare else None
    bare = [(made_by(x, "broadcast_to") or [x])[0] for x in inputs]
    for i, x in enumerate(inputs):
        others = [bare[j] if j != i else x for j in range(len(inputs))]
        if any(not same(a, b) for a, b in zip(others, inputs, strict=True)) and x.shape == node.shape:
            return apply(node.operation, *others)
    return None


def _add(x, y):
    for a, b in ((x, y), (y, x)):
        if is_zero(b, -1):
            return a
        if negated := made_by(b, "negative"):
            return a - negated[0]
    return None


def _subtract(x, y):
    if is_zero(y, 1):
        return x
    negated = made_by(y, "negative")
    return x + negated[0] if negated else None


def _multiply(x, y):
    for a, b in ((x, y), (y, x)):
        if number(b) == 1:
            return a
        if number(b) == -1:
            return -a
    minus_x, minus_y = made_by(x, "negative"), made_by(y, "negative")
    return minus_x[0] * minus_y[0] if minus_x and minus_y else None


def _divide(x, y):
    divisor = number(y)
    if divisor == 1:
        return x
    if divisor and abs(frexp(divisor)[0]) == 0.5 and 2.0**-100 < abs(divisor) < 2.0**100:
        return x * (1 / divisor)  # a power of two: its inverse is no rounded number
    return None


def _power(x, y):
    exponent = number(y)
    if exponent == 1:
        return x
    if exponent == 2:
        return x * x
    return 1 / x if exponent == -1 else None


def _where(c, x, y):
    return x if same(x, y) else None


def _either(x, y):
    return x if same(x, y) else None


def _absolute(x):
    if made_by(x, "absolute"):
        return x
    negated = made_by(x, "negative")
    return abs(negated[0]) if negated else None


def _reshape(x, shape):
    if x.shape == shape:
        return x
    repeated = made_by(x, "broadcast_to")
    if repeated and repeated[0].size == 1:
        return f.broadcast_to(f.reshape(repeated[0], ()), shape)
    before = made_by(x, "reshape")
    return f.reshape(before[0], shape) if before else None


def _transpose(x, axes):
    if axes == tuple(range(x.ndim)):
        return x
    before = made_by(x, "transpose")
    first = x.node.options.get("axes")
    return f.transpose(before[0], [first[a] for a in axes]) if before else None


def _broadcast_to(x, shape):
    if x.shape == shape:
        return x
    before = made_by(x, "broadcast_to")
    return f.broadcast_to(before[0], shape) if before else None


def _reduction(x, axes, keepdims):
    if all(x.shape[a] == 1 for a in axes):
        return f.reshape(x, tuple(n for a, n in enumerate(x.shape) if keepdims or a not in axes))
    return None


def _first_of(name):
    return lambda x: (made_by(x, name) or [None])[0]


EXACT: dict[str, Callable[..., Tensor | None]] = {
    "add": _add,
    "subtract": _subtract,
    "multiply": _multiply,
    "divide": _divide,
    "power": _power,
    "negative": _first_of("negative"),
    "absolute": _absolute,
    "relu": lambda x: x if made_by(x, "relu") else None,
    "maximum": _either,
    "minimum": _either,
    "where": _where,
    "reshape": _reshape,
    "transpose": _transpose,
    "broadcast_to": _broadcast_to,
    "max": _reduction,
    "cast": lambda x, dtype: x if x.dtype == dtype else None,
    "slice": lambda x, start, stop, step: (
        x if x.shape == stop and not any(start) and set(step) <= {1} else None
    ),
}
"""Right for every float."""


def _add_loosely(x, y):
    return x if is_zero(y) else y if is_zero(x) else None


def _subtract_loosely(x, y):
    if same(x, y):
        return filled(x, 0, x.shape)
    return x if is_zero(y) else -y if is_zero(x) else None


def _multiply_loosely(x, y):
    if is_zero(x) or is_zero(y):
        return filled(x, 0, np.broadcast_shapes(x.shape, y.shape))
    for a, b in ((x, y), (y, x)):
        before = made_by(a, "multiply")
        if before and number(b) is not None and number(before[1]) is not None:
            return before[0] * (b * before[1])
    return None


def _divide_loosely(x, y):
    if same(x, y):
        return filled(x, 1, x.shape)
    if is_zero(x):
        return filled(x, 0, np.broadcast_shapes(x.shape, y.shape))
    divisor = number(y)
    return x * (1 / divisor) if divisor else None


LOOSE: dict[str, Callable[..., Tensor | None]] = {
    "add": _add_loosely,
    "subtract": _subtract_loosely,
    "multiply": _multiply_loosely,
    "divide": _divide_loosely,
    "power": lambda x, y: (
        f.sqrt(x) if number(y) == 0.5 else filled(x, 1, x.shape) if number(y) == 0 else None
    ),
    "exp": _first_of("log"),
    "log": _first_of("exp"),
    "sum": _reduction,  # which starts from +0, so that the sum of -0 alone is +0
}
"""Right where all values are finite and zeros have no sign, and to the last digits."""
