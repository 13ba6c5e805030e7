"""RMS norm, the layer norm without a mean: one thread for each row, one block, and a block that reads its row once."""

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


@kernel("(float32[:, ::1], float32[::1], float32, float32[:, ::1])")
def _textbook(x, weight, eps, out):
    m = cuda.grid(1)
    if m < x.shape[0]:
        T = x.dtype.type
        N = weight.size
        square = T(0)
        for n in range(N):
            square += x[m, n] * x[m, n] / T(N)
        for n in range(N):
            out[m, n] = x[m, n] / math.sqrt(square + eps) * weight[n]


@boundary(OPS["rms_norm"])
def rms_norm_textbook(x, weight, *, eps=1e-6, out=None):
    """:func:`rms_norm` by its formula, with one thread for each row: each read of a warp is 32 transactions."""
    if out.size:
        x, out = as_rows(x), as_rows(out)
        launch(_textbook, blocks(x.shape[0], THREADS), THREADS, x, weight, x.dtype.type(eps), out)


@cuda.jit(device=True)
def scale_of_row(square, N, eps, scratch):
    """1 / √(mean square + eps), when each thread has the sum of its squares."""
    T = type(square)
    return T(1) / math.sqrt(block_sum(square, scratch) / T(N) + eps)


@kernel("(float32[::1], float32[::1], float32, float32[::1])")
def _blocks(x, weight, eps, out):
    scratch = cuda.shared.array(THREADS, dtype=x.dtype)
    N = weight.size
    start, t = cuda.blockIdx.x * N, cuda.threadIdx.x
    square = x.dtype.type(0)
    for n in range(t, N, cuda.blockDim.x):
        square += x[start + n] * x[start + n]
    scale = scale_of_row(square, N, eps, scratch)
    for n in range(t, N, cuda.blockDim.x):
        out[start + n] = x[start + n] * scale * weight[n]


def _run_blocks(x, weight, eps, out):
    N = last(x)
    launch(_blocks, x.size // N, row_threads(N), *flat(x), weight, eps, *flat(out))


@boundary(OPS["rms_norm"])
def rms_norm_blocks(x, weight, *, eps=1e-6, out=None):
    """:func:`rms_norm` with a block for each row: neighbours read neighbouring numbers, and there is one square root
    and one division for each row. A row is read twice and written once, 12 bytes for each number of float32."""
    if out.size:
        _run_blocks(x, weight, x.dtype.type(eps), out)


@kernel(
    "(float32[::1], float32[::1], float32, float32[::1])",
    tuned=True,
    expects=("LDG.E.128", "STG.E.128", "LDS.128", "SHFL"),
)
def _rows(x, weight, eps, out):
    row = cuda.shared.array(0, dtype=float32)
    scratch = cuda.shared.array(THREADS, dtype=float32)
    N = weight.size
    start, t, step = cuda.blockIdx.x * N, 4 * cuda.threadIdx.x, 4 * cuda.blockDim.x
    square = float32(0)
    for n in range(t, N, step):
        a, b, c, d = load4(x, start + n)
        store4(row, n, a, b, c, d)
        square += (a * a + b * b) + (c * c + d * d)
    scale = scale_of_row(square, N, eps, scratch)
    for n in range(t, N, step):
        a, b, c, d = load4(row, n)
        p, q, r, s = load4(weight, n)
        store4(out, start + n, a * scale * p, b * scale * q, c * scale * r, d * scale * s)


@boundary(OPS["rms_norm"])
def rms_norm(x, weight, *, eps=1e-6, out=None):
    """x / √(mean x² + eps) · weight along the last axis: Zhang and Sennrich, "Root Mean Square Layer Normalization",
    arXiv:1910.07467, section 4.

    A block loads its row once, 128 bits at a time, keeps it in shared memory, and writes it once: 8 bytes move for each
    number. float64, rows that shared memory does not hold, those whose length is no multiple of four, and arrays that
    begin at no multiple of 16 bytes are done by :func:`rms_norm_blocks`. All terms of the sum are positive, so nothing
    cancels: the error is at most (N/2048 + 16) · 2⁻²⁴ of each element in float32. Squares of numbers beyond 1e19
    overflow in float32, as they do in torch, and the row becomes 0.

    Args:
        x: shape (..., N), float32 or float64; NumPy array, device array, or torch tensor on the GPU.
        weight: shape (N,), of the same dtype and kind.
        eps: added to the mean square.
        out: shape of x, filled and returned where given; it may be x itself.

    Returns:
        The shape, dtype and kind of x.

    Raises:
        RuntimeError: there is no GPU, and the simulator is off.
        TypeError: an argument is no array, or of another kind or dtype; ``eps`` is no number.
        ValueError: shapes do not fit, ``eps`` is below 0, a tensor is not on the GPU, or ``out`` cannot be written
            without harm.
    """
    if not out.size:
        return
    N, eps = last(x), x.dtype.type(eps)
    if can_keep_rows(N, x, weight, out):
        launch(_rows, x.size // N, row_threads(N, 4), *flat(x), weight, eps, *flat(out), shared=4 * N)
    else:
        _run_blocks(x, weight, eps, out)
