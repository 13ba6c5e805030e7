"""The logarithm of a sum of exponentials: one thread for each row, a block that reads it twice, then once."""

import math

from numba import cuda

from coursekit.kernels.cuda.arrays import boundary
from coursekit.kernels.cuda.device import blocks, launch
from coursekit.kernels.cuda.kernel import kernel
from coursekit.kernels.cuda.pointwise import as_rows, can_use_fours, flat, last
from coursekit.kernels.cuda.reduce import numbers_of
from coursekit.kernels.cuda.rows import THREADS, row_threads
from coursekit.kernels.cuda.vectors import load4
from coursekit.kernels.cuda.warps import block_max, block_sum, larger
from coursekit.kernels.ops import OPS


@cuda.jit(device=True)
def _shift(top):
    """What is taken off each number so that exp does not overflow: the maximum, or nothing if that is infinite."""
    T = type(top)
    return top if T(-math.inf) < top and top < T(math.inf) else T(0)


@cuda.jit(device=True)
def _log(total, top):
    return math.log(total) + _shift(top) if total != 0 else type(total)(-math.inf)


@kernel("(float32[:, ::1], float32[::1])")
def _textbook(x, out):
    m = cuda.grid(1)
    if m < out.size:
        top, total = x.dtype.type(-math.inf), x.dtype.type(0)
        for n in range(x.shape[1]):
            top = larger(top, x[m, n])
        for n in range(x.shape[1]):
            total += math.exp(x[m, n] - _shift(top))
        out[m] = _log(total, top)


@boundary(OPS["log_sum_exp"])
def log_sum_exp_textbook(x, *, out=None):
    """:func:`log_sum_exp` with one thread for each row, which reads it twice, each time in transactions of its own."""
    if out.size:
        launch(_textbook, blocks(out.size, THREADS), THREADS, as_rows(x), *flat(out))


@kernel("(float32[::1], int64, float32[::1])")
def _blocks(x, N, out):
    scratch = cuda.shared.array(THREADS, dtype=x.dtype)
    m, t = cuda.blockIdx.x, cuda.threadIdx.x
    top, total = x.dtype.type(-math.inf), x.dtype.type(0)
    for i in range(m * N + t, m * N + N, cuda.blockDim.x):
        top = larger(top, x[i])
    top = block_max(top, scratch)
    for i in range(m * N + t, m * N + N, cuda.blockDim.x):
        total += math.exp(x[i] - _shift(top))
    total = block_sum(total, scratch)
    if t == 0:
        out[m] = _log(total, top)


@boundary(OPS["log_sum_exp"])
def log_sum_exp_blocks(x, *, out=None):
    """:func:`log_sum_exp` with a block for each row: neighbours read neighbouring numbers, for the maximum and again
    for the sum. The second reading comes from a cache, if the row is still there."""
    if out.size:
        N = last(x)
        launch(_blocks, out.size, row_threads(N), numbers_of(x, out), N, *flat(out))


@cuda.jit(device=True)
def _rescaled(total, old, new):
    """A sum of exponentials with one maximum taken off, as it is with another. What is 0 stays so: the factor may be
    infinite for a thread that has seen no number yet."""
    return total * math.exp(_shift(old) - _shift(new)) if total != 0 else total


@kernel("(float32[::1], int64, float32[::1])", tuned=True, expects=("LDG.E.128", "SHFL"))
def _online(x, N, out):
    scratch = cuda.shared.array(THREADS, dtype=x.dtype)
    m, t = cuda.blockIdx.x, cuda.threadIdx.x
    top, total = x.dtype.type(-math.inf), x.dtype.type(0)
    for i in range(m * N + 4 * t, m * N + N, 4 * cuda.blockDim.x):
        a, b, c, d = load4(x, i)
        highest = larger(top, larger(larger(a, b), larger(c, d)))
        if highest != top:
            total = _rescaled(total, top, highest)
            top = highest
        shift = _shift(top)
        total += (math.exp(a - shift) + math.exp(b - shift)) + (math.exp(c - shift) + math.exp(d - shift))
    highest = block_max(top, scratch)
    total = block_sum(_rescaled(total, top, highest), scratch)
    if t == 0:
        out[m] = _log(total, highest)


@boundary(OPS["log_sum_exp"])
def log_sum_exp(x, *, out=None):
    """log Σ exp(x) along the last axis, safe for large and infinite entries: Blanchard, Higham and Higham, "Accurately
    computing the log-sum-exp and softmax functions", IMA Journal of Numerical Analysis 41(4), 2021, algorithm 3.1;
    in one pass, Milakov and Gimelshein, "Online normalizer calculation for softmax", arXiv:1805.02867, algorithm 3.

    A thread keeps the largest number so far and the sum of exponentials without it, and multiplies the sum by
    another exponential when a larger number comes. So each number is read once, 128 bits in a load, and no row is too
    long, since none is kept. float64, rows whose length is no multiple of four, and arrays that begin at no multiple
    of 16 bytes are done by :func:`log_sum_exp_blocks`. The error is at most about (N/512 + 40) · 2⁻²⁴ in float32,
    beside the rounding of the result.

    Args:
        x: shape (..., N), float32 or float64; NumPy array, device array, or torch tensor on the GPU.
        out: shape (...), filled and returned where given; it must not share memory with x.

    Returns:
        Shape (...), of the dtype and kind of x. A row of -inf, or of nothing, gives -inf.

    Raises:
        RuntimeError: there is no GPU, and the simulator is off.
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: x has no dimension, a tensor is not on the GPU, or ``out`` cannot be written without harm.
    """
    if not out.size:
        return
    N, x, out = last(x), numbers_of(x, out), out.reshape(out.size)
    if N % 4 == 0 and can_use_fours(x):
        launch(_online, out.size, row_threads(N, 4), x, N, out)
    else:
        launch(_blocks, out.size, row_threads(N), x, N, out)
