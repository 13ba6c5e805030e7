"""Matrix product in four steps: as the textbook has it, along the rows, in blocks, and in tiles of registers.

All four make 2·M·N·K FLOPs. They differ in the order, and so in what the caches and the vector units
can do for them: between the first and the last lies a factor of thirty and more.
"""

import numpy as np

from coursekit.kernels.cpu import simd
from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.simd import broadcast, fma, load, load_one, store, width
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.ops import OPS


@compiled
def _textbook(a, b, out):
    M, K = a.shape
    N = b.shape[1]
    for m in range(M):
        for n in range(N):
            total = a.dtype.type(0)
            for k in range(K):
                total += a[m, k] * b[k, n]
            out[m, n] = total


@boundary(OPS["matmul"])
def matmul_textbook(a, b, *, out=None):
    """:func:`matmul` as it is defined, one dot product for each element.

    The inner loop steps down a column of b: one useful number in each cache line that it loads, and a
    chain of additions of which each waits for the one before.
    """
    _textbook(a, b, out)


@compiled
def multiply_rows(a, b, out):
    out[:] = 0
    for m in range(a.shape[0]):
        row = out[m]
        for k in range(a.shape[1]):
            _add_one(row, a[m, k], b[k])


@compiled
def _add_one(row, x, b):
    for n in range(row.size):
        row[n] += x * b[n]


@boundary(OPS["matmul"])
def matmul_rows(a, b, *, out=None):
    """:func:`matmul` with the loops in the order m, k, n.

    The inner loop now runs along rows, so every number of a cache line is used, and its steps do not
    wait for each other: the compiler does 4, 8 or 16 at once. What limits it is the traffic to the
    row of ``out``: one load and one store for each multiply-add.
    """
    multiply_rows(a, b, out)


# A panel of b, 64 x 1024, is 256 KiB in float32 and stays in the level-2 cache while all rows of a
# pass over it.
PANEL_K, PANEL_N = 64, 1024
STEP = 4
# Its rows lie this much further apart than they are long: 4096 bytes apart, all that a step touches would share a set.
APART = 16


@compiled
def _blocked(a, b, out):
    M, K = a.shape
    N = b.shape[1]
    out[:] = 0
    panel = np.zeros((PANEL_K, min(N, PANEL_N) + APART), a.dtype)
    four = np.zeros((STEP, PANEL_K), a.dtype)
    spare = np.zeros(min(N, PANEL_N), a.dtype)
    for n in range(0, N, PANEL_N):
        stop = min(n + PANEL_N, N)
        for k in range(0, K, PANEL_K):
            depth = _pack(b[k : k + PANEL_K, n:stop], panel)
            for m in range(0, M, STEP):
                _pack(a[m : m + STEP, k : k + PANEL_K].T, four.T)
                r0 = out[m, n:stop]
                r1 = out[m + 1, n:stop] if m + 1 < M else spare[: stop - n]
                r2 = out[m + 2, n:stop] if m + 2 < M else spare[: stop - n]
                r3 = out[m + 3, n:stop] if m + 3 < M else spare[: stop - n]
                _add_panel(r0, r1, r2, r3, four, panel, depth)


@compiled
def _pack(block, buffer):
    """Copy ``block`` into the corner of ``buffer``, add rows of zeros to a multiple of STEP, and count them."""
    K, N = block.shape
    depth = (K + STEP - 1) // STEP * STEP
    buffer[:K, :N] = block
    buffer[K:depth, :N] = 0
    return depth


@compiled
def _add_panel(r0, r1, r2, r3, four, panel, depth):
    N = r0.size
    for k in range(0, depth, STEP):
        b0, b1, b2, b3 = panel[k, :N], panel[k + 1, :N], panel[k + 2, :N], panel[k + 3, :N]
        _add_four(r0, r1, r2, r3, four[:, k : k + STEP], b0, b1, b2, b3)


@compiled
def _add_four(r0, r1, r2, r3, a, b0, b1, b2, b3):
    # Numbers of their own: the compiler cannot know that writing to a row leaves a alone.
    w0, w1, w2, w3 = a[0, 0], a[0, 1], a[0, 2], a[0, 3]
    x0, x1, x2, x3 = a[1, 0], a[1, 1], a[1, 2], a[1, 3]
    y0, y1, y2, y3 = a[2, 0], a[2, 1], a[2, 2], a[2, 3]
    z0, z1, z2, z3 = a[3, 0], a[3, 1], a[3, 2], a[3, 3]
    for n in range(r0.size):
        r0[n] += w0 * b0[n] + w1 * b1[n] + w2 * b2[n] + w3 * b3[n]
        r1[n] += x0 * b0[n] + x1 * b1[n] + x2 * b2[n] + x3 * b3[n]
        r2[n] += y0 * b0[n] + y1 * b1[n] + y2 * b2[n] + y3 * b3[n]
        r3[n] += z0 * b0[n] + z1 * b1[n] + z2 * b2[n] + z3 * b3[n]


