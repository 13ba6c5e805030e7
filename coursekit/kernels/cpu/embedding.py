"""The rows of a table by their numbers: number by number, row by row, and on whole vectors.

Nothing is computed here. What counts are the bytes, and that no number of a row leads out of the table.
"""

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.rows import grain, load_part, store_part
from coursekit.kernels.cpu.simd import load, store, width
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.ops import OPS


@compiled
def _first_wrong(indices, V):
    """Where the first number stands that is no row's, or -1."""
    for i in range(indices.size):
        if indices[i] < 0 or indices[i] >= V:
            return i
    return -1


def _checked(indices, V):
    indices = indices.reshape(-1)
    wrong = _first_wrong(indices, V)
    if wrong >= 0:
        raise IndexError(f"embedding: indices must be from 0 to {V - 1}; got {indices[wrong]}")
    return indices


@compiled
def _textbook(indices, weight, out):
    for d in range(out.shape[1]):
        for i in range(out.shape[0]):
            out[i, d] = weight[indices[i], d]


@boundary(OPS["embedding"])
def embedding_textbook(indices, weight, *, out=None):
    """:func:`embedding` by its formula, column after column: one number from each cache line that is loaded."""
    indices = _checked(indices, weight.shape[0])
    _textbook(indices, weight, out.reshape(indices.size, weight.shape[1]))


@compiled
def _rows(indices, weight, out):
    for i in range(out.shape[0]):
        read, write = weight[indices[i]], out[i]
        for d in range(write.size):
            write[d] = read[d]


@boundary(OPS["embedding"])
def embedding_rows(indices, weight, *, out=None):
    """:func:`embedding` row by row: all of a cache line is used, and the next one is known in advance."""
    indices = _checked(indices, weight.shape[0])
    _rows(indices, weight, out.reshape(indices.size, weight.shape[1]))


@compiled
def _vectors(indices, weight, out):
    D, n = weight.shape[1], width(weight)
    read, write = weight.reshape(-1), out.reshape(-1)
    most, whole = D // (4 * n) * 4 * n, D // n * n
    for i in range(indices.size):
        source, target = indices[i] * D, i * D
        for d in range(0, most, 4 * n):
            a, b = load(read, source + d), load(read, source + d + n)
            c, e = load(read, source + d + 2 * n), load(read, source + d + 3 * n)
            store(write, target + d, a)
            store(write, target + d + n, b)
            store(write, target + d + 2 * n, c)
            store(write, target + d + 3 * n, e)
        for d in range(most, whole, n):
            store(write, target + d, load(read, source + d))
        if whole < D:
            store_part(write, target + whole, load_part(read, source + whole, D - whole), D - whole)


@boundary(OPS["embedding"])
def embedding(indices, weight, *, out=None):
    """The rows of ``weight`` with these numbers: Bengio et al., "A Neural Probabilistic Language Model", JMLR 3, 2003.

    The steps are those of :func:`embedding_rows`, on vectors; all numbers are looked at before anything is written.
    The result is exact.

    Args:
        indices: shape (...), int64; NumPy array or torch tensor on the CPU.
        weight: shape (V, D), float32 or float64, of the same kind.
        out: shape (..., D), filled and returned where given; it must not share memory with weight or indices.

    Returns:
        Shape (..., D), of the dtype and kind of weight.

    Raises:
        IndexError: a number is below 0, or not below V.
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, a tensor is not on the CPU, or ``out`` cannot be written without harm.
    """
    D = weight.shape[1]
    indices = _checked(indices, weight.shape[0])
    out = out.reshape(indices.size, D)
    split(lambda i, j: _vectors(indices[i:j], weight, out[i:j]), indices.size, grain(D))
