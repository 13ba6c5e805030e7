"""A matrix of sparse blocks, eight rows by one column, times a dense one: by the formula, by rows, and in registers.

In :mod:`~coursekit.kernels.cpu.csr_matmul` each multiply-add loads its own number of x. Where the zeros come eight
rows at a time, a number of x that is loaded serves eight of them, and one index does instead of eight.
"""

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.rows import store_part
from coursekit.kernels.cpu.simd import broadcast, fma, load, load_one, width
from coursekit.kernels.cpu.sparse_rows import add_row, check_pattern, pack_panel, rows_worth_a_thread
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.ops import OPS
from coursekit.kernels.ops.sparse import TALL


@compiled
def _textbook(blocks, columns, starts, x, out):
    for m in range(out.shape[0]):
        r, i = m // TALL, m % TALL
        for n in range(out.shape[1]):
            total = x.dtype.type(0)
            for z in range(starts[r], starts[r + 1]):
                total += blocks[z, i] * x[columns[z], n]
            out[m, n] = total


@boundary(OPS["block_sparse_matmul"])
def block_sparse_matmul_textbook(blocks, columns, starts, x, *, out=None):
    """:func:`block_sparse_matmul` by its formula, one number of ``out`` after the other."""
    check_pattern("block_sparse_matmul", columns, starts, x.shape[0])
    _textbook(blocks, columns, starts, x, out)


@compiled
def _rows(blocks, columns, starts, x, out):
    out[:] = 0
    for r in range(starts.size - 1):
        rows = out[r * TALL : (r + 1) * TALL]
        for z in range(starts[r], starts[r + 1]):
            for i in range(TALL):
                add_row(rows[i], blocks[z, i], x[columns[z]])


@boundary(OPS["block_sparse_matmul"])
def block_sparse_matmul_rows(blocks, columns, starts, x, *, out=None):
    """:func:`block_sparse_matmul` along the rows: a row of x is in the level-1 cache for seven of its eight uses."""
    check_pattern("block_sparse_matmul", columns, starts, x.shape[0])
    _rows(blocks, columns, starts, x, out)


@compiled
def _eight_rows(blocks, first, columns, panel, out, at, stride, count):
    """A vector's ``count`` columns of eight rows of out: one load of x, eight of blocks, eight multiply-adds."""
    n = width(panel)
    a = b = c = d = e = f = g = h = broadcast(panel.dtype.type(0))
    i = first * TALL
    for z in range(columns.size):
        x = load(panel, columns[z] * n)
        a, b = fma(load_one(blocks, i), x, a), fma(load_one(blocks, i + 1), x, b)
        c, d = fma(load_one(blocks, i + 2), x, c), fma(load_one(blocks, i + 3), x, d)
        e, f = fma(load_one(blocks, i + 4), x, e), fma(load_one(blocks, i + 5), x, f)
        g, h = fma(load_one(blocks, i + 6), x, g), fma(load_one(blocks, i + 7), x, h)
        i += TALL
    store_part(out, at, a, count)
    store_part(out, at + stride, b, count)
    store_part(out, at + 2 * stride, c, count)
    store_part(out, at + 3 * stride, d, count)
    store_part(out, at + 4 * stride, e, count)
    store_part(out, at + 5 * stride, f, count)
    store_part(out, at + 6 * stride, g, count)
    store_part(out, at + 7 * stride, h, count)


@compiled
def _panels(blocks, columns, starts, x, out):
    N = out.shape[1]
    panel = np.empty((x.shape[0], width(x)), x.dtype)
    flat, numbers, read = out.reshape(-1), blocks.reshape(-1), panel.reshape(-1)
    for j in range(0, N, width(x)):
        count = pack_panel(x, j, panel)
        for r in range(starts.size - 1):
            some = columns[starts[r] : starts[r + 1]]
            _eight_rows(numbers, starts[r], some, read, flat, r * TALL * N + j, N, count)


@boundary(OPS["block_sparse_matmul"])
def block_sparse_matmul(blocks, columns, starts, x, *, out=None):
    """A matrix of blocks of eight rows by one column, stored where they are not zero, times a dense one.

    A tile of ``out``, eight rows of one vector, stays in registers while its products are added in the order in which
    the blocks are stored. The one vector of each row of x that this takes is copied beside the next row's: for a
    thousand rows it fits the level-1 cache. Blocks for the sake of dense arithmetic are those of Gray et al., "GPU
    Kernels for Block-Sparse Weights", OpenAI 2017. The error is at most Z · 2⁻²⁴ · Σ|blocks·x| in float32, where a row
    of blocks holds Z. :func:`coursekit.kernels.formats.to_blocks` makes the first three arguments.

    Args:
        blocks: shape (Z, 8), float32 or float64; NumPy array or torch tensor on the CPU.
        columns: shape (Z,), int32, of the same kind: the column of each; in any order, and one may come twice.
        starts: shape (R/8 + 1,), int32, of the same kind: where the blocks of each eight rows begin, and their end.
        x: shape (K, N), of the dtype and kind of blocks.
        out: shape (R, N), filled and returned where given; it must not share memory with the inputs.

    Returns:
        Shape (R, N), of the dtype and kind of blocks. What is not stored adds nothing, not even 0 · inf; a zero that
        is stored in a block does.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, a column is not one of K, ``starts`` does not rise from 0 to Z, a tensor is not
            on the CPU, or ``out`` cannot be written without harm. ``out`` is untouched then.
    """
    check_pattern("block_sparse_matmul", columns, starts, x.shape[0])
    rows = starts.size - 1
    split(
        lambda i, j: _panels(blocks, columns, starts[i : j + 1], x, out[i * TALL : j * TALL]),
        rows,
        rows_worth_a_thread(rows, blocks.size * x.shape[1]),
    )