@boundary(OPS["matmul"])
def matmul_blocked(a, b, *, out=None):
    """:func:`matmul` in blocks that fit the cache, in plain Python: what the compiler makes of simple loops.

    Four rows of ``out`` take four rows of b at a time: sixteen multiply-adds for four loads of b and four
    loads and stores of ``out``. b passes through the cache in panels copied side by side, because rows
    a power of two apart would all claim the same cache sets: Goto and van de Geijn, "Anatomy of
    high-performance matrix multiplication", ACM TOMS 34(3), 2008, section 4.
    """
    _blocked(a, b, out)


# What is left to save are the loads and stores of ``out``: a tile of it stays in registers while all of a panel's k
# pass. A tile is TALL rows of two vectors. Of 16 registers, 6 x 2 hold the tile, two a row of b, one a number of a.
TALL = 12 if simd.REGISTERS == 32 else 6
# Packed for tiles: DEPTH x one tile's columns of b stay in the level-1 cache, HEIGHT x DEPTH of a in level 2, and
# DEPTH x BREADTH of b in level 3.
DEPTH, HEIGHT, BREADTH = 256, 96, 1024


@compiled(inline=True)
def _add_row(row, x, b0, b1):
    return fma(x, b0, row[0]), fma(x, b1, row[1])


@compiled(inline=True)
def _store_row(out, at, row):
    n = width(out)
    store(out, at, load(out, at) + row[0])
    store(out, at + n, load(out, at + n) + row[1])


@compiled
def _tile6(a, i, b, j, depth, out, at, stride):
    """Add packed rows of a (from position i) times packed columns of b (from j) to six rows of out (from ``at``)."""
    n = width(b)
    zero = broadcast(b.dtype.type(0))
    r0 = r1 = r2 = r3 = r4 = r5 = (zero, zero)
    for _ in range(depth):
        b0, b1 = load(b, j), load(b, j + n)
        r0 = _add_row(r0, load_one(a, i), b0, b1)
        r1 = _add_row(r1, load_one(a, i + 1), b0, b1)
        r2 = _add_row(r2, load_one(a, i + 2), b0, b1)
        r3 = _add_row(r3, load_one(a, i + 3), b0, b1)
        r4 = _add_row(r4, load_one(a, i + 4), b0, b1)
        r5 = _add_row(r5, load_one(a, i + 5), b0, b1)
        i += 6
        j += 2 * n
    _store_row(out, at, r0)
    _store_row(out, at + stride, r1)
    _store_row(out, at + 2 * stride, r2)
    _store_row(out, at + 3 * stride, r3)
    _store_row(out, at + 4 * stride, r4)
    _store_row(out, at + 5 * stride, r5)


@compiled
def _tile12(a, i, b, j, depth, out, at, stride):
    """:func:`_tile6` with twelve rows, for machines with 32 registers."""
    n = width(b)
    zero = broadcast(b.dtype.type(0))
    r0 = r1 = r2 = r3 = r4 = r5 = r6 = r7 = r8 = r9 = r10 = r11 = (zero, zero)
    for _ in range(depth):
        b0, b1 = load(b, j), load(b, j + n)
        r0 = _add_row(r0, load_one(a, i), b0, b1)
        r1 = _add_row(r1, load_one(a, i + 1), b0, b1)
        r2 = _add_row(r2, load_one(a, i + 2), b0, b1)
        r3 = _add_row(r3, load_one(a, i + 3), b0, b1)
        r4 = _add_row(r4, load_one(a, i + 4), b0, b1)
        r5 = _add_row(r5, load_one(a, i + 5), b0, b1)
        r6 = _add_row(r6, load_one(a, i + 6), b0, b1)
        r7 = _add_row(r7, load_one(a, i + 7), b0, b1)
        r8 = _add_row(r8, load_one(a, i + 8), b0, b1)
        r9 = _add_row(r9, load_one(a, i + 9), b0, b1)
        r10 = _add_row(r10, load_one(a, i + 10), b0, b1)
        r11 = _add_row(r11, load_one(a, i + 11), b0, b1)
        i += 12
        j += 2 * n
    _store_row(out, at, r0)
    _store_row(out, at + stride, r1)
    _store_row(out, at + 2 * stride, r2)
    _store_row(out, at + 3 * stride, r3)
    _store_row(out, at + 4 * stride, r4)
    _store_row(out, at + 5 * stride, r5)
    _store_row(out, at + 6 * stride, r6)
    _store_row(out, at + 7 * stride, r7)
    _store_row(out, at + 8 * stride, r8)
    _store_row(out, at + 9 * stride, r9)
    _store_row(out, at + 10 * stride, r10)
    _store_row(out, at + 11 * stride, r11)


