"""Products of int8: as defined, along the rows, and with neighbours multiplied and added in one instruction.

An int8 takes a quarter of a float32's memory, and a register holds four times as many. The product of two is no more
than 2¹⁴, so that int32 holds any sum of 131071 of them exactly; longer ones wrap around, as int32 does.
"""

import numpy as np

from coursekit.kernels.cpu import simd
from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.int8_sums import (
    FORM,
    SIGN,
    TALL,
    add_products,
    add_three,
    columns_at,
    no_sum,
    surplus,
    turn_sign,
    whole,
)
from coursekit.kernels.cpu.pack_int8 import LINE, pack_panels
from coursekit.kernels.cpu.rows import GRAIN, store_part
from coursekit.kernels.cpu.simd_integers import load_four
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.ops import OPS
from coursekit.kernels.ops.integer import FOUR
from coursekit.kernels.ops.linear import PANEL


@compiled
def _textbook(a, b, out):
    for m in range(out.shape[0]):
        for n in range(out.shape[1]):
            total = np.int32(0)
            for k in range(a.shape[1]):
                total += np.int32(a[m, k]) * np.int32(b[k, n])
            out[m, n] = total


@boundary(OPS["int8_matmul"])
def int8_matmul_textbook(a, b, *, out=None):
    """:func:`int8_matmul` as it is defined, one sum for each element, down the columns of b."""
    _textbook(a, b, out)


@compiled
def multiply_rows(a, b, out):
    out[:] = 0
    for m in range(a.shape[0]):
        for k in range(a.shape[1]):
            _add_one(out[m], np.int32(a[m, k]), b[k])


@compiled
def _add_one(row, x, b):
    for n in range(row.size):
        row[n] += x * np.int32(b[n])


@boundary(OPS["int8_matmul"])
def int8_matmul_rows(a, b, *, out=None):
    """:func:`int8_matmul` with the loops in the order m, k, n, in plain Python.

    The compiler widens and multiplies several numbers at once. But each becomes an int32 before the product, so that a
    register holds no more of them than of float32, and the row of ``out`` is loaded and stored at each step.
    """
    multiply_rows(a, b, out)


