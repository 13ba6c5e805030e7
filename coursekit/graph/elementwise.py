"""Functions of each number by itself: their costs, their NumPy equivalents, and the words of which kernels are made.

``vector`` says the function in the words of :mod:`coursekit.kernels.cpu.simd` and of ``vector_math`` beside it, for a
vector of float32; ``number`` says it in plain Python, for one number of float64. Where there is none, no kernel is made
of the function, and NumPy computes it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Elementwise:
    """One function. ``{0}``, ``{1}``, ``{2}`` in its words stand for its arguments; ``flops`` are for each element."""

    arity: int
    flops: int
    numpy: Callable
    vector: str = ""
    number: str = ""


def broadcast_shapes(name: str, shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The shape of all together, by NumPy's rule. ValueError, naming the operation, where there is none."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        got = " and ".join(map(str, shapes))
        raise ValueError(
            f"{name}: shapes must broadcast (each size the same or 1, from the last one on); got {got}"
        ) from None


def _erf(x, out):
    from scipy.special import erf

    return erf(x, out=out)


def _where(condition, x, y, out):
    out[...] = np.where(condition, x, y)


def _quotient_of_exp(x, out):
    with np.errstate(over="ignore"):
        return np.divide(1, 1 + np.exp(-x), out=out)


def _gelu(x, out):
    from scipy.special import erfc

    return np.multiply(0.5 * x, erfc(-np.sqrt(0.5) * x), out=out)


def _silu(x, out):
    with np.errstate(over="ignore"):
        return np.divide(x, 1 + np.exp(-x), out=out)


ELEMENTWISE: dict[str, Elementwise] = {
    "add": Elementwise(2, 1, np.add, "{0} + {1}", "{0} + {1}"),
    "subtract": Elementwise(2, 1, np.subtract, "{0} - {1}", "{0} - {1}"),
    "multiply": Elementwise(2, 1, np.multiply, "{0} * {1}", "{0} * {1}"),
    "divide": Elementwise(2, 1, np.divide, "{0} / {1}", "{0} / {1}"),
    "power": Elementwise(2, 1, np.power),
    "negative": Elementwise(1, 1, np.negative, "{0} * broadcast(MINUS_ONE)", "-{0}"),
    "absolute": Elementwise(1, 1, np.absolute, "absolute({0})", "abs({0})"),
    "sqrt": Elementwise(1, 1, np.sqrt, "sqrt({0})", "math.sqrt({0})"),
    "exp": Elementwise(1, 1, np.exp, "exp({0})", "math.exp({0})"),
    "log": Elementwise(1, 1, np.log),
    "tanh": Elementwise(1, 1, np.tanh, "tanh({0})", "math.tanh({0})"),
    "erf": Elementwise(1, 1, _erf, "erf({0})", "math.erf({0})"),
    "sigmoid": Elementwise(1, 4, _quotient_of_exp, "sigmoid({0})", "1.0 / (1.0 + math.exp(-{0}))"),
    "relu": Elementwise(
        1,
        1,
        lambda x, out: np.maximum(x, 0, out=out),
        "maximum(broadcast(ZERO), {0})",
        "(0.0 if {0} < 0.0 else {0})",
    ),
    "gelu": Elementwise(
        1, 5, _gelu, "{0} * normal_cdf({0})", "0.5 * {0} * math.erfc(-0.7071067811865476 * {0})"
    ),
    "silu": Elementwise(1, 4, _silu, "{0} * sigmoid({0})", "{0} / (1.0 + math.exp(-{0}))"),
    "maximum": Elementwise(
        2,
        1,
        np.maximum,
        "select({0} == {0}, maximum({0}, {1}), {0})",
        "({0} if {0} > {1} or {0} != {0} else {1})",
    ),
    "minimum": Elementwise(
        2,
        1,
        np.minimum,
        "select({0} == {0}, minimum({0}, {1}), {0})",
        "({0} if {0} < {1} or {0} != {0} else {1})",
    ),
    # 1 where it holds, 0 elsewhere, in the dtype of the arguments: slopes are multiplied by them.
    "greater": Elementwise(
        2,
        1,
        np.greater,
        "select({0} > {1}, broadcast(ONE), broadcast(ZERO))",
        "(1.0 if {0} > {1} else 0.0)",
    ),
    "equal": Elementwise(
        2,
        1,
        np.equal,
        "select({0} == {1}, broadcast(ONE), broadcast(ZERO))",
        "(1.0 if {0} == {1} else 0.0)",
    ),
    # The second where the first is not 0, the third elsewhere.
    "where": Elementwise(
        3, 1, _where, "select({0} != broadcast(ZERO), {1}, {2})", "({1} if {0} != 0.0 else {2})"
    ),
}
"""By name, which is NumPy's where NumPy has the function. sqrt, absolute and so on are NumPy's to the last digit."""
