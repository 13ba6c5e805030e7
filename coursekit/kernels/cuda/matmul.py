"""Matrix product: one thread for each element, then tiles in shared memory."""

from numba import cuda

from coursekit.kernels.cuda.arrays import boundary
from coursekit.kernels.cuda.device import blocks, launch
from coursekit.kernels.cuda.kernel import kernel
from coursekit.kernels.ops import OPS

TILE = 16


def _grid(out):
    """Blocks of TILE x TILE threads over ``out``; x runs along its rows."""
    M, N = out.shape
    return (blocks(N, TILE), blocks(M, TILE)), (TILE, TILE)


@kernel("(float32[:, ::1], float32[:, ::1], float32[:, ::1])")
def _textbook(a, b, out):
    n, m = cuda.grid(2)
    if m < out.shape[0] and n < out.shape[1]:
        total = a.dtype.type(0)
        for k in range(a.shape[1]):
            total += a[m, k] * b[k, n]
        out[m, n] = total


@boundary(OPS["matmul"])
def matmul_textbook(a, b, *, out=None):
    """:func:`matmul` with one thread for each element of the result.

    Each thread reads a whole row of a and column of b from global memory: 2·M·N·K reads for
    (M + N)·K different numbers. Neighbouring threads read neighbouring elements of b, in one transaction.
    """
    if out.size:
        launch(_textbook, *_grid(out), a, b, out)


@kernel("(float32[:, ::1], float32[:, ::1], float32[:, ::1])")
def _tiled(a, b, out):
    tile_a = cuda.shared.array((TILE, TILE), dtype=a.dtype)
    tile_b = cuda.shared.array((TILE, TILE), dtype=b.dtype)
    n, m = cuda.grid(2)
    x, y = cuda.threadIdx.x, cuda.threadIdx.y
    M, N = out.shape
    K = a.shape[1]
    zero = a.dtype.type(0)
    total = zero
    for k in range(0, K, TILE):
        tile_a[y, x] = a[m, k + x] if m < M and k + x < K else zero
        tile_b[y, x] = b[k + y, n] if k + y < K and n < N else zero
        cuda.syncthreads()
        for i in range(TILE):
            total += tile_a[y, i] * tile_b[i, x]
        cuda.syncthreads()
    if m < M and n < N:
        out[m, n] = total


@boundary(OPS["matmul"])
def matmul(a, b, *, out=None):
    """The matrix product of ``a`` and ``b``.

    A block computes a tile of 16 x 16 elements. Its threads load a tile of a and one of b into shared
    memory together, and each number loaded is used 16 times: a sixteenth of the textbook version's reads.
    CUDA C++ Programming Guide, "Shared Memory".

    Args:
        a: shape (M, K), float32 or float64; NumPy array, device array, or torch tensor on the GPU.
        b: shape (K, N), of the same dtype and kind.
        out: shape (M, N), filled and returned where given; it must not share memory with a or b.

    Returns:
        Shape (M, N), of the inputs' dtype and kind.

    Raises:
        RuntimeError: there is no GPU, and the simulator is off.
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, a tensor is not on the GPU, or ``out`` cannot be written without harm.
    """
    if out.size:
        launch(_tiled, *_grid(out), a, b, out)
