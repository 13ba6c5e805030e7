"""The logarithm of a sum of exponentials: by its formula, with two passes, and on whole vectors."""

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.rows import as_rows, max_of_row, rows_and_grain
from coursekit.kernels.cpu.short_rows import SIDE_BY_SIDE, are_short
from coursekit.kernels.cpu.simd import broadcast, load, load_first, maximum, store, sum_across, width
from coursekit.kernels.cpu.simd_squares import turn
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.cpu.vector_math import exp_below
from coursekit.kernels.ops import OPS


@compiled
def _textbook(x, out):
    for m in range(x.shape[0]):
        top = -np.inf
        for n in range(x.shape[1]):
            top = max(top, x[m, n])
        shift = top if np.isfinite(top) else 0.0
        total = 0.0
        for n in range(x.shape[1]):
            total += np.exp(x[m, n] - shift)
        out[m] = np.log(total) + shift


@boundary(OPS["log_sum_exp"])
def log_sum_exp_textbook(x, *, out=None):
    """:func:`log_sum_exp` by its formula, in float64 whatever x is.

    The maximum is taken out first, so that exp does not overflow, unless it is infinite: then nothing would be left of
    -inf - -inf but nan, and there is nothing to guard against.
    """
    _textbook(as_rows(x), out.reshape(-1))


@compiled
def _rows(x, out):
    for m in range(x.shape[0]):
        out[m] = _row(x[m])


@compiled
def _row(x):
    top = x.dtype.type(-np.inf)
    for n in range(x.size):
        top = max(top, x[n])
    shift = top if np.isfinite(top) else x.dtype.type(0)
    total = x.dtype.type(0)
    for n in range(x.size):
        total += np.exp(x[n] - shift)
    return np.log(total) + shift


@boundary(OPS["log_sum_exp"])
def log_sum_exp_rows(x, *, out=None):
    """:func:`log_sum_exp` in its own precision, where exp of float32 costs half of what it does in float64."""
    _rows(as_rows(x), out.reshape(-1))


@compiled
def _vectors(x, out):
    N, n = x.shape[1], width(x)
    read = x.reshape(-1)
    nothing = broadcast(np.float32(-np.inf))
    for m in range(x.shape[0]):
        start, stop = m * N, m * N + N
        whole = start + N // n * n
        largest = max_of_row(read, start, N)
        if not np.isfinite(largest):
            out[m] = _row(x[m])
            continue
        top, total = broadcast(largest), broadcast(np.float32(0))
        for i in range(start, whole, n):
            total += exp_below(load(read, i) - top)
        if whole < stop:
            total += exp_below(load_first(read, whole, stop - whole, nothing) - top)
        out[m] = np.log(sum_across(total)) + largest


@compiled
def _short_rows(x, out):
    """Rows of up to four vectors, turned into columns, so that each lane adds up a row of its own."""
    M, N = x.shape
    n = width(x)
    columns = np.zeros((N, SIDE_BY_SIDE), x.dtype)
    read, top, total = columns.reshape(-1), np.empty(SIDE_BY_SIDE, x.dtype), np.empty(SIDE_BY_SIDE, x.dtype)
    for first in range(0, M, SIDE_BY_SIDE):
        turn(x[first : first + SIDE_BY_SIDE], columns)
        for j in range(0, SIDE_BY_SIDE, n):
            largest = broadcast(np.float32(-np.inf))
            for i in range(j, columns.size, SIDE_BY_SIDE):
                largest = maximum(load(read, i), largest)
            powers = broadcast(np.float32(0))
            for i in range(j, columns.size, SIDE_BY_SIDE):
                powers += exp_below(load(read, i) - largest)
            store(top, j, largest)
            store(total, j, powers)
        for m in range(first, min(first + SIDE_BY_SIDE, M)):
            largest = top[m - first]
            out[m] = np.log(total[m - first]) + largest if np.isfinite(largest) else _row(x[m])


def _kernel_for(x):
    if x.dtype != np.float32:
        return _rows
    return _short_rows if are_short(x.shape[1], x.dtype) else _vectors


@boundary(OPS["log_sum_exp"])
def log_sum_exp(x, *, out=None):
    """log Σ exp(x) along the last axis, safe for large and infinite entries: Blanchard, Higham and Higham, "Accurately
    computing the log-sum-exp and softmax functions", IMA Journal of Numerical Analysis 41(4), 2021, algorithm 3.1.

    The steps are those of :func:`log_sum_exp_rows`, on vectors; rows of up to four vectors are turned into columns
    first. A row whose maximum is infinite, or that is empty, is left to it. Nothing is written but one number for each
    row. The error is at most (N/L + 40) · 2⁻²⁴, with L lanes, or L = 1 in columns, beside the rounding of the result.
    float64 is done by :func:`log_sum_exp_rows`.

    Args:
        x: shape (..., N), float32 or float64; NumPy array or torch tensor on the CPU.
        out: shape (...), filled and returned where given; it must not share memory with x.

    Returns:
        Shape (...), of the dtype and kind of x. A row of -inf, or of nothing, gives -inf.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: x has no dimension, a tensor is not on the CPU, or ``out`` cannot be written without harm.
    """
    x, out = as_rows(x), out.reshape(-1)
    kernel = _kernel_for(x)
    split(lambda i, j: kernel(x[i:j], out[i:j]), *rows_and_grain(x))
