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
from coursekit.kernels.cpu.requantize import load_scale, rescale_one, store_rescaled
from coursekit.kernels.cpu.rows import GRAIN
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
def _add_rows(three, a, i, b):
    """Three rows' products, from the positions i."""
    r0 = add_products(three[0], load_four(a, i[0]), b)
    r1 = add_products(three[1], load_four(a, i[1]), b)
    return r0, r1, add_products(three[2], load_four(a, i[2]), b)


@compiled(inline=True)
def _later(i, step):
    return i[0] + step, i[1] + step, i[2] + step


@compiled(inline=True)
def _starts(starts, m):
    return starts[m], starts[m + 1], starts[m + 2]


@compiled(inline=True)
def _store_rows(three, out, at, N, count, scale):
    store_rescaled(out, at, whole(three[0]), scale, count)
    store_rescaled(out, at + N, whole(three[1]), scale, count)
    store_rescaled(out, at + 2 * N, whole(three[2]), scale, count)


@compiled
def _tile1(a, starts, m, steps, panels, j, out, at, N, count, scale):
    row, i = no_sum(), starts[m]
    for q in range(steps.size):
        row = add_products(row, load_four(a, i + steps[q]), columns_at(panels, j + q * LINE))
    store_rescaled(out, at, whole(row), scale, count)


@compiled
def _tile3(a, starts, m, steps, panels, j, out, at, N, count, scale):
    rows, i = (no_sum(), no_sum(), no_sum()), _starts(starts, m)
    for q in range(steps.size):
        rows = _add_rows(rows, a, _later(i, steps[q]), columns_at(panels, j + q * LINE))
    _store_rows(rows, out, at, N, count, scale)


@compiled
def _tile6(a, starts, m, steps, panels, j, out, at, N, count, scale):
    r0 = r3 = (no_sum(), no_sum(), no_sum())
    i0, i3 = _starts(starts, m), _starts(starts, m + 3)
    for q in range(steps.size):
        b, step = columns_at(panels, j + q * LINE), steps[q]
        r0 = _add_rows(r0, a, _later(i0, step), b)
        r3 = _add_rows(r3, a, _later(i3, step), b)
    _store_rows(r0, out, at, N, count, scale)
    _store_rows(r3, out, at + 3 * N, N, count, scale)


@compiled
def _tile12(a, starts, m, steps, panels, j, out, at, N, count, scale):
    r0 = r3 = r6 = r9 = (no_sum(), no_sum(), no_sum())
    i0, i3, i6, i9 = (
        _starts(starts, m),
        _starts(starts, m + 3),
        _starts(starts, m + 6),
        _starts(starts, m + 9),
    )
    for q in range(steps.size):
        b, step = columns_at(panels, j + q * LINE), steps[q]
        r0 = _add_rows(r0, a, _later(i0, step), b)
        r3 = _add_rows(r3, a, _later(i3, step), b)
        r6 = _add_rows(r6, a, _later(i6, step), b)
        r9 = _add_rows(r9, a, _later(i9, step), b)
    _store_rows(r0, out, at, N, count, scale)
    _store_rows(r3, out, at + 3 * N, N, count, scale)
    _store_rows(r6, out, at + 6 * N, N, count, scale)
    _store_rows(r9, out, at + 9 * N, N, count, scale)


_tile = _tile12 if TALL == 12 else _tile6


@compiled
def multiply_rows(a, starts, steps, panels, how, N, first, stop, out, at):
    """Columns ``first`` to ``stop`` of the rows that begin at ``starts``, written to ``out`` from position ``at`` on.

    ``a`` is in the form of :func:`turn_sign`; ``how`` is (bias, multiplier, shift, zero, low, high).
    """
    for c in range(first, stop, simd.LANES):
        j = c // PANEL * steps.size * LINE + c % PANEL * FOUR
        bias, multiplier, shift, zero, low, high = load_scale(*how[:3], c, *how[3:])
        scale = (bias - surplus(panels, j, steps.size), multiplier, shift, zero, low, high)
        m = 0
        while m < starts.size:
            where = at + m * N + c
            if starts.size - m >= TALL:
                _tile(a, starts, m, steps, panels, j, out, where, N, N - c, scale)
                m += TALL
            elif starts.size - m >= 3:
                _tile3(a, starts, m, steps, panels, j, out, where, N, N - c, scale)
                m += 3
            else:
                _tile1(a, starts, m, steps, panels, j, out, where, N, N - c, scale)
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
    how, write = (bias, multiplier, shift, zero, low, high), out.reshape(-1)
    for top in range(0, M, HEIGHT):
        rows = min(M - top, HEIGHT)
        for m in range(rows):
            turn_sign(x[top + m], ready[m * depth : m * depth + K])
        begin = starts[:rows] if depth else np.zeros(rows, np.int64)
        multiply_rows(ready, begin, steps, panels.reshape(-1), how, N, first, stop, write, top * N)


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
