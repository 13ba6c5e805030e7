"""Sums in int32 brought to int8 by a multiplication and a shift: one by one, and on vectors.

A factor below a quarter is multiplier / 2^shift, with a multiplier of 31 bits. The product of two int32 fits int64;
half a unit is added before the shift, and one less where the product is negative, which rounds halves away from zero.
The shift is at least 33, so that only the upper half of each product counts, half a unit included.
"""

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.rows import load_part, rows_and_grain
from coursekit.kernels.cpu.simd import LANES, load, maximum, minimum
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


FIELDS = 7
"""Vectors of the table for each register of columns: bias, multiplier, half a unit, shift, zero, low and high."""


@compiled
def scale_table(bias, multiplier, shift, zero, low, high):
    """All that columns are rescaled by, side by side for each register of them.

    It is read anew for each result. A multiplier that stays in a register is one of which the compiler forgets that it
    has 32 bits, and then a product of 64 bits takes three of 32.
    """
    table = np.zeros((-(-bias.size // LANES), FIELDS, LANES), np.int32)
    for n in range(bias.size):
        block, lane = table[n // LANES], n % LANES
        block[0, lane], block[1, lane] = bias[n], multiplier[n]
        block[2, lane], block[3, lane] = np.int32(1) << (shift[n] - 33), shift[n] - 32
        block[4, lane], block[5, lane], block[6, lane] = zero, low, high
    return table.reshape(-1)


@compiled(inline=True)
def store_rescaled(out, at, total, table, t, count):
    """The vector ``total`` brought to int8 by the table from t on, and its first ``count`` numbers written."""
    n = LANES
    steps = multiply_shift(
        total + load(table, t), load(table, t + n), load(table, t + 2 * n), load(table, t + 3 * n)
    )
    steps = maximum(steps + load(table, t + 4 * n), load(table, t + 5 * n))
    steps = minimum(steps, load(table, t + 6 * n))
    if count >= LANES:
        store_bytes(out, at, steps)
    else:
        store_first_bytes(out, at, steps, count)


@compiled
def _vectors(x, bias, multiplier, shift, zero, low, high, out):
    M, N = x.shape
    read, write = x.reshape(-1), out.reshape(-1)
    table = scale_table(bias, multiplier, shift, zero, low, high)
    for m in range(M):
        for c in range(0, N, LANES):
            total = load_part(read, m * N + c, N - c)
            store_rescaled(write, m * N + c, total, table, c * FIELDS, N - c)


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
        shift: shape (N,), int32, each from 33 to 62.
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
