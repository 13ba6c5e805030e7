"""Matrix product in four steps: as the textbook has it, along the rows, in blocks, and in tiles of registers.

All four make 2·M·N·K FLOPs. They differ in the order, and so in what the caches and the vector units
can do for them: between the first and the last lies a factor of hundreds, where the matrices are large.
"""

import numpy as np

from coursekit.kernels.cpu import simd
from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.simd import broadcast, fma, load, load_first, load_one, store, store_first, width
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
def multiply_blocked(a, b, out):
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
    """Copy ``block`` into the corner of ``buffer``, with rows of zeros up to a multiple of STEP: that many."""
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
    multiply_blocked(a, b, out)


# What is left to save are the loads and stores of ``out``: a tile of it stays in registers while all of a panel's k
# pass. A tile is TALL rows of two vectors. Of 16 registers, 6 x 2 hold the tile, two a row of b, one a number of a; of
# 32, 12 x 2, two and one.
TALL = 12 if simd.REGISTERS == 32 else 6
# DEPTH x one tile's columns of b, packed, stay in the level-1 cache or close to it, HEIGHT x DEPTH of a in level 2,
# DEPTH x BREADTH of b in level 3. HEIGHT is a multiple of TALL, so that threads cut between tiles and change no bits.
DEPTH, HEIGHT, BREADTH = 256, 96, 1024


@compiled(inline=True)
def _add_row(row, x, b0, b1):
    return fma(x, b0, row[0]), fma(x, b1, row[1])


@compiled
def _put_row(out, at, row, columns, add):
    """Write the first ``columns`` of a tile's row, or add them to what is there."""
    n = width(out)
    if columns < 2 * n:
        _put_part(out, at, row[0], min(columns, n), add)
        _put_part(out, at + n, row[1], columns - n, add)
    elif add:
        store(out, at, load(out, at) + row[0])
        store(out, at + n, load(out, at + n) + row[1])
    else:
        store(out, at, row[0])
        store(out, at + n, row[1])


@compiled
def _put_part(out, at, vector, count, add):
    if add:
        vector = vector + load_first(out, at, count, vector)
    store_first(out, at, vector, count)


@compiled
def _tile6(a, i, down, right, b, j, depth, out, at, stride, rows, columns, add):
    """Six rows of a times packed columns of b, for ``rows`` x ``columns`` of out from position ``at`` on.

    The first row of a begins at position i, the next ones ``down`` further each, and its numbers are ``right`` apart.
    Where there are fewer rows, the last one is computed again in place of those that are missing.
    """
    n = width(b)
    zero = broadcast(b.dtype.type(0))
    r0 = r1 = r2 = r3 = r4 = r5 = (zero, zero)
    last = rows - 1
    i1, i2, i3 = i + min(1, last) * down, i + min(2, last) * down, i + min(3, last) * down
    i4, i5 = i + min(4, last) * down, i + min(5, last) * down
    k = 0
    for _ in range(depth):
        b0, b1 = load(b, j), load(b, j + n)
        r0 = _add_row(r0, load_one(a, i + k), b0, b1)
        r1 = _add_row(r1, load_one(a, i1 + k), b0, b1)
        r2 = _add_row(r2, load_one(a, i2 + k), b0, b1)
        r3 = _add_row(r3, load_one(a, i3 + k), b0, b1)
        r4 = _add_row(r4, load_one(a, i4 + k), b0, b1)
        r5 = _add_row(r5, load_one(a, i5 + k), b0, b1)
        k += right
        j += 2 * n
    _put_row(out, at, r0, columns, add)
    if rows > 1:
        _put_row(out, at + stride, r1, columns, add)
    if rows > 2:
        _put_row(out, at + 2 * stride, r2, columns, add)
    if rows > 3:
        _put_row(out, at + 3 * stride, r3, columns, add)
    if rows > 4:
        _put_row(out, at + 4 * stride, r4, columns, add)
    if rows > 5:
        _put_row(out, at + 5 * stride, r5, columns, add)


