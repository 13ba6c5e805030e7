"""A layer of int8 with its requantisation: sums by rows of any address, in tiles of registers, and never in memory.

A tile's rows begin where a table says, and another table says where each four numbers of a row stand from there on. So
one tile serves matrices, whose rows follow each other, and images, where neighbouring places share most of their pixels
(:mod:`~coursekit.kernels.cpu.int8_conv2d`).
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
    columns_at,
    no_sum,
    surplus,
    turn_sign,
    whole,
)
from coursekit.kernels.cpu.pack_int8 import LINE
from coursekit.kernels.cpu.requantize import FIELDS, rescale_one, scale_table, store_rescaled
from coursekit.kernels.cpu.rows import GRAIN
from coursekit.kernels.cpu.simd import maximum
from coursekit.kernels.cpu.simd_integers import load_four
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.ops import OPS
from coursekit.kernels.ops.integer import FOUR
from coursekit.kernels.ops.linear import PANEL


@compiled
def _textbook(x, panels, bias, multiplier, shift, zero, low, high, out):
    for m in range(out.shape[0]):
        for n in range(out.shape[1]):
            total = bias[n]
            for k in range(x.shape[1]):
                weight = panels[n // PANEL, k // FOUR, n % PANEL, k % FOUR]
                total += np.int32(x[m, k]) * np.int32(weight)
            out[m, n] = rescale_one(np.int32(total), multiplier[n], shift[n], zero, low, high)


@boundary(OPS["int8_linear"])
def int8_linear_textbook(x, panels, bias, multiplier, shift, *, zero=0, low=-128, high=127, out=None):
    """:func:`int8_linear` as it is defined, one sum for each element."""
    _textbook(x, panels, bias, multiplier, shift, zero, low, high, out)


@compiled(inline=True)
def _no_sums():
    return no_sum(), no_sum(), no_sum(), no_sum()


@compiled(inline=True)
def _add_rows(rows, a, i, step, b):
    """Four rows' products, ``step`` after their beginnings i."""
    r0 = add_products(rows[0], load_four(a, i[0] + step), b)
    r1 = add_products(rows[1], load_four(a, i[1] + step), b)
    r2 = add_products(rows[2], load_four(a, i[2] + step), b)
    return r0, r1, r2, add_products(rows[3], load_four(a, i[3] + step), b)


@compiled(inline=True)
def _begin(starts, m):
    return starts[m], starts[m + 1], starts[m + 2], starts[m + 3]


@compiled(inline=True)
def _store_rows(rows, pooled, out, at, N, less, table, t, count):
    """Four rows of results, or the largest of them: multipliers are not negative, so sums are in their order."""
    r0, r1, r2, r3 = whole(rows[0]), whole(rows[1]), whole(rows[2]), whole(rows[3])
    if pooled:
        store_rescaled(out, at, maximum(maximum(r0, r1), maximum(r2, r3)) - less, table, t, count)
    else:
        store_rescaled(out, at, r0 - less, table, t, count)
        store_rescaled(out, at + N, r1 - less, table, t, count)
        store_rescaled(out, at + 2 * N, r2 - less, table, t, count)
        store_rescaled(out, at + 3 * N, r3 - less, table, t, count)


@compiled(inline=True)
def _tile1(a, starts, m, steps, panels, j, out, at, less, table, t, count):
    row, i = no_sum(), starts[m]
    for q in range(steps.size):
        row = add_products(row, load_four(a, i + steps[q]), columns_at(panels, j + q * LINE))
    store_rescaled(out, at, whole(row) - less, table, t, count)


@compiled(inline=True)
def _tile4(a, starts, m, steps, panels, j, pooled, out, at, N, less, table, t, count):
    rows, i = _no_sums(), _begin(starts, m)
    for q in range(steps.size):
        rows = _add_rows(rows, a, i, steps[q], columns_at(panels, j + q * LINE))
    _store_rows(rows, pooled, out, at, N, less, table, t, count)


