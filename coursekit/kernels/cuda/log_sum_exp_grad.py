"""The gradient of log-sum-exp, softmax times a number for each row: one thread, one block, and each row read once."""

import math

from numba import cuda, float32

from coursekit.kernels.cuda.arrays import boundary
from coursekit.kernels.cuda.device import blocks, launch
from coursekit.kernels.cuda.kernel import kernel
from coursekit.kernels.cuda.pointwise import as_rows, flat, last
from coursekit.kernels.cuda.rows import THREADS, can_keep_rows, row_threads
from coursekit.kernels.cuda.vectors import load4, store4
from coursekit.kernels.cuda.warps import block_max, block_sum, larger
from coursekit.kernels.ops import OPS


@kernel("(float32[:, ::1], float32[::1], float32[:, ::1])")
def _textbook(x, gradient, out):
    m = cuda.grid(1)
    if m < x.shape[0]:
        top, total = x.dtype.type(-math.inf), x.dtype.type(0)
        for n in range(x.shape[1]):
            top = larger(top, x[m, n])
        for n in range(x.shape[1]):
            total += math.exp(x[m, n] - top)
        for n in range(x.shape[1]):
            out[m, n] = gradient[m] * math.exp(x[m, n] - top) / total


@boundary(OPS["log_sum_exp_grad"])
def log_sum_exp_grad_textbook(x, gradient, *, out=None):
    """:func:`log_sum_exp_grad` by its formula, with one thread for each row and two exponentials for each number."""
    if out.size:
        x, out = as_rows(x), as_rows(out)
        launch(_textbook, blocks(x.shape[0], THREADS), THREADS, x, *flat(gradient), out)


@kernel("(float32[::1], int64, float32[::1], float32[::1])")
def _blocks(x, N, gradient, out):
    scratch = cuda.shared.array(THREADS, dtype=x.dtype)
    m, t, step = cuda.blockIdx.x, cuda.threadIdx.x, cuda.blockDim.x
    top, total = x.dtype.type(-math.inf), x.dtype.type(0)
    for i in range(m * N + t, m * N + N, step):
        top = larger(top, x[i])
    top = block_max(top, scratch)
    for i in range(m * N + t, m * N + N, step):
        power = math.exp(x[i] - top)
        out[i] = power
        total += power
    scale = gradient[m] / block_sum(total, scratch)
    for i in range(m * N + t, m * N + N, step):
        out[i] *= scale


def _run_blocks(x, gradient, out):
    N = last(x)
    launch(_blocks, x.size // N, row_threads(N), *flat(x), N, *flat(gradient, out))


@boundary(OPS["log_sum_exp_grad"])
def log_sum_exp_grad_blocks(x, gradient, *, out=None):
    """:func:`log_sum_exp_grad` with a block for each row, one exponential for each number, and a division for each row.

    ``out`` keeps the exponentials until their sum is known: three reads and two writes for each number.
    """
    if out.size:
        _run_blocks(x, gradient, out)


@kernel(
    "(float32[::1], int64, float32[::1], float32[::1])",
    tuned=True,
    expects=("LDG.E.128", "STG.E.128", "LDS.128", "SHFL"),
)
def _rows(x, N, gradient, out):
    row = cuda.shared.array(0, dtype=float32)
    scratch = cuda.shared.array(THREADS, dtype=float32)
    start, t, step = cuda.blockIdx.x * N, 4 * cuda.threadIdx.x, 4 * cuda.blockDim.x
    top, total = float32(-math.inf), float32(0)
    for n in range(t, N, step):
        a, b, c, d = load4(x, start + n)
        store4(row, n, a, b, c, d)
        top = larger(top, larger(larger(a, b), larger(c, d)))
    top = block_max(top, scratch)
    for n in range(t, N, step):
        a, b, c, d = load4(row, n)
        a, b, c, d = math.exp(a - top), math.exp(b - top), math.exp(c - top), math.exp(d - top)
        store4(row, n, a, b, c, d)
        total += (a + b) + (c + d)
    scale = gradient[cuda.blockIdx.x] / block_sum(total, scratch)
    for n in range(t, N, step):
        a, b, c, d = load4(row, n)
        store4(out, start + n, a * scale, b * scale, c * scale, d * scale)


@boundary(OPS["log_sum_exp_grad"])
def log_sum_exp_grad(x, gradient, *, out=None):
    """The gradient with respect to x, from that with respect to log Σ exp(x): Blanchard, Higham and Higham, "Accurately
    computing the log-sum-exp and softmax functions", IMA Journal of Numerical Analysis 41(4), 2021, equation 1.5.

    A row is a row of :func:`softmax` whose last factor is multiplied by the gradient, so nothing is written twice: the
    row comes from memory once, 128 bits at a time, stays in shared memory, and is written once. float64, rows that
    shared memory does not hold, those whose length is no multiple of four, and arrays that begin at no multiple of 16
    bytes are done by :func:`log_sum_exp_grad_blocks`. The error is that of softmax, and one more rounding.

    Args:
        x: shape (..., N), float32 or float64; NumPy array, device array, or torch tensor on the GPU.
        gradient: shape (...), of the same dtype and kind.
        out: shape of x, filled and returned where given; it may be x itself.

    Returns:
        The shape, dtype and kind of x. A row of nothing but -inf gives nan, as does one with +inf.

    Raises:
        RuntimeError: there is no GPU, and the simulator is off.
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, a tensor is not on the GPU, or ``out`` cannot be written without harm.
    """
    if not out.size:
        return
    N = last(x)
    if can_keep_rows(N, x, out):
        grid, threads = x.size // N, row_threads(N, 4)
        launch(_rows, grid, threads, *flat(x), N, *flat(gradient, out), shared=4 * N)
    else:
        _run_blocks(x, gradient, out)
