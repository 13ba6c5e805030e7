"""The logarithm of a sum of exponentials: by its formula, with two passes, and on whole vectors."""

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.rows import as_rows, max_of_row, rows_and_grain
from coursekit.kernels.cpu.simd import broadcast, load, load_first, sum_across, width
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


@boundary(OPS["log_sum_exp"])
def log_sum_exp(x, *, out=None):
    """log Σ exp(x) along the last axis, safe for large and infinite entries: Blanchard, Higham and Higham, "Accurately
    computing the log-sum-exp and softmax functions", IMA Journal of Numerical Analysis 41(4), 2021, algorithm 3.1.

    The steps are those of :func:`log_sum_exp_rows`, on vectors; a row whose maximum is infinite, or that is empty, is
    left to it. Nothing is written but one number for each row. The error is at most (N/L + 40) · 2⁻²⁴, with L
    lanes, beside the rounding of the result. float64 is done by :func:`log_sum_exp_rows`.

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
    kernel = _vectors if x.dtype == np.float32 else _rows
    split(lambda i, j: kernel(x[i:j], out[i:j]), *rows_and_grain(x))
