"""Matrix product: one thread for each element, tiles in shared memory, and tiles in registers.

All three make 2·M·N·K FLOPs. They differ in how often a number is read, and from where: from global memory once for
each product, once for 16, once for 128; and from shared memory once for each product, or once for eight.
"""

from numba import cuda, float32

from coursekit.kernels.cuda.arrays import boundary
from coursekit.kernels.cuda.device import blocks, launch
from coursekit.kernels.cuda.kernel import kernel
from coursekit.kernels.cuda.register_tiles import (
    BLOCK,
    RESULTS,
    SIZES,
    WIDE,
    grid,
    product_of,
    rows_as_they_are,
    store_of,
)
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


@cuda.jit(device=True)
def tile_product(a, b, out):
    """A tile of TILE x TILE elements of a · b, by a block of so many threads."""
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


@kernel("(float32[:, ::1], float32[:, ::1], float32[:, ::1])")
def _tiled(a, b, out):
    tile_product(a, b, out)


def multiply_tiled(a, b, out) -> None:
    """out = a · b for device arrays of any size and floating type."""
    if out.size:
        launch(_tiled, *_grid(out), a, b, out)


@boundary(OPS["matmul"])
def matmul_tiled(a, b, *, out=None):
    """:func:`matmul` with tiles of 16 x 16 numbers in shared memory.

    The threads of a block load a tile of a and one of b together, and each number loaded is used 16 times: a sixteenth
    of the textbook version's reads of global memory. Each multiply-add still reads two numbers from shared memory:
    2 FLOPs for 8 bytes, a quarter of a FLOP for each byte. CUDA C++ Programming Guide, "Shared Memory".
    """
    multiply_tiled(a, b, out)


def register_kernel(tile: int):
    """A kernel ``(a, b, M, N, K, out)`` on flat arrays, with tiles of this size."""
    product, store = product_of(tile, rows_as_they_are), store_of(tile)

    def registers(a, b, M, N, K, out):
        sums = cuda.local.array(RESULTS, dtype=float32)
        product(a, b, M, N, K, sums)
        store(sums, M, N, out)

    registers.__name__ = f"registers_{tile}"
    signature = "(float32[::1], float32[::1], int64, int64, int64, float32[::1])"
    return kernel(signature, tuned=tile == 128, expects=WIDE)(registers)


KERNELS = {tile: register_kernel(tile) for tile in SIZES}


@boundary(OPS["matmul"])
def matmul(a, b, *, out=None):
    """The matrix product of ``a`` and ``b``.

    In float32 a block computes a tile of 128 x 128 elements, and each of its 256 threads 8 x 8 of them in registers, as
    :mod:`coursekit.kernels.cuda.register_tiles` says. Each number read from global memory is used 128 times, and comes
    by a load of 128 bits. Shared memory is read once for eight FLOPs, 2 for each byte, eight times as many as
    :func:`matmul_tiled` has. The method is that of NVIDIA, "CUTLASS: Fast Linear Algebra in CUDA C++" (2017).
    float64, and rows whose length is no multiple of four, are left to :func:`matmul_tiled`.

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
    (M, K), N = a.shape, b.shape[1]
    if a.dtype != "float32" or K % 4 or N % 4 or not M * K * N:
        multiply_tiled(a, b, out)
        return
    launch(KERNELS[BLOCK], *grid(M, N), a.reshape(M * K), b.reshape(K * N), M, N, K, out.reshape(M * N))