@compiled(inline=True)
def _tile12(a, starts, m, steps, panels, j, pooled, out, at, N, less, table, t, count):
    r0 = r4 = r8 = _no_sums()
    i0, i4, i8 = _begin(starts, m), _begin(starts, m + 4), _begin(starts, m + 8)
    for q in range(steps.size):
        b, step = columns_at(panels, j + q * LINE), steps[q]
        r0 = _add_rows(r0, a, i0, step, b)
        r4 = _add_rows(r4, a, i4, step, b)
        r8 = _add_rows(r8, a, i8, step, b)
    later = N if pooled else 4 * N
    _store_rows(r0, pooled, out, at, N, less, table, t, count)
    _store_rows(r4, pooled, out, at + later, N, less, table, t, count)
    _store_rows(r8, pooled, out, at + 2 * later, N, less, table, t, count)


WIDE = TALL == 12
"""Whether twelve rows fit the registers; where six do, four are as fast: loads do not wait for products."""


@compiled
def multiply_rows(a, starts, steps, panels, table, pooled, N, first, stop, out, at):
    """Columns ``first`` to ``stop`` of N for the rows that begin at ``starts``, written to ``out`` from ``at`` on.

    ``a`` is in the form of :func:`turn_sign`; ``table`` is that of :func:`scale_table`. Where ``pooled``, only the
    largest of each four rows is written, and there are whole fours of them.
    """
    each = 4 if pooled else 1
    for c in range(first, stop, simd.LANES):
        j, t = c // PANEL * steps.size * LINE + c % PANEL * FOUR, c * FIELDS
        less = surplus(panels, j, steps.size)
        m = 0
        while m < starts.size:
            where = at + m // each * N + c
            if WIDE and starts.size - m >= 12:
                _tile12(a, starts, m, steps, panels, j, pooled, out, where, N, less, table, t, N - c)
                m += 12
            elif starts.size - m >= 4:
                _tile4(a, starts, m, steps, panels, j, pooled, out, where, N, less, table, t, N - c)
                m += 4
            else:
                _tile1(a, starts, m, steps, panels, j, out, where, less, table, t, N - c)
                m += 1


HEIGHT = 96
"""Rows that stay in the level-2 cache while all panels pass."""


@compiled
def multiply_matrix(x, panels, bias, multiplier, shift, zero, low, high, first, stop, out):
    """Columns ``first`` to ``stop`` of a layer; ``first`` is a multiple of 16."""
    M, K = x.shape
    N, depth = out.shape[1], panels.shape[1] * FOUR
    ready = np.empty(min(M, HEIGHT) * depth, FORM)
    ready[:] = SIGN
    starts, steps = np.arange(0, ready.size, max(depth, 1)), np.arange(0, depth, FOUR)
    table, write = scale_table(bias, multiplier, shift, zero, low, high), out.reshape(-1)
    for top in range(0, M, HEIGHT):
        rows = min(M - top, HEIGHT)
        for m in range(rows):
            turn_sign(x[top + m], ready[m * depth : m * depth + K])
        begin = starts[:rows] if depth else np.zeros(rows, np.int64)
        multiply_rows(ready, begin, steps, panels.reshape(-1), table, False, N, first, stop, write, top * N)


@boundary(OPS["int8_linear"])
def int8_linear(x, panels, bias, multiplier, shift, *, zero=0, low=-128, high=127, out=None):
    """A linear layer of int8: the product in int32, and :func:`requantize`, while the sums are in registers.

    The product is that of :func:`int8_matmul_packed`, the requantisation that of :func:`requantize`, which name their
    sources. The result is exact, and so the same on all machines.

    Args:
        x: shape (M, K), int8; NumPy array or torch tensor on the CPU.
        panels: shape (⌈N/16⌉, ⌈K/4⌉, 16, 4), int8, the transposed weight as :func:`pack_int8` packs it, with zeros
            beyond the edges.
        bias, multiplier, shift: shape (N,), int32, as :func:`requantize` takes them.
        zero, low, high: as :func:`requantize` takes them.
        out: shape (M, N), int8, filled and returned where given; it must not share memory with the others.

    Returns:
        Shape (M, N), int8, of the inputs' kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; an option is no int.
        ValueError: shapes do not fit, an option is out of range, a tensor is not on the CPU, or ``out`` cannot be
            written without harm.
    """
    how = (bias, multiplier, shift, int(zero), int(low), int(high))
    grain = (GRAIN // max(x.size, 1) // PANEL + 1) * PANEL
    split(lambda i, j: multiply_matrix(x, panels, *how, i, j, out), out.shape[1], grain)