@compiled
def _packed_textbook(a, panels, out):
    for m in range(out.shape[0]):
        for n in range(out.shape[1]):
            total = np.int32(0)
            for k in range(a.shape[1]):
                total += np.int32(a[m, k]) * np.int32(panels[n // PANEL, k // FOUR, n % PANEL, k % FOUR])
            out[m, n] = total


@boundary(OPS["int8_matmul_packed"])
def int8_matmul_packed_textbook(a, panels, *, columns=0, out=None):
    """:func:`int8_matmul_packed` as it is defined, one sum for each element.

    The compiler makes vectors of it by itself. What else was tried in plain loops, along the columns of a panel, was
    slower: so there is no version between this and the tuned one.
    """
    _packed_textbook(a, panels, out)


@compiled
def prepare_rows(a, ready):
    """The rows of a in the form that the tiles want, filled up to fours of k and threes of rows."""
    ready[:] = SIGN
    for m in range(a.shape[0]):
        turn_sign(a[m], ready[m])


@compiled(inline=True)
def _store_three(three, out, at, N, count, surplus):
    store_part(out, at, whole(three[0]) - surplus, count)
    store_part(out, at + N, whole(three[1]) - surplus, count)
    store_part(out, at + 2 * N, whole(three[2]) - surplus, count)


@compiled
def _tile1(a, i, K, panels, j, out, at, N, count, surplus):
    row = no_sum()
    for k in range(i, i + K, FOUR):
        row = add_products(row, load_four(a, k), columns_at(panels, j))
        j += LINE
    store_part(out, at, whole(row) - surplus, count)


@compiled
def _tile3(a, i, K, panels, j, out, at, N, count, surplus):
    rows = (no_sum(), no_sum(), no_sum())
    for k in range(i, i + K, FOUR):
        rows = add_three(rows, a, k, K, columns_at(panels, j))
        j += LINE
    _store_three(rows, out, at, N, count, surplus)


@compiled
def _tile6(a, i, K, panels, j, out, at, N, count, surplus):
    upper = lower = (no_sum(), no_sum(), no_sum())
    for k in range(i, i + K, FOUR):
        b = columns_at(panels, j)
        upper = add_three(upper, a, k, K, b)
        lower = add_three(lower, a, k + 3 * K, K, b)
        j += LINE
    _store_three(upper, out, at, N, count, surplus)
    _store_three(lower, out, at + 3 * N, N, count, surplus)


@compiled
def _tile12(a, i, K, panels, j, out, at, N, count, surplus):
    r0 = r3 = r6 = r9 = (no_sum(), no_sum(), no_sum())
    for k in range(i, i + K, FOUR):
        b = columns_at(panels, j)
        r0 = add_three(r0, a, k, K, b)
        r3 = add_three(r3, a, k + 3 * K, K, b)
        r6 = add_three(r6, a, k + 6 * K, K, b)
        r9 = add_three(r9, a, k + 9 * K, K, b)
        j += LINE
    _store_three(r0, out, at, N, count, surplus)
    _store_three(r3, out, at + 3 * N, N, count, surplus)
    _store_three(r6, out, at + 6 * N, N, count, surplus)
    _store_three(r9, out, at + 9 * N, N, count, surplus)


_tile = _tile12 if TALL == 12 else _tile6
HEIGHT = 96
"""Rows of a that stay in the level-2 cache while all panels pass."""


@compiled
def multiply_ready(a, panels, out, start, stop):
    """Columns ``start`` to ``stop`` of all rows, of which ``a`` has those that :func:`prepare_rows` made."""
    M, N = out.shape
    K, n = a.shape[1], simd.LANES
    rows, lines, write = a.reshape(-1), panels.reshape(-1), out.reshape(-1)
    for first in range(0, M, HEIGHT):
        for c in range(start, stop, n):
            j = c // PANEL * K * PANEL + c % PANEL * FOUR
            too_much = surplus(lines, j, K // FOUR)
            _multiply_columns(rows, first, min(first + HEIGHT, M), K, lines, j, write, c, N, too_much)


@compiled
def _multiply_columns(a, m, last, K, panels, j, out, c, N, surplus):
    while m < last:
        i, at = m * K, m * N + c
        if last - m >= TALL:
            _tile(a, i, K, panels, j, out, at, N, N - c, surplus)
            m += TALL
        elif last - m >= 3:
            _tile3(a, i, K, panels, j, out, at, N, N - c, surplus)
            m += 3
        else:
            _tile1(a, i, K, panels, j, out, at, N, N - c, surplus)
            m += 1


def multiply_panels(a, panels, out):
    """Fill ``out`` with the product."""
    M, K = a.shape
    ready = np.empty((M, -(-K // FOUR) * FOUR), FORM)
    prepare_rows(a, ready)
    grain = (GRAIN // max(a.size, 1) // PANEL + 1) * PANEL
    split(lambda i, j: multiply_ready(ready, panels, out, i, j), out.shape[1], grain)


@boundary(OPS["int8_matmul_packed"])
def int8_matmul_packed(a, panels, *, columns=0, out=None):
    """The matrix product of int8 in int32, the second factor being packed by :func:`pack_int8`.

    All sums of a tile of ``out`` stay in registers while its columns pass, as in :func:`linear_packed`. With VNNI one
    instruction multiplies and adds the bytes of a whole register, of which one factor must have no sign: how that is
    made good is told in oneDNN's Developer Guide, "Nuances of int8 computations". Elsewhere the bytes are
    widened to int16. The result is exact, and so the same on all machines.

    Args:
        a: shape (M, K), int8; NumPy array or torch tensor on the CPU.
        panels: shape (⌈N/16⌉, ⌈K/4⌉, 16, 4), int8, of the same kind, with zeros beyond the edges.
        columns: N, the columns of the matrix that was packed.
        out: shape (M, N), int32, filled and returned where given; it must not share memory with the others.

    Returns:
        Shape (M, N), int32, of the inputs' kind; modulo 2³², which K > 131071 may need.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; ``columns`` is no int.
        ValueError: shapes do not fit, ``columns`` is below 0, a tensor is not on the CPU, or ``out`` cannot be
            written without harm.
    """
    multiply_panels(a, panels, out)


FEWEST = 4
"""Rows for which packing pays, though what is packed is used only once."""


@boundary(OPS["int8_matmul"])
def int8_matmul(a, b, *, out=None):
    """The matrix product of int8 in int32.

    b is packed by :func:`pack_int8` and multiplied as :func:`int8_matmul_packed` says, which names its sources; fewer
    than four rows are done by :func:`int8_matmul_rows`. The result is exact, and so the same on all machines.

    Args:
        a: shape (M, K), int8; NumPy array or torch tensor on the CPU.
        b: shape (K, N), int8, of the same kind.
        out: shape (M, N), int32, filled and returned where given; it must not share memory with a or b.

    Returns:
        Shape (M, N), int32, of the inputs' kind; modulo 2³², which K > 131071 may need.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, a tensor is not on the CPU, or ``out`` cannot be written without harm.
    """
    K, N = b.shape
    if a.shape[0] < FEWEST:
        multiply_rows(a, b, out)
    else:
        panels = np.empty((-(-N // PANEL), -(-K // FOUR), PANEL, FOUR), np.int8)
        pack_panels(b, panels)
        multiply_panels(a, panels, out)