@compiled
def _tile12(a, i, down, right, b, j, depth, out, at, stride, rows, columns, add):
    """:func:`_tile6` with twelve rows, for machines with 32 registers."""
    n = width(b)
    zero = broadcast(b.dtype.type(0))
    r0 = r1 = r2 = r3 = r4 = r5 = r6 = r7 = r8 = r9 = r10 = r11 = (zero, zero)
    last = rows - 1
    i1, i2, i3 = i + min(1, last) * down, i + min(2, last) * down, i + min(3, last) * down
    i4, i5, i6 = i + min(4, last) * down, i + min(5, last) * down, i + min(6, last) * down
    i7, i8, i9 = i + min(7, last) * down, i + min(8, last) * down, i + min(9, last) * down
    i10, i11 = i + min(10, last) * down, i + min(11, last) * down
    k = 0
    for _ in range(depth):
        b0, b1 = load(b, j), load(b, j + n)
        r0 = _add_row(r0, load_one(a, i + k), b0, b1)
        r1 = _add_row(r1, load_one(a, i1 + k), b0, b1)
        r2 = _add_row(r2, load_one(a, i2 + k), b0, b1)
        r3 = _add_row(r3, load_one(a, i3 + k), b0, b1)
        r4 = _add_row(r4, load_one(a, i4 + k), b0, b1)
        r5 = _add_row(r5, load_one(a, i5 + k), b0, b1)
        r6 = _add_row(r6, load_one(a, i6 + k), b0, b1)
        r7 = _add_row(r7, load_one(a, i7 + k), b0, b1)
        r8 = _add_row(r8, load_one(a, i8 + k), b0, b1)
        r9 = _add_row(r9, load_one(a, i9 + k), b0, b1)
        r10 = _add_row(r10, load_one(a, i10 + k), b0, b1)
        r11 = _add_row(r11, load_one(a, i11 + k), b0, b1)
        k += right
        j += 2 * n
    _put_row(out, at, r0, columns, add)
    if rows > 1:
        _put_row(out, at + stride, r1, columns, add)
    if rows > 2:
        _put_row(out, at + 2 * stride, r2, columns, add)
    if rows > 3:
        _put_row(out, at + 3 * stride, r3, columns, add)
    if rows > 4:
        _put_row(out, at + 4 * stride, r4, columns, add)
    if rows > 5:
        _put_row(out, at + 5 * stride, r5, columns, add)
    if rows > 6:
        _put_row(out, at + 6 * stride, r6, columns, add)
    if rows > 7:
        _put_row(out, at + 7 * stride, r7, columns, add)
    if rows > 8:
        _put_row(out, at + 8 * stride, r8, columns, add)
    if rows > 9:
        _put_row(out, at + 9 * stride, r9, columns, add)
    if rows > 10:
        _put_row(out, at + 10 * stride, r10, columns, add)
    if rows > 11:
        _put_row(out, at + 11 * stride, r11, columns, add)


_tile = _tile12 if TALL == 12 else _tile6


@compiled
def _pack_columns(b, packed):
    """Tiles' columns of ``b``, row after row of two vectors, the last ones filled up with zeros."""
    K, N = b.shape
    n = width(packed)
    down = b.strides[0] // b.itemsize
    zero = broadcast(packed.dtype.type(0))
    to = 0
    for j in range(0, N, 2 * n):
        count = N - j
        for k in range(K):
            at = k * down + j
            if count >= 2 * n:
                store(packed, to, load(b, at))
                store(packed, to + n, load(b, at + n))
            else:
                store(packed, to, load_first(b, at, count, zero))
                store(packed, to + n, load_first(b, at + n, count - n, zero))
            to += 2 * n


@compiled
def multiply_tiles(a, b, out):
    """The product of a, of any strides, and b, whose rows are contiguous, to a contiguous ``out``."""
    M, K = a.shape
    N = b.shape[1]
    if K == 0:
        out[:] = 0
    packed = np.empty(min(K, DEPTH) * (min(N, BREADTH) + 2 * width(b)), b.dtype)
    for n in range(0, N, BREADTH):
        stop = min(n + BREADTH, N)
        for k in range(0, K, DEPTH):
            _pack_columns(b[k : k + DEPTH, n:stop], packed)
            for m in range(0, M, HEIGHT):
                _add_block(a[m : m + HEIGHT, k : k + DEPTH], packed, out[m : m + HEIGHT], n, stop, k > 0)


@compiled
def _add_block(a, packed, out, n, stop, add):
    """Tile by tile, rows of a times packed columns, to columns n to ``stop`` of ``out``, or added to them."""
    M, depth = a.shape
    stride = out.shape[1]
    down, right = a.strides[0] // a.itemsize, a.strides[1] // a.itemsize
    wide = 2 * width(packed)
    flat = out.reshape(-1)
    for j in range(n, stop, wide):
        columns, panel = min(wide, stop - j), (j - n) * depth
        for m in range(0, M, TALL):
            at, rows = m * stride + j, min(TALL, M - m)
            _tile(a, m * down, down, right, packed, panel, depth, flat, at, stride, rows, columns, add)


def multiply(a, b, out):
    """What :func:`matmul` does, for kernels whose arrays are known to be right."""
    if a.shape[0] < TALL:
        multiply_rows(a, b, out)
    else:
        split(lambda i, j: multiply_tiles(a[i:j], b, out[i:j]), a.shape[0], HEIGHT)


@boundary(OPS["matmul"])
def matmul(a, b, *, out=None):
    """The matrix product of ``a`` and ``b``, on as many threads as :func:`coursekit.kernels.cpu.set_num_threads` says.

    A tile of ``out`` stays in registers while a panel's products are added to it, and b is packed in the order in which
    the tiles read it: Van Zee and van de Geijn, "BLIS: A framework for rapidly instantiating BLAS functionality", ACM
    TOMS 41(3), 2015, section 3. Its authors pack a as well; here tiles read a few rows of it where they lie, since each
    number serves two vectors only and the copy would cost more than it saves. Fewer rows than a tile leave nothing to
    reuse and are done as by :func:`matmul_rows`. Threads share the rows, 96 at least for each, and each packs b for
    itself. An element is a sum of partial sums over 256 k each: its error is at most (256 + K/256) · 2⁻²⁴ · Σ|a·b| in
    float32, and K · 2⁻²⁴ · Σ|a·b| with fewer rows than a tile.

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
