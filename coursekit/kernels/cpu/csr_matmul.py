"""A sparse matrix times a dense one in three steps: by the formula, along the rows, and in registers.

Every number that is stored costs a multiply-add for each column of x, and each that is not costs nothing. But a number
no longer says by its place where it belongs, and what the dense product gains by using a loaded number many times is
lost: each multiply-add loads its own number of x. That is why more than half of a matrix has to be zeros before this
pays.
"""

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.rows import store_part
from coursekit.kernels.cpu.simd import broadcast, fma, load, load_one, store, width
from coursekit.kernels.cpu.sparse_rows import add_row, check_pattern, pack_panel, rows_worth_a_thread
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.ops import OPS


@compiled
def _textbook(values, columns, starts, x, out):
    for r in range(out.shape[0]):
        for n in range(out.shape[1]):
            total = x.dtype.type(0)
            for z in range(starts[r], starts[r + 1]):
                total += values[z] * x[columns[z], n]
            out[r, n] = total


@boundary(OPS["csr_matmul"])
def csr_matmul_textbook(values, columns, starts, x, *, out=None):
    """:func:`csr_matmul` by its formula. Each step of the inner loop jumps to another row of x for one number."""
    check_pattern("csr_matmul", columns, starts, x.shape[0])
    _textbook(values, columns, starts, x, out)


@compiled
def _rows(values, columns, starts, x, out):
    out[:] = 0
    for r in range(out.shape[0]):
        row = out[r]
        for z in range(starts[r], starts[r + 1]):
            add_row(row, values[z], x[columns[z]])


@boundary(OPS["csr_matmul"])
def csr_matmul_rows(values, columns, starts, x, *, out=None):
    """:func:`csr_matmul` a row of x at a time.

    Gustavson, "Two fast algorithms for sparse matrices", ACM TOMS 4(3), 1978, has the order of the loops. The
    inner loop runs along rows, so that whole cache lines are used, and on whole vectors. Each multiply-add still loads
    a number of ``out`` and stores it.
    """
    check_pattern("csr_matmul", columns, starts, x.shape[0])
    _rows(values, columns, starts, x, out)


# A row of out stays in so many vectors while all its products are added: as many as are needed to have
# multiply-adds under way all the time, of which each takes four cycles and two start in a cycle.
VECTORS = 8


@compiled
def row_of_eight(values, first, columns, panel, out, at):
    """One row of out, eight vectors of it."""
    n, wide = width(panel), VECTORS * width(panel)
    a = b = c = d = e = f = g = h = broadcast(panel.dtype.type(0))
    for z in range(columns.size):
        v, i = load_one(values, first + z), columns[z] * wide
        a, b = fma(v, load(panel, i), a), fma(v, load(panel, i + n), b)
        c, d = fma(v, load(panel, i + 2 * n), c), fma(v, load(panel, i + 3 * n), d)
        e, f = fma(v, load(panel, i + 4 * n), e), fma(v, load(panel, i + 5 * n), f)
        g, h = fma(v, load(panel, i + 6 * n), g), fma(v, load(panel, i + 7 * n), h)
    store(out, at, a)
    store(out, at + n, b)
    store(out, at + 2 * n, c)
    store(out, at + 3 * n, d)
    store(out, at + 4 * n, e)
    store(out, at + 5 * n, f)
    store(out, at + 6 * n, g)
    store(out, at + 7 * n, h)


@compiled
def row_of_less(values, first, columns, panel, wide, out, at, count):
    """``count`` numbers of a row of out, vector by vector."""
    n = width(panel)
    for j in range(0, count, n):
        total = broadcast(panel.dtype.type(0))
        for z in range(columns.size):
            total = fma(load_one(values, first + z), load(panel, columns[z] * wide + j), total)
        store_part(out, at + j, total, count - j)


@compiled
def _panels(values, columns, starts, x, out):
    R, N = out.shape
    n = width(x)
    flat = out.reshape(-1)
    for j in range(0, N, VECTORS * n):
        wide = min(VECTORS, (N - j + n - 1) // n) * n
        panel = np.empty((x.shape[0], wide), x.dtype)
        count = pack_panel(x, j, panel)
        whole = count == VECTORS * n
        for r in range(R):
            first, some = starts[r], columns[starts[r] : starts[r + 1]]
            if whole:
                row_of_eight(values, first, some, panel.reshape(-1), flat, r * N + j)
            else:
                row_of_less(values, first, some, panel.reshape(-1), wide, flat, r * N + j, count)


@boundary(OPS["csr_matmul"])
def csr_matmul(values, columns, starts, x, *, out=None):
    """A sparse matrix in compressed rows times a dense one.

    A row of ``out`` stays in registers, eight vectors of it, while its products are added in the order in which they
    are stored; the columns of x that this takes are first copied side by side, so that they stay in a cache. The format
    is that of Saad, "Iterative methods for sparse linear systems", 2nd edition, SIAM 2003, section 3.4. The error is at
    most Z · 2⁻²⁴ · Σ|values·x| in float32, where a row holds Z numbers. From how many zeros on it overtakes the dense
    product is measured by ``benchmarks/sparsity.py``. :func:`coursekit.kernels.formats.to_csr` makes the first three
    arguments.

    Args:
        values: shape (Z,), float32 or float64; NumPy array or torch tensor on the CPU.
        columns: shape (Z,), int32, of the same kind: the column of each; in any order, and one may come twice.
        starts: shape (R + 1,), int32, of the same kind: where the numbers of each row begin, and their end.
        x: shape (K, N), of the dtype and kind of values.
        out: shape (R, N), filled and returned where given; it must not share memory with the inputs.

    Returns:
        Shape (R, N), of the dtype and kind of values. What is not stored adds nothing, not even 0 · inf.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, a column is not one of K, ``starts`` does not rise from 0 to Z, a tensor is not
            on the CPU, or ``out`` cannot be written without harm. ``out`` is untouched then.
    """
    check_pattern("csr_matmul", columns, starts, x.shape[0])
    rows = out.shape[0]
    split(
        lambda i, j: _panels(values, columns, starts[i : j + 1], x, out[i:j]),
        rows,
        rows_worth_a_thread(rows, values.size * x.shape[1]),
    )
