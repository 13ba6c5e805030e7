"""A linear layer whose weight was packed once, for few rows at a time: first as defined, then panel by panel, in tiles.

In use, a network's weights stay and its inputs come by ones and by dozens. So what a product has to do to its second
factor, to read it in order, can be done once and kept. What remains is bound by memory for one row (each number of the
weight serves one multiply-add), and by arithmetic from about eight rows on.
"""

import numpy as np

from coursekit.kernels.cpu import simd
from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.rows import GRAIN, load_part, store_part
from coursekit.kernels.cpu.simd import fma, load, load_one, width
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.ops import OPS
from coursekit.kernels.ops.linear import PANEL


@compiled
def _textbook(x, panels, bias, out):
    for m in range(out.shape[0]):
        for n in range(out.shape[1]):
            total = bias[n]
            for k in range(x.shape[1]):
                total += x[m, k] * panels[n // PANEL, k, n % PANEL]
            out[m, n] = total


@boundary(OPS["linear_packed"])
def linear_packed_textbook(x, panels, bias, *, out=None):
    """:func:`linear_packed` as it is defined: one number of each cache line is used, and read again for the next n."""
    _textbook(x, panels, bias, out)


@compiled
def multiply_panels(x, panels, bias, out):
    N = bias.size
    line = np.zeros(PANEL, x.dtype)
    for p in range(panels.shape[0]):
        count = min(PANEL, N - p * PANEL)
        for m in range(x.shape[0]):
            line[:count] = bias[p * PANEL : p * PANEL + count]
            for k in range(x.shape[1]):
                _add_line(line, x[m, k], panels[p, k])
            out[m, p * PANEL : p * PANEL + count] = line[:count]


@compiled
def _add_line(line, x, others):
    for c in range(PANEL):
        line[c] += x * others[c]


@boundary(OPS["linear_packed"])
def linear_packed_panels(x, panels, bias, *, out=None):
    """:func:`linear_packed` with all 16 sums of a panel side by side, in plain Python.

    The panel is read in the order in which it lies, and each of its lines is a multiply-add of one or two vectors. But
    the sums go through memory at each step, and each step waits for the one before.
    """
    multiply_panels(x, panels, bias, out)


# Tiles are two vectors in several rows. Of 16 registers, 6 x 2 hold the tile, two a panel's line, one a number of x.
TALL = 12 if simd.REGISTERS == 32 else 6
SHORT = 4
"""Rows of the other tile, for what is left: 8 sums are as many as the multiply-adds under way at a time."""
DEPTH = 256
"""About so long is a panel's part that stays in the level-1 cache while all rows pass over it."""
HEIGHT, LENGTH = 96, 1024
"""Of x, a block that stays in the level-2 cache while all panels pass."""


@compiled(inline=True)
def _begin(out, at, count):
    return load_part(out, at, count), load_part(out, at + width(out), count - width(out))


@compiled(inline=True)
def _end(out, at, count, row):
    store_part(out, at, row[0], count)
    store_part(out, at + width(out), row[1], count - width(out))


@compiled(inline=True)
def _add_row(row, x, b0, b1):
    return fma(x, b0, row[0]), fma(x, b1, row[1])


@compiled
def _tile4(x, i, K, panels, j, apart, depth, out, at, N, count, last):
    """Add products to two vectors in four rows of ``out``; rows beyond the ``last`` are that one again."""
    i1, i2, i3 = i + min(1, last) * K, i + min(2, last) * K, i + min(3, last) * K
    at1, at2, at3 = at + min(1, last) * N, at + min(2, last) * N, at + min(3, last) * N
    r0, r1 = _begin(out, at, count), _begin(out, at1, count)
    r2, r3 = _begin(out, at2, count), _begin(out, at3, count)
    for k in range(depth):
        b0, b1 = load(panels, j), load(panels, j + apart)
        r0 = _add_row(r0, load_one(x, i + k), b0, b1)
        r1 = _add_row(r1, load_one(x, i1 + k), b0, b1)
        r2 = _add_row(r2, load_one(x, i2 + k), b0, b1)
        r3 = _add_row(r3, load_one(x, i3 + k), b0, b1)
        j += PANEL
    _end(out, at, count, r0)
    _end(out, at1, count, r1)
    _end(out, at2, count, r2)
    _end(out, at3, count, r3)


@compiled
def _tile6(x, i, K, panels, j, apart, depth, out, at, N, count):
    """:func:`_tile4` with six rows, all of which are there."""
    r0, r1, r2 = _begin(out, at, count), _begin(out, at + N, count), _begin(out, at + 2 * N, count)
    below = at + 3 * N
    r3, r4, r5 = _begin(out, below, count), _begin(out, below + N, count), _begin(out, below + 2 * N, count)
    for k in range(i, i + depth):
        b0, b1 = load(panels, j), load(panels, j + apart)
        r0 = _add_row(r0, load_one(x, k), b0, b1)
        r1 = _add_row(r1, load_one(x, k + K), b0, b1)
        r2 = _add_row(r2, load_one(x, k + 2 * K), b0, b1)
        r3 = _add_row(r3, load_one(x, k + 3 * K), b0, b1)
        r4 = _add_row(r4, load_one(x, k + 4 * K), b0, b1)
        r5 = _add_row(r5, load_one(x, k + 5 * K), b0, b1)
        j += PANEL
    _end(out, at, count, r0)
    _end(out, at + N, count, r1)
    _end(out, at + 2 * N, count, r2)
    _end(out, below, count, r3)
    _end(out, below + N, count, r4)
    _end(out, below + 2 * N, count, r5)


@compiled
def _tile12(x, i, K, panels, j, apart, depth, out, at, N, count):
    """:func:`_tile6` with twelve rows, for machines with 32 registers."""
    at3, at6, at9 = at + 3 * N, at + 6 * N, at + 9 * N
    r0, r1, r2 = _begin(out, at, count), _begin(out, at + N, count), _begin(out, at + 2 * N, count)
    r3, r4, r5 = _begin(out, at3, count), _begin(out, at3 + N, count), _begin(out, at3 + 2 * N, count)
    r6, r7, r8 = _begin(out, at6, count), _begin(out, at6 + N, count), _begin(out, at6 + 2 * N, count)
    r9, r10, r11 = _begin(out, at9, count), _begin(out, at9 + N, count), _begin(out, at9 + 2 * N, count)
    for k in range(i, i + depth):
        b0, b1 = load(panels, j), load(panels, j + apart)
        r0 = _add_row(r0, load_one(x, k), b0, b1)
        r1 = _add_row(r1, load_one(x, k + K), b0, b1)
        r2 = _add_row(r2, load_one(x, k + 2 * K), b0, b1)
        r3 = _add_row(r3, load_one(x, k + 3 * K), b0, b1)
        r4 = _add_row(r4, load_one(x, k + 4 * K), b0, b1)
        r5 = _add_row(r5, load_one(x, k + 5 * K), b0, b1)
        r6 = _add_row(r6, load_one(x, k + 6 * K), b0, b1)
        r7 = _add_row(r7, load_one(x, k + 7 * K), b0, b1)
        r8 = _add_row(r8, load_one(x, k + 8 * K), b0, b1)
        r9 = _add_row(r9, load_one(x, k + 9 * K), b0, b1)
        r10 = _add_row(r10, load_one(x, k + 10 * K), b0, b1)
        r11 = _add_row(r11, load_one(x, k + 11 * K), b0, b1)
        j += PANEL
    _end(out, at, count, r0)
    _end(out, at + N, count, r1)
    _end(out, at + 2 * N, count, r2)
    _end(out, at3, count, r3)
    _end(out, at3 + N, count, r4)
    _end(out, at3 + 2 * N, count, r5)
    _end(out, at6, count, r6)
    _end(out, at6 + N, count, r7)
    _end(out, at6 + 2 * N, count, r8)
    _end(out, at9, count, r9)
    _end(out, at9 + N, count, r10)
    _end(out, at9 + 2 * N, count, r11)


_tile = _tile12 if TALL == 12 else _tile6


@compiled(inline=True)
def _place(n, K):
    """Where column n of the weight begins in the panels."""
    return n // PANEL * K * PANEL + n % PANEL


@compiled
def multiply_block(x, first, last, begin, end, panels, front, out, start, stop):
    """Add the products over k from ``begin`` to ``end`` of some rows to columns ``start`` to ``stop``.

    The panels begin with column ``front``.
    """
    K = x.shape[1]
    n = width(panels)
    last_panel = panels.size - PANEL * K
    depth = (
        _depth(end - begin) if last - first > TALL else max(K, 1)
    )  # one tile of rows would use nothing again
    for c in range(start, stop, 2 * n):
        j = _place(c - front, K)
        apart = min(_place(c - front + n, K), last_panel) - j if n == PANEL else n
        for k in range(begin, end, depth):
            _multiply_part(x, first, last, k, min(depth, end - k), panels, j + k * PANEL, apart, out, c)


@compiled
def _depth(length):
    """Of parts of much the same length: a short one at the end would make a tile's beginning and end dear."""
    parts = max((length + DEPTH // 2) // DEPTH, 1)
    return max((length + parts - 1) // parts, 1)


@compiled
def _multiply_part(x, m, last, k, depth, panels, j, apart, out, c):
    """Two vectors of columns, all rows, a tile at a time; what is left over is the less with two short tiles."""
    K, N = x.shape[1], out.shape[1]
    rows, write = x.reshape(-1), out.reshape(-1)
    while m < last:
        i, at = m * K + k, m * N + c
        if last - m >= TALL and not TALL < last - m <= 2 * SHORT:
            _tile(rows, i, K, panels, j, apart, depth, write, at, N, N - c)
            m += TALL
        else:
            _tile4(rows, i, K, panels, j, apart, depth, write, at, N, N - c, last - m - 1)
            m += SHORT


@compiled
def _multiply_rows(x, panels, bias, out, start, stop):
    """Columns ``start`` to ``stop`` of several rows."""
    M, K = x.shape
    lines = panels.reshape(-1)
    for m in range(M):
        out[m, start:stop] = bias[start:stop]
    for m in range(0, M, HEIGHT):
        for k in range(0, K, LENGTH):
            multiply_block(x, m, min(m + HEIGHT, M), k, min(k + LENGTH, K), lines, 0, out, start, stop)


@compiled
def _eight_vectors(x, panels, bias, out, c, K):
    """Columns from c on of the only row, eight vectors of them: as many sums as hide a multiply-add's latency."""
    n = width(x)
    j = _place(c, K)
    d1, d2, d3, d4 = (_place(n, K), _place(2 * n, K), _place(3 * n, K), _place(4 * n, K))
    d5, d6, d7 = _place(5 * n, K), _place(6 * n, K), _place(7 * n, K)
    a0, a1, a2, a3 = load(bias, c), load(bias, c + n), load(bias, c + 2 * n), load(bias, c + 3 * n)
    b = c + 4 * n
    a4, a5, a6, a7 = load(bias, b), load(bias, b + n), load(bias, b + 2 * n), load(bias, b + 3 * n)
    for k in range(K):
        number = load_one(x, k)
        a0 = fma(number, load(panels, j), a0)
        a1 = fma(number, load(panels, j + d1), a1)
        a2 = fma(number, load(panels, j + d2), a2)
        a3 = fma(number, load(panels, j + d3), a3)
        a4 = fma(number, load(panels, j + d4), a4)
        a5 = fma(number, load(panels, j + d5), a5)
        a6 = fma(number, load(panels, j + d6), a6)
        a7 = fma(number, load(panels, j + d7), a7)
        j += PANEL
    simd.store(out, c, a0)
    simd.store(out, c + n, a1)
    simd.store(out, c + 2 * n, a2)
    simd.store(out, c + 3 * n, a3)
    simd.store(out, b, a4)
    simd.store(out, b + n, a5)
    simd.store(out, b + 2 * n, a6)
    simd.store(out, b + 3 * n, a7)


@compiled
def multiply_one(x, panels, bias, out, start, stop):
    """Columns ``start`` to ``stop`` of one row: several panels at a time, each read once and in order."""
    row, lines, write = x.reshape(-1), panels.reshape(-1), out.reshape(-1)
    wide = 8 * width(row)
    whole = start + (stop - start) // wide * wide
    for c in range(start, whole, wide):
        _eight_vectors(row, lines, bias, write, c, row.size)
    write[whole:stop] = bias[whole:stop]
    multiply_block(x, 0, 1, 0, row.size, lines, 0, out, whole, stop)


BOTH = 8 * max(simd.LANES, PANEL // 2)
"""Columns at whose multiples threads may begin: whole panels, and all tiles and groups of vectors."""


def multiply_packed(x, panels, bias, out):
    """What :func:`linear_packed` does, for kernels whose arrays are known to be right."""
    if x.dtype == np.float32:
        run = multiply_one if x.shape[0] == 1 else _multiply_rows
        grain = (GRAIN // max(x.size, 1) // BOTH + 1) * BOTH
        split(lambda i, j: run(x, panels, bias, out, i, j), bias.size, grain)
    else:
        multiply_panels(x, panels, bias, out)


@boundary(OPS["linear_packed"])
def linear_packed(x, panels, bias, *, out=None):
    """x · weightᵀ + bias, the weight being packed by :func:`pack_linear`.

    With several rows, tiles of ``out`` stay in registers while a part of a panel, in the level-1 cache, passes: Goto
    and van de Geijn, "Anatomy of high-performance matrix multiplication", ACM TOMS 34(3), 2008, section 4, with what
    they pack at each call packed beforehand. One row reads the weight once, each panel in order, with eight sums under
    way. Each element is one sum in the order of k from the bias on, whatever the number of rows or threads: its error
    is at most (K + 1) · 2⁻²⁴ · (Σ|x·weight| + |bias|) in float32. float64 is done by :func:`linear_packed_panels`.

    Args:
        x: shape (M, K), float32 or float64; NumPy array or torch tensor on the CPU.
        panels: shape (⌈N/16⌉, K, 16), of the same dtype and kind; what stands in columns beyond N does not matter.
        bias: shape (N,), of the same dtype and kind.
        out: shape (M, N), filled and returned where given; it must not share memory with the others.

    Returns:
        Shape (M, N), of the inputs' dtype and kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, a tensor is not on the CPU, or ``out`` cannot be written without harm.
    """
    multiply_packed(x, panels, bias, out)
