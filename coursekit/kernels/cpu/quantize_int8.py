"""Floats as steps of int8: one by one, and as many at once as a register holds."""

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.rows import GRAIN
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.ops import OPS
from coursekit.kernels.ops.quantised import HIGHEST, LOWEST


@compiled
def _textbook(x, scale, zero, out):
    for i in range(x.size):
        steps = np.rint(x[i] / scale) + zero
        if steps > HIGHEST:
            out[i] = HIGHEST
        elif steps > LOWEST:
            out[i] = np.int8(steps)
        else:
            out[i] = LOWEST


@boundary(OPS["quantize_int8"])
def quantize_int8_textbook(x, *, scale=1.0, zero=0, out=None):
    """:func:`quantize_int8` number by number, with questions whose answers cannot be foreseen."""
    number = x.dtype.type
    _textbook(x.reshape(-1), number(scale), number(zero), out.reshape(-1))


@compiled
def quantize_row(x, scale, zero, out):
    """x in steps of scale; scale and zero of the dtype of x."""
    low, high = x.dtype.type(LOWEST), x.dtype.type(HIGHEST)
    for i in range(x.size):
        steps = np.rint(x[i] / scale) + zero
        steps = steps if steps > low else low  # nan is not
        out[i] = np.int8(np.int32(steps if steps < high else high))


@boundary(OPS["quantize_int8"])
def quantize_int8(x, *, scale=1.0, zero=0, out=None):
    """Floats as the nearest of 256 steps: round(x / scale) + zero, halves to even, and the ends for what is beyond.

    Choices of values, not branches: the compiler makes vectors of them. The quotient is rounded to the dtype of x, and
    then to an integer, as NumPy does it; the result has the same bits everywhere.

    Args:
        x: any shape, float32 or float64; NumPy array or torch tensor on the CPU. A nan becomes -128.
        scale: the step, positive, taken in the dtype of x.
        zero: the integer that stands for 0.
        out: int8 of the shape of x, filled and returned where given.

    Returns:
        int8 of the shape and kind of x.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; an option is of another type.
        ValueError: an option is out of range, a tensor is not on the CPU, or ``out`` cannot be written without harm.
    """
    x, number, out = x.reshape(-1), x.dtype.type, out.reshape(-1)
    step, middle = number(scale), number(zero)
    split(lambda i, j: quantize_row(x[i:j], step, middle, out[i:j]), x.size, GRAIN)
