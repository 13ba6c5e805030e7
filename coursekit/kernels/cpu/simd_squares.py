"""Squares of numbers turned in registers: as many rows as a vector has lanes become as many columns.

Number by number, turning writes each number to a cache line of its own. In registers, a square of n rows takes n loads,
n stores and log₂ n rounds of shuffles between them.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.simd import _pointer, vector_of, width


def _zip(builder, x, y, first):
    """x and y by turns, from lane ``first`` of both on."""
    lanes = x.type.count
    order = [first + i // 2 + i % 2 * lanes for i in range(lanes)]
    return builder.shuffle_vector(x, y, ir.Constant(ir.VectorType(ir.IntType(32), lanes), order))


def _turned(builder, rows):
    """Each round zips a row with the one half of all further down, like a deck of cards; the last gives the columns."""
    half = len(rows) // 2
    rounds = len(rows).bit_length() - 1
    for _ in range(rounds):
        pairs = zip(rows[:half], rows[half:], strict=True)
        rows = [_zip(builder, x, y, first) for x, y in pairs for first in (0, half)]
    return rows


@intrinsic
def turn_square(typing, rows, i, down, columns, j, apart):
    """Turn ``width(rows)`` rows of as many numbers.

    The first row begins at position i of ``rows``, the next ones ``down`` further each; they become columns of what
    begins at position j of ``columns``, whose rows lie ``apart``.
    """
    if (
        not isinstance(rows, types.Array)
        or not isinstance(columns, types.Array)
        or rows.dtype != columns.dtype
    ):
        return None
    align, lanes = rows.dtype.bitwidth // 8, vector_of(rows.dtype).lanes

    def lower(context, builder, signature, arguments):
        source, at, step, target, to, stride = arguments
        found = []
        for _ in range(lanes):
            found.append(builder.load(_pointer(context, builder, rows, source, at), align=align))
            at = builder.add(at, step)
        for vector in _turned(builder, found):
            builder.store(vector, _pointer(context, builder, columns, target, to), align=align)
            to = builder.add(to, stride)
        return context.get_dummy_value()

    return types.void(rows, *[types.intp] * 2, columns, *[types.intp] * 2), lower


@compiled
def turn(rows, columns):
    """Write each of ``rows`` as a column of ``columns``, which may have more. Each row of both lies in one piece."""
    M, N = rows.shape
    n = width(rows)
    down, apart = rows.strides[0] // rows.itemsize, columns.strides[0] // columns.itemsize
    whole_m, whole_n = M // n * n, N // n * n
    for m in range(0, whole_m, n):
        for k in range(0, whole_n, n):
            turn_square(rows, m * down + k, down, columns, k * apart + m, apart)
    _turn_rest(rows[:whole_m, whole_n:], columns[whole_n:])
    _turn_rest(rows[whole_m:], columns[:, whole_m:])


@compiled
def _turn_rest(rows, columns):
    for m in range(rows.shape[0]):
        for k in range(rows.shape[1]):
            columns[k, m] = rows[m, k]


APART = 16
"""Rows that lie a power of two apart would all claim the same cache sets; this much more, and they do not."""


def turned(rows: np.ndarray, apart: int = 0) -> np.ndarray:
    """``rows.T`` in memory of its own, with room for ``apart`` numbers after each of its rows."""
    columns = np.empty((rows.shape[1], rows.shape[0] + apart), rows.dtype)
    if apart:
        columns = columns[:, : rows.shape[0]]
    turn(rows, columns)
    return columns
