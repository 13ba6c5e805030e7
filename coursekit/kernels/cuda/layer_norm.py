"""Layer norm: one thread for each row, one block for each row, and a block that reads its row from memory once.

As on the CPU, what is hard is the variance. The mean of squares less the square of the mean is noise where the mean is
large, so the distances from the mean are squared, and what the rounded mean lacks is put right afterwards.
"""

import math

from numba import cuda, float32

from coursekit.kernels.cuda.arrays import boundary
from coursekit.kernels.cuda.device import blocks, launch
from coursekit.kernels.cuda.kernel import kernel
from coursekit.kernels.cuda.pointwise import as_rows, flat, last
from coursekit.kernels.cuda.rows import THREADS, can_keep_rows, row_threads
from coursekit.kernels.cuda.vectors import load4, store4
from coursekit.kernels.cuda.warps import block_sum
from coursekit.kernels.ops import OPS


@kernel("(float32[:, ::1], float32[::1], float32[::1], float32, float32[:, ::1])")
def _textbook(x, weight, bias, eps, out):
    m = cuda.grid(1)
    if m < x.shape[0]:
        T = x.dtype.type
        N = weight.size
        mean, variance = T(0), T(0)
        for n in range(N):
            mean += x[m, n] / T(N)
        for n in range(N):
            distance = x[m, n] - mean
            variance += distance * distance / T(N)
        for n in range(N):
            out[m, n] = (x[m, n] - mean) / math.sqrt(variance + eps) * weight[n] + bias[n]


@boundary(OPS["layer_norm"])
def layer_norm_textbook(x, weight, bias, *, eps=1e-5, out=None):
    """:func:`layer_norm` by its formula, with one thread for each row.

    Threads beside each other walk along different rows, so each read of a warp is 32 transactions; the sums are one
    long chain for each row, and their error grows with each addition.
    """
    if out.size:
        x, out = as_rows(x), as_rows(out)
        launch(_textbook, blocks(x.shape[0], THREADS), THREADS, x, weight, bias, x.dtype.type(eps), out)


@cuda.jit(device=True)
def corrected(rest, square, N, eps):
    """The mean of the distances from the rounded mean, and 1 / √(variance + eps), from the sums of them and of their
    squares."""
    T = type(rest)
    rest /= T(N)
    return rest, T(1) / math.sqrt(max(square / T(N) - rest * rest, T(0)) + eps)


@cuda.jit(device=True)
def normalise_numbers(x, start, N, total, weight, bias, eps, out, scratch):
    """What a block does with a row when each thread has the sum of its numbers in ``total``."""
    t, step = cuda.threadIdx.x, cuda.blockDim.x
    centre = block_sum(total, scratch) / x.dtype.type(N)
    rest = square = x.dtype.type(0)
    for n in range(t, N, step):
        distance = x[start + n] - centre
        rest += distance
        square += distance * distance
    rest, scale = corrected(block_sum(rest, scratch), block_sum(square, scratch), N, eps)
    for n in range(t, N, step):
        out[start + n] = (x[start + n] - centre - rest) * scale * weight[n] + bias[n]


@kernel("(float32[::1], float32[::1], float32[::1], float32, float32[::1])")
def _blocks(x, weight, bias, eps, out):
    scratch = cuda.shared.array(THREADS, dtype=x.dtype)
    N = weight.size
    start = cuda.blockIdx.x * N
    total = x.dtype.type(0)
    for n in range(cuda.threadIdx.x, N, cuda.blockDim.x):
        total += x[start + n]
    normalise_numbers(x, start, N, total, weight, bias, eps, out, scratch)


