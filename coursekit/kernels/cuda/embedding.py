"""The rows of a table by their numbers: one thread for each row, one for each number, and 128 bits at a time.

Nothing is computed here. What counts are the bytes, and that no number of a row leads out of the table. The CPU looks
at all numbers of rows before it starts and raises; to do so here, Python would have to wait for the GPU before it could
queue anything behind. So a wrong number gives a row of nan, and no memory outside the table is read.
"""

import math

from numba import cuda, float32

from coursekit.kernels.cuda.arrays import boundary
from coursekit.kernels.cuda.device import blocks, launch
from coursekit.kernels.cuda.kernel import kernel
from coursekit.kernels.cuda.pointwise import FOURS, THREADS, can_use_fours, flat, grid_of_fours
from coursekit.kernels.cuda.vectors import load4, store4
from coursekit.kernels.ops import OPS


@kernel("(int64[::1], float32[:, ::1], float32[::1])")
def _textbook(indices, weight, out):
    i = cuda.grid(1)
    if i < indices.size:
        V, D = weight.shape
        row = indices[i]
        for d in range(D):
            out[i * D + d] = weight[row, d] if row >= 0 and row < V else weight.dtype.type(math.nan)


@boundary(OPS["embedding"])
def embedding_textbook(indices, weight, *, out=None):
    """:func:`embedding` with one thread for each row: the reads and writes of a warp are 32 transactions each, of
    which four bytes of 32 are wanted, and a sentence of some dozens of words keeps some dozens of threads busy."""
    if out.size:
        launch(_textbook, blocks(indices.size, THREADS), THREADS, *flat(indices), weight, *flat(out))


@kernel("(int64[::1], float32[:, ::1], float32[::1])")
def _numbers(indices, weight, out):
    n = cuda.grid(1)
    if n < out.size:
        V, D = weight.shape
        i, d = divmod(n, D)
        row = indices[i]
        out[n] = weight[row, d] if row >= 0 and row < V else weight.dtype.type(math.nan)


def _run_numbers(indices, weight, out):
    launch(_numbers, blocks(out.size, THREADS), THREADS, *flat(indices), weight, *flat(out))


@boundary(OPS["embedding"])
def embedding_numbers(indices, weight, *, out=None):
    """:func:`embedding` with one thread for each number: neighbours read and write neighbouring addresses, at the price
    of a division for each number, to know its row and column."""
    if out.size:
        _run_numbers(indices, weight, out)


@kernel("(int64[::1], float32[::1], int64, float32[::1])", **FOURS)
def _fours(indices, table, D, out):
    """The table in one dimension, its rows being of D numbers."""
    V, nan = table.size // D, float32(math.nan)
    n, m = cuda.grid(2)
    if 4 * n < D:
        for i in range(m, indices.size, cuda.gridDim.y * cuda.blockDim.y):
            row = indices[i]
            if row >= 0 and row < V:
                a, b, c, d = load4(table, row * D + 4 * n)
                store4(out, i * D + 4 * n, a, b, c, d)
            else:
                store4(out, i * D + 4 * n, nan, nan, nan, nan)


@boundary(OPS["embedding"])
def embedding(indices, weight, *, out=None):
    """The rows of ``weight`` with these numbers: Bengio et al., "A Neural Probabilistic Language Model", JMLR 3, 2003.

    A thread keeps to four columns and goes down the rows of the result: no division, and 128 bits in each load and
    store. float64, a table whose rows are no multiple of four long, and arrays that begin at no multiple of 16 bytes
    are done by :func:`embedding_numbers`. The result is exact.

    Args:
        indices: shape (...), int64; NumPy array, device array, or torch tensor on the GPU.
        weight: shape (V, D), float32 or float64, of the same kind.
        out: shape (..., D), filled and returned where given; it must not share memory with weight or indices.

    Returns:
        Shape (..., D), of the dtype and kind of weight. Where a number is below 0 or not below V, there is a row of
        nan: the GPU raises nothing.

    Raises:
        RuntimeError: there is no GPU, and the simulator is off.
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, a tensor is not on the GPU, or ``out`` cannot be written without harm.
    """
    if not out.size:
        return
    V, D = weight.shape
    if V and D % 4 == 0 and can_use_fours(weight, out):
        launch(_fours, *grid_of_fours(indices.size, D), *flat(indices, weight), D, *flat(out))
    else:
        _run_numbers(indices, weight, out)
