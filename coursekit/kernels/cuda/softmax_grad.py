"""The gradient of softmax: one thread for each row, one block for each row, and a block that reads its rows once."""

from numba import cuda, float32

from coursekit.kernels.cuda.arrays import boundary
from coursekit.kernels.cuda.device import blocks, launch
from coursekit.kernels.cuda.kernel import kernel
from coursekit.kernels.cuda.pointwise import flat
from coursekit.kernels.cuda.rows import THREADS, can_keep_rows, row_threads
from coursekit.kernels.cuda.softmax import around
from coursekit.kernels.cuda.vectors import load4, store4
from coursekit.kernels.cuda.warps import block_sum
from coursekit.kernels.ops import OPS


@kernel("(float32[:, :, ::1], float32[:, :, ::1], float32[:, :, ::1])")
def _textbook(y, g, out):
    i, j = divmod(cuda.grid(1), y.shape[2])
    if i < y.shape[0]:
        mean = y.dtype.type(0)
        for n in range(y.shape[1]):
            mean += y[i, n, j] * g[i, n, j]
        for n in range(y.shape[1]):
            out[i, n, j] = y[i, n, j] * (g[i, n, j] - mean)


@boundary(OPS["softmax_grad"])
def softmax_grad_textbook(probabilities, gradient, *, axis=-1, out=None):
    """:func:`softmax_grad` by its formula, with one thread for each row: the mean of the gradient, weighted by the
    probabilities, is taken off. Along the last axis each read of a warp is 32 transactions."""
    if out.size:
        y, g, out = (around(axis, array) for array in (probabilities, gradient, out))
        launch(_textbook, blocks(y.shape[0] * y.shape[2], THREADS), THREADS, y, g, out)


@kernel("(float32[:, :, ::1], float32[:, :, ::1], float32[:, :, ::1])")
def _blocks(y, g, out):
    scratch = cuda.shared.array(THREADS, dtype=y.dtype)
    i, j = divmod(cuda.blockIdx.x, y.shape[2])
    t, N, step = cuda.threadIdx.x, y.shape[1], cuda.blockDim.x
    mean = y.dtype.type(0)
    for n in range(t, N, step):
        mean += y[i, n, j] * g[i, n, j]
    mean = block_sum(mean, scratch)
    for n in range(t, N, step):
        out[i, n, j] = y[i, n, j] * (g[i, n, j] - mean)


def _run_blocks(y, g, out):
    launch(_blocks, y.shape[0] * y.shape[2], row_threads(y.shape[1]), y, g, out)


@boundary(OPS["softmax_grad"])
def softmax_grad_blocks(probabilities, gradient, *, axis=-1, out=None):
    """:func:`softmax_grad` with a block for each row. Both rows are read twice and one is written: 20 bytes for each
    number of float32, unless a cache still has them."""
    if out.size:
        _run_blocks(*(around(axis, array) for array in (probabilities, gradient, out)))


@kernel(
    "(float32[::1], float32[::1], int64, float32[::1])",
    tuned=True,
    expects=("LDG.E.128", "STG.E.128", "LDS.128", "SHFL"),
)
def _rows(y, g, N, out):
    """The row of y stands in shared memory, and behind it that of g."""
    rows = cuda.shared.array(0, dtype=float32)
    scratch = cuda.shared.array(THREADS, dtype=float32)
    start, t, step = cuda.blockIdx.x * N, 4 * cuda.threadIdx.x, 4 * cuda.blockDim.x
    mean = float32(0)
    for n in range(t, N, step):
        a, b, c, d = load4(y, start + n)
        p, q, r, s = load4(g, start + n)
        store4(rows, n, a, b, c, d)
        store4(rows, N + n, p, q, r, s)
        mean += (a * p + b * q) + (c * r + d * s)
    mean = block_sum(mean, scratch)
    for n in range(t, N, step):
        a, b, c, d = load4(rows, n)
        p, q, r, s = load4(rows, N + n)
        store4(out, start + n, a * (p - mean), b * (q - mean), c * (r - mean), d * (s - mean))


@boundary(OPS["softmax_grad"])
def softmax_grad(probabilities, gradient, *, axis=-1, out=None):
    """The gradient with respect to the argument of softmax, from its result and the gradient with respect to that:
    y · (g - Σ y·g), Bridle, "Probabilistic Interpretation of Feedforward Classification Network Outputs", 1990.

    Along the last axis a block keeps both of its rows in shared memory: 12 bytes move for each number, and all of them
    128 bits at a time. Other axes, float64, rows that shared memory does not hold, those whose length is no multiple of
    four, and arrays that begin at no multiple of 16 bytes are done by :func:`softmax_grad_blocks`. The error is at most
    y · (N/512 + 13) · 2⁻²⁴ · max |g| in float32.

    Args:
        probabilities: what softmax gave, any shape of one dimension or more, float32 or float64; NumPy array, device
            array, or torch tensor on the GPU.
        gradient: of the same shape, dtype and kind.
        axis: the axis of the softmax.
        out: of the same shape, filled and returned where given; it may be either of the two.

    Returns:
        The shape, dtype and kind of the probabilities.

    Raises:
        RuntimeError: there is no GPU, and the simulator is off.
        TypeError: an argument is no array, or of another kind or dtype; ``axis`` is no int.
        ValueError: shapes do not fit, ``axis`` is out of range, a tensor is not on the GPU, or ``out`` cannot be
            written without harm.
    """
    if not out.size:
        return
    y, g, out = (around(axis, array) for array in (probabilities, gradient, out))
    count, N, inner = y.shape
    if inner == 1 and can_keep_rows(N, y, g, out, arrays=2):
        y, g, out = flat(y, g, out)
        launch(_rows, count, row_threads(N, 4), y, g, N, out, shared=8 * N)
    else:
        _run_blocks(y, g, out)
