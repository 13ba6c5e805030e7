"""A 2:4 sparse matrix, two numbers kept in each four, times a dense one: by the formula, by rows of x, and on vectors.

A position among four takes two bits, so the matrix takes 53 % of its dense bytes in float32, where compressed rows of
as many numbers take 100 %; and no position leads out of x, so nothing has to be checked. Half the multiply-adds remain.
But each loads its own number of x, as in :mod:`~coursekit.kernels.cpu.csr_matmul`, so that on a CPU the time is about
that of the dense product: what the format saves here are bytes. Tensor cores, for which it was made, choose the numbers
of x by wires.
"""

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.csr_matmul import VECTORS, row_of_eight, row_of_less
from coursekit.kernels.cpu.simd import width
from coursekit.kernels.cpu.sparse_rows import pack_panel, rows_worth_a_thread
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.ops import OPS


@compiled
def _textbook(values, positions, x, out):
    for r in range(out.shape[0]):
        for n in range(out.shape[1]):
            total = x.dtype.type(0)
            for i in range(values.shape[1]):
                place = (positions[r, i // 4] >> (2 * (i % 4))) & 3
                total += values[r, i] * x[i // 2 * 4 + place, n]
            out[r, n] = total


@boundary(OPS["two_four_matmul"])
def two_four_matmul_textbook(values, positions, x, *, out=None):
    """:func:`two_four_matmul` by its formula: more work for finding a number of x than for using it."""
    _textbook(values, positions, x, out)


@compiled
def _decode(positions, columns):
    """The columns of a row's numbers."""
    for b in range(positions.size):
        byte, first = np.int32(positions[b]), np.int32(8 * b)
        columns[4 * b] = first + (byte & 3)
        columns[4 * b + 1] = first + ((byte >> 2) & 3)
        columns[4 * b + 2] = first + 4 + ((byte >> 4) & 3)
        columns[4 * b + 3] = first + 4 + (byte >> 6)


@compiled
def _rows(values, positions, x, out):
    columns = np.empty(values.shape[1], np.int32)
    for r in range(out.shape[0]):
        _decode(positions[r], columns)
        row = out[r]
        row[:] = 0
        for i in range(columns.size):
            _add_row(row, values[r, i], x[columns[i]])


@compiled
def _add_row(row, value, other):
    for n in range(row.size):
        row[n] += value * other[n]


@compiled
def _one_column(values, positions, x, out):
    """Four sums, one for each number of a byte, that do not wait for each other."""
    for r in range(out.size):
        row, bytes_ = values[r], positions[r]
        a = b = c = d = x.dtype.type(0)
        for i in range(bytes_.size):
            byte, k, z = np.uint64(bytes_[i]), np.uint64(8 * i), np.uint64(4 * i)
            three = np.uint64(3)
            a += row[z] * x[k + (byte & three)]
            b += row[z + np.uint64(1)] * x[k + ((byte >> np.uint64(2)) & three)]
            c += row[z + np.uint64(2)] * x[k + np.uint64(4) + ((byte >> np.uint64(4)) & three)]
            d += row[z + three] * x[k + np.uint64(4) + (byte >> np.uint64(6))]
        out[r] = (a + b) + (c + d)


@boundary(OPS["two_four_matmul"])
def two_four_matmul_rows(values, positions, x, *, out=None):
    """:func:`two_four_matmul` by rows of x, in plain Python.

    A row's positions are decoded once, where the formula decodes them for each column of x. Each number kept then adds
    a multiple of a row of x to a row of ``out``: both lie in order, and no step waits for another. Rows of one number
    would be all beginning and end; a single column is done by four sums for each result instead.
    """
    if x.shape[1] == 1:
        _one_column(values, positions, x.reshape(-1), out.reshape(-1))
    else:
        _rows(values, positions, x, out)


@compiled
def _panels(values, positions, x, out):
    (R, N), H, n = out.shape, values.shape[1], width(x)
    columns = np.empty(H, np.int32)
    flat, numbers = out.reshape(-1), values.reshape(-1)
    for j in range(0, N, VECTORS * n):
        wide = min(VECTORS, (N - j + n - 1) // n) * n
        panel = np.empty((x.shape[0], wide), x.dtype)
        count = pack_panel(x, j, panel)
        for r in range(R):
            _decode(positions[r], columns)
            if count == VECTORS * n:
                row_of_eight(numbers, r * H, columns, panel.reshape(-1), flat, r * N + j)
            else:
                row_of_less(numbers, r * H, columns, panel.reshape(-1), wide, flat, r * N + j, count)


@boundary(OPS["two_four_matmul"])
def two_four_matmul(values, positions, x, *, out=None):
    """A matrix with two numbers in each four of a row times a dense one: Mishra et al., arXiv:2104.08378, section 3.

    A row's positions are decoded once for eight vectors of columns, and its products are added in registers as in
    :func:`coursekit.kernels.cpu.csr_matmul`. A single column is left to plain loops, which make four sums. The error is
    at most K/2 · 2⁻²⁴ · Σ|values·x| in float32. :func:`coursekit.kernels.formats.to_two_four` makes the first two
    arguments.

    Args:
        values: shape (R, K/2), float32 or float64; NumPy array or torch tensor on the CPU.
        positions: shape (R, K/8), uint8, of the same kind: a byte has the positions of four numbers among their four
            columns, two bits each, the lowest first.
        x: shape (K, N), of the dtype and kind of values, K being a multiple of 8.
        out: shape (R, N), filled and returned where given; it must not share memory with the inputs.

    Returns:
        Shape (R, N), of the dtype and kind of values. What is not stored adds nothing.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, a tensor is not on the CPU, or ``out`` cannot be written without harm.
    """
    rows, grain = len(out), rows_worth_a_thread(len(out), values.size * x.shape[1])
    if x.shape[1] == 1:
        column, sums = x.reshape(-1), out.reshape(-1)
        split(lambda i, j: _one_column(values[i:j], positions[i:j], column, sums[i:j]), rows, grain)
    else:
        split(lambda i, j: _panels(values[i:j], positions[i:j], x, out[i:j]), rows, grain)