def run_blocks(x, weight, bias, eps, out) -> None:
    """Launch a block for each row, which reads it a number at a time."""
    N = last(x)
    launch(_blocks, x.size // N, row_threads(N), *flat(x, weight, bias), eps, *flat(out))


@boundary(OPS["layer_norm"])
def layer_norm_blocks(x, weight, bias, *, eps=1e-5, out=None):
    """:func:`layer_norm` with a block for each row: neighbours read neighbouring numbers.

    The mean comes out rounded; the mean of the distances from it is what it lacks. With that the variance is right
    (Chan, Golub and LeVeque, "Algorithms for computing the sample variance", The American Statistician 37(3), 1983,
    the corrected two-pass algorithm). A row is read three times, and written once: 16 bytes for each number of float32
    in all, unless a cache still has the row.
    """
    if out.size:
        run_blocks(x, weight, bias, x.dtype.type(eps), out)


@cuda.jit(device=True)
def normalise_fours(row, start, N, total, weight, bias, eps, out, scratch):
    """As :func:`normalise_numbers`, for a row that stands in shared memory; a thread meets there its own numbers only,
    so there is no barrier but those of the sums."""
    t, step = 4 * cuda.threadIdx.x, 4 * cuda.blockDim.x
    centre = block_sum(total, scratch) / float32(N)
    rest = square = float32(0)
    for n in range(t, N, step):
        a, b, c, d = load4(row, n)
        a, b, c, d = a - centre, b - centre, c - centre, d - centre
        rest += (a + b) + (c + d)
        square += (a * a + b * b) + (c * c + d * d)
    rest, scale = corrected(block_sum(rest, scratch), block_sum(square, scratch), N, eps)
    for n in range(t, N, step):
        a, b, c, d = load4(row, n)
        p, q, r, s = load4(weight, n)
        e, f, g, h = load4(bias, n)
        a, b = (a - centre - rest) * scale * p + e, (b - centre - rest) * scale * q + f
        c, d = (c - centre - rest) * scale * r + g, (d - centre - rest) * scale * s + h
        store4(out, start + n, a, b, c, d)


@kernel(
    "(float32[::1], float32[::1], float32[::1], float32, float32[::1])",
    tuned=True,
    expects=("LDG.E.128", "STG.E.128", "LDS.128", "SHFL"),
)
def _rows(x, weight, bias, eps, out):
    row = cuda.shared.array(0, dtype=float32)
    scratch = cuda.shared.array(THREADS, dtype=float32)
    N = weight.size
    start = cuda.blockIdx.x * N
    total = float32(0)
    for n in range(4 * cuda.threadIdx.x, N, 4 * cuda.blockDim.x):
        a, b, c, d = load4(x, start + n)
        store4(row, n, a, b, c, d)
        total += (a + b) + (c + d)
    normalise_fours(row, start, N, total, weight, bias, eps, out, scratch)


@boundary(OPS["layer_norm"])
def layer_norm(x, weight, bias, *, eps=1e-5, out=None):
    """(x - mean) / √(variance + eps) · weight + bias along the last axis: Ba, Kiros and Hinton, "Layer Normalization",
    arXiv:1607.06450.

    The steps are those of :func:`layer_norm_blocks`, but a block keeps its row in shared memory: it comes from global
    memory once, 128 bits in a load, and 8 bytes move for each number where 16 did. A block has no more threads than its
    row has fours, one warp at least. float64, rows that shared memory does not hold, those whose length is no multiple
    of four, and arrays that begin at no multiple of 16 bytes are left to :func:`layer_norm_blocks`. With deviation σ
    the error is about 2⁻²² · (1 + (N/1024 + 10) · |mean|/σ · 2⁻²⁴) of each element before weight and bias.

    Args:
        x: shape (..., N), float32 or float64; NumPy array, device array, or torch tensor on the GPU.
        weight, bias: shape (N,), of the same dtype and kind.
        eps: added to the variance.
        out: shape of x, filled and returned where given; it may be x itself.

    Returns:
        The shape, dtype and kind of x. A row with an infinity or nan gives nan.

    Raises:
        RuntimeError: there is no GPU, and the simulator is off.
        TypeError: an argument is no array, or of another kind or dtype; ``eps`` is no number.
        ValueError: shapes do not fit, ``eps`` is below 0, a tensor is not on the GPU, or ``out`` cannot be written
            without harm.
    """
    if not out.size:
        return
    N, eps = last(x), x.dtype.type(eps)
    if can_keep_rows(N, x, weight, bias, out):
        grid, threads = x.size // N, row_threads(N, 4)
        launch(_rows, grid, threads, *flat(x), weight, bias, eps, *flat(out), shared=4 * N)
    else:
        run_blocks(x, weight, bias, eps, out)