_tile = _tile12 if TALL == 12 else _tile6


@compiled
def _pack_rows(a, packed):
    """Tiles' rows of ``a``, TALL numbers of a column side by side, the last ones filled up with zeros."""
    M, K = a.shape
    whole = M // TALL * TALL
    for m in range(0, whole, TALL):
        _turn(a[m : m + TALL], packed[m * K : (m + TALL) * K])
    if whole < M:
        last = np.zeros((TALL, K), a.dtype)
        last[: M - whole] = a[whole:]
        _turn(last, packed[whole * K : (whole + TALL) * K])


@compiled
def _turn(rows, packed):
    for k in range(rows.shape[1]):
        for r in range(TALL):
            packed[k * TALL + r] = rows[r, k]


@compiled
def _pack_columns(b, packed):
    """Tiles' columns of ``b``, row after row of two vectors, the last ones filled up with zeros."""
    K, N = b.shape
    wide = 2 * width(packed)
    i = 0
    for n in range(0, N, wide):
        count = min(wide, N - n)
        for k in range(K):
            row = packed[i : i + wide]
            row[:count] = b[k, n : n + count]
            row[count:] = 0
            i += wide


@compiled
def multiply_tiles(a, b, out):
    M, K = a.shape
    N = b.shape[1]
    out[:] = 0
    wide = 2 * width(b)
    rows = np.empty(HEIGHT * min(K, DEPTH), a.dtype)
    columns = np.empty(min(K, DEPTH) * (min(N, BREADTH) + wide), a.dtype)
    for n in range(0, N, BREADTH):
        stop = min(n + BREADTH, N)
        for k in range(0, K, DEPTH):
            _pack_columns(b[k : k + DEPTH, n:stop], columns)
            for m in range(0, M, HEIGHT):
                _pack_rows(a[m : m + HEIGHT, k : k + DEPTH], rows)
                _add_block(rows, columns, min(DEPTH, K - k), out[m : m + HEIGHT], n, stop)


@compiled
def _add_block(rows, columns, depth, out, n, stop):
    """Tile by tile, the product of packed rows and columns added to columns n to ``stop`` of ``out``."""
    M, N = out.shape
    wide = 2 * width(columns)
    flat = out.reshape(-1)
    edge = np.empty((TALL, wide), out.dtype)
    for j in range(n, stop, wide):
        for m in range(0, M, TALL):
            if m + TALL <= M and j + wide <= stop:
                _tile(rows, m * depth, columns, (j - n) * depth, depth, flat, m * N + j, N)
            else:
                edge[:] = 0
                _tile(rows, m * depth, columns, (j - n) * depth, depth, edge.reshape(-1), 0, wide)
                for r in range(min(TALL, M - m)):
                    for c in range(min(wide, stop - j)):
                        out[m + r, j + c] += edge[r, c]


def multiply(a, b, out):
    """What :func:`matmul` does, for kernels whose arrays are known to be right."""
    if a.shape[0] < TALL:
        multiply_rows(a, b, out)
    else:
        split(lambda i, j: multiply_tiles(a[i:j], b, out[i:j]), a.shape[0], HEIGHT)


@boundary(OPS["matmul"])
def matmul(a, b, *, out=None):
    """The matrix product of ``a`` and ``b``, on as many threads as :func:`coursekit.kernels.cpu.set_num_threads` says.

    A tile of ``out`` stays in registers while a panel's products are added to it, and both panels are packed in the
    order in which the tiles read them: Van Zee and van de Geijn, "BLIS: A framework for rapidly instantiating BLAS
    functionality", ACM TOMS 41(3), 2015, section 3. Few rows leave nothing to reuse, so there packing would not pay,
    and the rows are done as by :func:`matmul_rows`. Each element is a sum of partial sums over 256 k each: its error is
    at most (256 + K/256) · 2⁻²⁴ · Σ|a·b| in float32.

    Args:
        a: shape (M, K), float32 or float64; NumPy array or torch tensor on the CPU.
        b: shape (K, N), of the same dtype and kind.
        out: shape (M, N), filled and returned where given; it must not share memory with a or b.

    Returns:
        Shape (M, N), of the inputs' dtype and kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, a tensor is not on the CPU, or ``out`` cannot be written without harm.
    """
    multiply(a, b, out)
