"""Sums in int32 brought to int8 by a multiplication and a shift: one by one, and on vectors.

A factor below one half is multiplier / 2^shift, with a multiplier of 31 bits. The product of two int32 fits int64; half
a unit is added before the shift, and one less where the product is negative, which rounds halves away from zero. The
shift is at least 32, so that only the upper half of
each product is kept, and a register holds as many numbers as before.
"""

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.rows import load_part, rows_and_grain
from coursekit.kernels.cpu.simd import LANES, broadcast, maximum, minimum, width
from coursekit.kernels.cpu.simd_integers import multiply_shift, store_bytes, store_first_bytes
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.ops import OPS


@compiled(inline=True)
def rescale_one(total, multiplier, shift, zero, low, high):
    """One sum, as :func:`requantize` does it."""
    product = np.int64(total) * np.int64(multiplier)
    half = np.int64(1) << np.int64(shift - 1)
    steps = (product + half - (product < 0)) >> np.int64(shift)
    return np.int8(min(max(steps + zero, low), high))


@compiled
def _textbook(x, bias, multiplier, shift, zero, low, high, out):
    for m in range(x.shape[0]):
        for n in range(x.shape[1]):
            total = np.int32(x[m, n] + bias[n])
            out[m, n] = rescale_one(total, multiplier[n], shift[n], zero, low, high)


@boundary(OPS["requantize"])
def requantize_textbook(x, bias, multiplier, shift, *, zero=0, low=-128, high=127, out=None):
    """:func:`requantize` as it is defined, number by number."""
    _textbook(x, bias, multiplier, shift, zero, low, high, out)


@compiled(inline=True)
def load_scale(bias, multiplier, shift, c, zero, low, high):
    """What columns from c on are rescaled by, in registers; zeros beyond the last column."""
    count = bias.size - c
    return (
        load_part(bias, c, count),
        load_part(multiplier, c, count),
        maximum(load_part(shift, c, count), broadcast(np.int32(32))),
        broadcast(np.int32(zero)),
        broadcast(np.int32(low)),
        broadcast(np.int32(high)),
    )


@compiled(inline=True)
def store_rescaled(out, at, total, scale, count):
    """The vector ``total`` brought to int8, and its first ``count`` numbers written."""
    bias, multiplier, shift, zero, low, high = scale
    steps = multiply_shift(total + bias, multiplier, shift) + zero
    steps = minimum(maximum(steps, low), high)
    if count >= LANES:
        store_bytes(out, at, steps)
    else:
        store_first_bytes(out, at, steps, count)


@compiled
def _vectors(x, bias, multiplier, shift, zero, low, high, out):
    M, N = x.shape
    read, write = x.reshape(-1), out.reshape(-1)
    for c in range(0, N, width(bias)):
        scale = load_scale(bias, multiplier, shift, c, zero, low, high)
        for m in range(M):
            store_rescaled(write, m * N + c, load_part(read, m * N + c, N - c), scale, N - c)


@boundary(OPS["requantize"])
def requantize(x, bias, multiplier, shift, *, zero=0, low=-128, high=127, out=None):
    """Sums in int32 brought to int8 by a multiplication and a shift, halves away from zero.

    Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only inference", CVPR
    2018, section 2.2 and appendix B; they round twice, here it is once. A ReLU costs nothing: it is a ``low`` that
    equals ``zero``. The result is exact, and so the same on all machines.

    Args:
        x: shape (M, N), int32; NumPy array or torch tensor on the CPU.
        bias: shape (N,), int32, of the same kind; added modulo 2³².
        multiplier: shape (N,), int32, 0 or more: that of column n divided by 2^shift[n] is what x is multiplied by.
        shift: shape (N,), int32, each from 32 to 62.
        zero: added to the quotient: the integer that stands for 0.
        low: the smallest result.
        high: the largest result.
        out: shape (M, N), int8, filled and returned where given.

    Returns:
        Shape (M, N), int8, of the inputs' kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; an option is no int.
        ValueError: shapes do not fit, an option is out of range, a tensor is not on the CPU, or ``out`` cannot be
            written without harm.
    """
    how = (bias, multiplier, shift, int(zero), int(low), int(high))
    split(lambda i, j: _vectors(x[i:j], *how, out[i:j]), *rows_and_grain(x))
