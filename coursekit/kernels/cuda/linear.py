"""A linear layer, x · weightᵀ + bias: one thread for each element, tiles in shared memory, and tiles in registers.

Both factors have their rows along k. A thread that walks down such a row reads neighbours one after the other; threads
beside each other read different rows, each in a transaction of its own. Tiles mend that: threads side by side load
neighbours, and the tile is turned on its way to shared memory.
"""

import numpy as np
from numba import cuda, float32

from coursekit.kernels.cuda.arrays import boundary
from coursekit.kernels.cuda.device import blocks, launch
from coursekit.kernels.cuda.kernel import kernel
from coursekit.kernels.cuda.matmul import TILE
from coursekit.kernels.cuda.register_tiles import (
    BLOCK,
    RESULTS,
    SIDE,
    SIZES,
    WIDE,
    grid,
    product_of,
    rows_turned,
    store_of,
)
from coursekit.kernels.ops import OPS

WIDER = TILE + 1
"""How far apart the rows of a turned tile are."""


def _filled(bias, weight):
    return cuda.to_device(np.zeros(weight.shape[0], weight.dtype)) if bias is None else bias


def _launch_each(kernel, x, weight, bias, out):
    """Blocks of TILE x TILE threads over ``out``."""
    M, N = out.shape
    if out.size:
        launch(kernel, (blocks(N, TILE), blocks(M, TILE)), (TILE, TILE), x, weight, bias, out)


@kernel("(float32[:, ::1], float32[:, ::1], float32[::1], float32[:, ::1])")
def _textbook(x, weight, bias, out):
    n, m = cuda.grid(2)
    if m < out.shape[0] and n < out.shape[1]:
        total = bias[n]
        for k in range(x.shape[1]):
            total += x[m, k] * weight[n, k]
        out[m, n] = total


@boundary(OPS["linear"])
def linear_textbook(x, weight, bias=None, *, out=None):
    """:func:`linear` with one thread for each element: 2·M·N·K reads, those of the weight far apart."""
    _launch_each(_textbook, x, weight, _filled(bias, weight), out)


@kernel("(float32[:, ::1], float32[:, ::1], float32[::1], float32[:, ::1])")
def _tiled(x, weight, bias, out):
    tile_x = cuda.shared.array((TILE, TILE), dtype=x.dtype)
    tile_w = cuda.shared.array((TILE, WIDER), dtype=x.dtype)
    n, m = cuda.grid(2)
    i, j = cuda.threadIdx.x, cuda.threadIdx.y
    row = cuda.blockIdx.x * TILE + j
    (M, N), K = out.shape, x.shape[1]
    zero = x.dtype.type(0)
    total = zero
    for k in range(0, K, TILE):
        tile_x[j, i] = x[m, k + i] if m < M and k + i < K else zero
        tile_w[i, j] = weight[row, k + i] if row < N and k + i < K else zero
        cuda.syncthreads()
        for step in range(TILE):
            total += tile_x[j, step] * tile_w[step, i]
        cuda.syncthreads()
    if m < M and n < N:
        out[m, n] = total + bias[n]


@boundary(OPS["linear"])
def linear_tiled(x, weight, bias=None, *, out=None):
    """:func:`linear` with tiles of 16 x 16 in shared memory, that of the weight turned.

    Rows of the turned tile are 17 numbers apart, so that a row of the weight, which becomes a column, falls into 16
    different banks. A sixteenth of the textbook version's reads of global memory, and all of them side by side.
    """
    _launch_each(_tiled, x, weight, _filled(bias, weight), out)


def register_kernel(tile: int):
    """A kernel ``(x, weight, bias, M, N, K, out)`` on flat arrays, with tiles of this size."""
    product, store = product_of(tile, rows_turned), store_of(tile)
    across = tile // SIDE

    @cuda.jit(device=True)
    def add_bias(sums, bias, N):
        for j in range(SIDE):
            column = tile * cuda.blockIdx.x + j // 4 * (tile // 2) + 4 * (cuda.threadIdx.x % across) + j % 4
            shift = bias[column] if column < N else float32(0)
            for i in range(SIDE):
                sums[SIDE * i + j] += shift

    def registers(x, weight, bias, M, N, K, out):
        sums = cuda.local.array(RESULTS, dtype=float32)
        product(x, weight, M, N, K, sums)
        add_bias(sums, bias, N)
        store(sums, M, N, out)

    registers.__name__ = f"registers_{tile}"
    signature = "(float32[::1], float32[::1], float32[::1], int64, int64, int64, float32[::1])"
    # A turned tile is stored number by number, the other way round it would be by fours.
    return kernel(signature, tuned=tile == 128, expects=tuple(e for e in WIDE if e != "STS.128"))(registers)


KERNELS = {tile: register_kernel(tile) for tile in SIZES}


@boundary(OPS["linear"])
def linear(x, weight, bias=None, *, out=None):
    """x · weightᵀ + bias, as a fully connected layer has it.

    In float32 the product is that of :func:`coursekit.kernels.cuda.matmul`, both factors being turned on their way to
    shared memory, so that no transposed copy of the weight is made. The bias is added in registers: ``out`` is written
    once. float64, and lengths that are no multiple of four, are left to :func:`linear_tiled`.

    Args:
        x: shape (M, K), float32 or float64; NumPy array, device array, or torch tensor on the GPU.
        weight: shape (N, K), of the same dtype and kind.
        bias: shape (N,), of the same dtype and kind; none where left out.
        out: shape (M, N), filled and returned where given; it must not share memory with the others.

    Returns:
        Shape (M, N), of the inputs' dtype and kind.

    Raises:
        RuntimeError: there is no GPU, and the simulator is off.
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, a tensor is not on the GPU, or ``out`` cannot be written without harm.
    """
    (M, K), N = x.shape, weight.shape[0]
    bias = _filled(bias, weight)
    if x.dtype != "float32" or K % 4 or N % 4 or not M * K * N:
        _launch_each(_tiled, x, weight, bias, out)
        return
    x, weight, out = x.reshape(M * K), weight.reshape(N * K), out.reshape(M * N)
    launch(KERNELS[BLOCK], *grid(M, N), x, weight, bias, M, N, K, out)
