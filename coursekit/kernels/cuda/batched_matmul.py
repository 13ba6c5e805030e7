"""Products of many pairs of matrices in one launch, the third dimension of the grid counting the pairs.

A launch costs a few microseconds, as much as a product of small matrices takes; and a small product has too few blocks
for all multiprocessors, while those of many run at the same time.
"""

from math import prod

from numba import cuda, float32

from coursekit.kernels.cuda.arrays import boundary
from coursekit.kernels.cuda.device import blocks, launch
from coursekit.kernels.cuda.kernel import kernel
from coursekit.kernels.cuda.matmul import TILE, tile_product
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

MOST = 65535
"""Blocks that a grid may have along its third dimension; with more pairs than that, a block does several of them."""


def _flat(x):
    """The matrices of x one after the other, on the same memory."""
    return x.reshape(prod(x.shape[:-2]), *x.shape[-2:])


def _launch_each(kernel, a, b, out):
    """Blocks of TILE x TILE threads over all results."""
    B, M, N = out.shape
    if B * M * N:
        launch(kernel, (blocks(N, TILE), blocks(M, TILE), min(B, MOST)), (TILE, TILE), a, b, out)


@kernel("(float32[:, :, ::1], float32[:, :, ::1], float32[:, :, ::1])")
def _textbook(a, b, out):
    n, m = cuda.grid(2)
    if m < out.shape[1] and n < out.shape[2]:
        for i in range(cuda.blockIdx.z, out.shape[0], cuda.gridDim.z):
            total = a.dtype.type(0)
            for k in range(a.shape[2]):
                total += a[i, m, k] * b[i, k, n]
            out[i, m, n] = total


@boundary(OPS["batched_matmul"])
def batched_matmul_textbook(a, b, *, out=None):
    """:func:`batched_matmul` with one thread for each element of the results."""
    _launch_each(_textbook, _flat(a), _flat(b), _flat(out))


@kernel("(float32[:, :, ::1], float32[:, :, ::1], float32[:, :, ::1])")
def _tiled(a, b, out):
    for i in range(cuda.blockIdx.z, out.shape[0], cuda.gridDim.z):
        tile_product(a[i], b[i], out[i])


@boundary(OPS["batched_matmul"])
def batched_matmul_tiled(a, b, *, out=None):
    """:func:`batched_matmul` with tiles of 16 x 16 in shared memory: a sixteenth of the reads of global memory."""
    _launch_each(_tiled, _flat(a), _flat(b), _flat(out))


def register_kernel(tile: int):
    """A kernel ``(a, b, B, M, N, K, out)`` on flat arrays, with tiles of this size."""
    product, store = product_of(tile, rows_as_they_are), store_of(tile)

    def registers(a, b, B, M, N, K, out):
        sums = cuda.local.array(RESULTS, dtype=float32)
        for i in range(cuda.blockIdx.z, B, cuda.gridDim.z):
            product(a[i * M * K :], b[i * K * N :], M, N, K, sums)
            store(sums, M, N, out[i * M * N :])

    registers.__name__ = f"registers_{tile}"
    signature = "(float32[::1], float32[::1], int64, int64, int64, int64, float32[::1])"
    return kernel(signature, tuned=tile == 128, expects=WIDE)(registers)


KERNELS = {tile: register_kernel(tile) for tile in SIZES}


@boundary(OPS["batched_matmul"])
def batched_matmul(a, b, *, out=None):
    """The matrix product of each pair of matrices.

    In float32 each pair is done as :func:`coursekit.kernels.cuda.matmul` does it, all in one launch. A block's tile is
    128 x 128: of smaller matrices it computes what is not there as well. float64, and rows whose length is no multiple
    of four, are left to :func:`batched_matmul_tiled`.

    Args:
        a: shape (..., M, K), float32 or float64; NumPy array, device array, or torch tensor on the GPU.
        b: shape (..., K, N), of the same leading dimensions, dtype and kind: none is broadcast.
        out: shape (..., M, N), filled and returned where given; it must not share memory with a or b.

    Returns:
        Shape (..., M, N), of the inputs' dtype and kind.

    Raises:
        RuntimeError: there is no GPU, and the simulator is off.
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, a tensor is not on the GPU, or ``out`` cannot be written without harm.
    """
    a, b, out = _flat(a), _flat(b), _flat(out)
    (B, M, K), N = a.shape, b.shape[2]
    if a.dtype != "float32" or K % 4 or N % 4 or not K * out.size:
        _launch_each(_tiled, a, b, out)
        return
    flat = (x.reshape(x.size) for x in (a, b, out))
    a, b, out = flat
    launch(KERNELS[BLOCK], *grid(M, N, min(B, MOST)), a, b, B, M, N, K, out)
