"""A residual connection and the layer norm after it: in two launches, in one, and with each row read once."""

from numba import cuda, float32

from coursekit.kernels.cuda import pointwise
from coursekit.kernels.cuda.arrays import boundary
from coursekit.kernels.cuda.device import launch
from coursekit.kernels.cuda.kernel import kernel
from coursekit.kernels.cuda.layer_norm import normalise_fours, normalise_numbers, run_blocks
from coursekit.kernels.cuda.pointwise import flat, last
from coursekit.kernels.cuda.rows import THREADS, can_keep_rows, row_threads
from coursekit.kernels.cuda.vectors import load4, store4
from coursekit.kernels.ops import OPS


@cuda.jit(device=True)
def _plus(x, y):
    return x + y


_add = pointwise.of_pairs(__name__, "add", _plus)


@boundary(OPS["add_layer_norm"])
def add_layer_norm_textbook(x, residual, weight, bias, *, eps=1e-5, out=None):
    """:func:`add_layer_norm` as a network says it: first the sum of all, then the norm of all.

    Two launches, and between them the sum goes to memory: where it is larger than the cache, the second launch reads
    it from there again.
    """
    total, norm = out
    if total.size:
        pointwise.run_numbers(_add, x, residual, out=total)
        run_blocks(total, weight, bias, x.dtype.type(eps), norm)


@kernel("(float32[::1], float32[::1], float32[::1], float32[::1], float32, float32[::1], float32[::1])")
def _blocks(x, residual, weight, bias, eps, total, norm):
    scratch = cuda.shared.array(THREADS, dtype=x.dtype)
    N = weight.size
    start = cuda.blockIdx.x * N
    part = x.dtype.type(0)
    for i in range(start + cuda.threadIdx.x, start + N, cuda.blockDim.x):
        v = x[i] + residual[i]
        total[i] = v
        part += v
    normalise_numbers(total, start, N, part, weight, bias, eps, norm, scratch)


def _run_blocks(x, residual, weight, bias, eps, total, norm):
    N = last(x)
    launch(_blocks, x.size // N, row_threads(N), *flat(x, residual), weight, bias, eps, *flat(total, norm))


@boundary(OPS["add_layer_norm"])
def add_layer_norm_fused(x, residual, weight, bias, *, eps=1e-5, out=None):
    """:func:`add_layer_norm` in one launch, with a block for each row: when the norm is taken of a row of the sum, a
    cache still has it. A thread reads back only what it has written itself, so that needs no barrier."""
    total, norm = out
    if total.size:
        _run_blocks(x, residual, weight, bias, x.dtype.type(eps), total, norm)


@kernel(
    "(float32[::1], float32[::1], float32[::1], float32[::1], float32, float32[::1], float32[::1])",
    tuned=True,
    expects=("LDG.E.128", "STG.E.128", "LDS.128", "SHFL"),
)
def _rows(x, residual, weight, bias, eps, total, norm):
    row = cuda.shared.array(0, dtype=float32)
    scratch = cuda.shared.array(THREADS, dtype=float32)
    N = weight.size
    start = cuda.blockIdx.x * N
    part = float32(0)
    for n in range(4 * cuda.threadIdx.x, N, 4 * cuda.blockDim.x):
        a, b, c, d = load4(x, start + n)
        p, q, r, s = load4(residual, start + n)
        a, b, c, d = a + p, b + q, c + r, d + s
        store4(row, n, a, b, c, d)
        store4(total, start + n, a, b, c, d)
        part += (a + b) + (c + d)
    normalise_fours(row, start, N, part, weight, bias, eps, norm, scratch)


@boundary(OPS["add_layer_norm"])
def add_layer_norm(x, residual, weight, bias, *, eps=1e-5, out=None):
    """x + residual, and the layer norm of that: the step between the blocks of a transformer (Vaswani et al.,
    "Attention Is All You Need", arXiv:1706.03762, section 3.1; Xiong et al., arXiv:2002.04745, for where it stands).

    A block adds its row with loads of 128 bits, writes the sum, and keeps it in shared memory too, where the norm finds
    it: 16 bytes move for each number of float32, two read and two written, and none is read twice. float64, rows that
    shared memory does not hold, those whose length is no multiple of four, and arrays that begin at no multiple of 16
    bytes are done by :func:`add_layer_norm_fused`. The error of the norm is that of
    :func:`coursekit.kernels.cuda.layer_norm` of the rounded sum, which is the sum that is given back.

    Args:
        x, residual: shape (..., N), float32 or float64; NumPy arrays, device arrays, or torch tensors on the GPU.
        weight, bias: shape (N,), of the same dtype and kind.
        eps: added to the variance.
        out: a tuple of two arrays of the shape of x, filled and returned where given; one may be x or residual.

    Returns:
        The sum and the norm, of the shape, dtype and kind of x.

    Raises:
        RuntimeError: there is no GPU, and the simulator is off.
        TypeError: an argument is no array, or of another kind or dtype; ``eps`` is no number.
        ValueError: shapes do not fit, ``eps`` is below 0, a tensor is not on the GPU, or ``out`` cannot be written
            without harm.
    """
    total, norm = out
    if not total.size:
        return
    N, eps = last(x), x.dtype.type(eps)
    if can_keep_rows(N, x, residual, weight, bias, total, norm):
        arguments = (*flat(x, residual), weight, bias, eps, *flat(total, norm))
        launch(_rows, x.size // N, row_threads(N, 4), *arguments, shared=4 * N)
    else:
        _run_blocks(x, residual, weight, bias, eps, total, norm)
