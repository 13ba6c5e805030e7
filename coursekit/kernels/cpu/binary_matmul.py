"""Matrices of ±1 as bits, multiplied: bit by bit, word by word, on vectors, and by tables.

Two entries agree or differ, so a product over k entries is k - 2 · (how many differ), and one exclusive or compares
64 of them. What takes the time is counting ones. A machine that counts them in whole vectors (AVX-512 with VPOPCNTDQ)
needs three instructions for 512 entries. Others come near that with an instruction that looks up sixteen or more bytes
at once in a table of sixteen.
"""

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.bit_vectors import COUNTS_VECTORS, HAS_LOOK_UP, count_ones, load_table, look_up
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.rows import load_part
from coursekit.kernels.cpu.simd import BYTES, broadcast, load, store, sum_across, width
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.ops import OPS
from coursekit.kernels.ops.binary import BITS


@compiled
def _textbook(a, b, k, out):
    one = np.uint64(1)
    for m in range(out.shape[0]):
        for n in range(out.shape[1]):
            differ = 0
            for w in range(a.shape[1]):
                apart = a[m, w] ^ b[n, w]
                for i in range(BITS):
                    differ += (apart >> np.uint64(i)) & one
            out[m, n] = k - 2 * np.int64(differ)


def _entries(a, k):
    """How many entries a row has: k, or all its bits."""
    return k or BITS * a.shape[1]


@boundary(OPS["binary_matmul"])
def binary_matmul_textbook(a, b, *, k=0, out=None):
    """:func:`binary_matmul` bit by bit: three instructions for each entry, more than a float product needs."""
    _textbook(a, b, _entries(a, k), out)


@compiled
def _words(a, b, k, out):
    for m in range(out.shape[0]):
        for n in range(out.shape[1]):
            x, y, differ = a[m], b[n], np.uint64(0)
            for w in range(x.size):
                differ += count_ones(x[w] ^ y[w])
            out[m, n] = k - 2 * np.int64(differ)


@boundary(OPS["binary_matmul"])
def binary_matmul_words(a, b, *, k=0, out=None):
    """:func:`binary_matmul` word by word: an exclusive or, and the instruction that counts a word's ones."""
    _words(a, b, _entries(a, k), out)


@compiled
def _vectors(a, b, k, out):
    W, n = a.shape[1], width(a)
    x, y = a.reshape(-1), b.reshape(-1)
    whole = W // n * n
    for r in range(out.shape[0]):
        for c in range(out.shape[1]):
            i, j, total = r * W, c * W, broadcast(np.uint64(0))
            for w in range(0, whole, n):
                total += count_ones(load(x, i + w) ^ load(y, j + w))
            if whole < W:
                total += count_ones(load_part(x, i + whole, W - whole) ^ load_part(y, j + whole, W - whole))
            out[r, c] = k - 2 * np.int64(sum_across(total))


@boundary(OPS["binary_matmul"])
def binary_matmul_vectors(a, b, *, k=0, out=None):
    """:func:`binary_matmul` on whole vectors: counting their ones takes an instruction, or about ten."""
    _vectors(a, b, _entries(a, k), out)


# Four bits of a row of a, its nibble, fix a table: at place i, how many bits of i differ from them. A look-up of 32
# nibbles of b, of as many columns, then counts 128 bits, and one addition of bytes adds them to 32 sums.
NIBBLES = BITS // 4
TALL, WIDE = 4, 2 * BYTES
# A sum of bytes has room for so many nibbles that differ in all of their bits.
MOST = 63
# And one of 16 bits for so many.
SPAN = 256 * MOST
TABLES = np.array([[(i ^ j).bit_count() for j in range(16)] for i in range(16)], np.uint8)


@compiled
def _nibble(word, i):
    return (word >> np.uint64(4 * i)) & np.uint64(15)


@compiled
def _spread_columns(b, first, words, spread):
    """The nibbles of WIDE rows of b from ``first`` on, one in a byte: all their first ones, all their second ones, …

    ``words`` holds a word of each of these rows, and zeros beyond the last.
    """
    for w in range(b.shape[1]):
        for n in range(min(WIDE, b.shape[0] - first)):
            words[n] = b[first + n, w]
        for i in range(NIBBLES):
            row = spread[w * NIBBLES + i]
            for n in range(WIDE):
                row[n] = _nibble(words[n], i)


@compiled
def _spread_tables(a, first, tables, spread):
    """The tables of the nibbles of TALL rows of a from ``first`` on; beyond its last row, some table or other.

    A whole vector is stored for each table of sixteen bytes; what it holds beyond is overwritten by the next one.
    """
    last, at = a.shape[0] - 1, 0
    for w in range(a.shape[1]):
        for i in range(NIBBLES):
            for r in range(first, first + TALL):
                table = load_table(tables, np.int64(_nibble(a[min(r, last), w], i)) * 16)
                store(spread, at, table)
                at += 16


@compiled(inline=True)
def _count(sums, table, x, y):
    return sums[0] + look_up(table, x), sums[1] + look_up(table, y)


@compiled
def _tile(tables, columns, start, stop, sums):
    """How many bits differ of the nibbles from start to below stop, MOST at most: four rows by two vectors of bytes."""
    zero = broadcast(np.uint8(0))
    a = b = c = d = (zero, zero)
    for i in range(start, stop):
        x, y, at = load(columns, i * WIDE), load(columns, i * WIDE + BYTES), i * TALL * 16
        a = _count(a, load_table(tables, at), x, y)
        b = _count(b, load_table(tables, at + 16), x, y)
        c = _count(c, load_table(tables, at + 32), x, y)
        d = _count(d, load_table(tables, at + 48), x, y)
    store(sums, 0, a[0])
    store(sums, BYTES, a[1])
    store(sums, 2 * BYTES, b[0])
    store(sums, 3 * BYTES, b[1])
    store(sums, 4 * BYTES, c[0])
    store(sums, 5 * BYTES, c[1])
    store(sums, 6 * BYTES, d[0])
    store(sums, 7 * BYTES, d[1])


@compiled
def _add_all(sums, counts):
    for n in range(counts.size):
        counts[n] += sums[n]


@compiled
def _finish(counts, k, add, row):
    """k - 2 · counts, or that added to what is there."""
    if add:
        for n in range(row.size):
            row[n] -= np.int32(2) * np.int32(counts[n])
    else:
        for n in range(row.size):
            row[n] = k - np.int32(2) * np.int32(counts[n])


@compiled
def _by_tables(a, columns, tables, k, out):
    (M, N), K = out.shape, a.shape[1] * NIBBLES
    spread = np.empty(K * TALL * 16 + BYTES, np.uint8)
    sums, counts = np.empty(TALL * WIDE, np.uint8), np.empty(TALL * WIDE, np.uint16)
    for m in range(0, M, TALL):
        _spread_tables(a, m, tables, spread)
        for j in range(columns.shape[0]):
            panel, first, stop = columns[j].reshape(-1), j * WIDE, min((j + 1) * WIDE, N)
            for start in range(0, K, SPAN):
                counts[:] = 0
                for i in range(start, min(start + SPAN, K), MOST):
                    _tile(spread, panel, i, min(i + MOST, K), sums)
                    _add_all(sums, counts)
                for r in range(min(TALL, M - m)):
                    _finish(counts[r * WIDE : (r + 1) * WIDE], np.int32(k), start > 0, out[m + r, first:stop])


@compiled
def _all_columns(b):
    """The nibbles of b in panels of WIDE columns of the result."""
    columns = np.empty(((b.shape[0] + WIDE - 1) // WIDE, b.shape[1] * NIBBLES, WIDE), np.uint8)
    for j in range(columns.shape[0]):
        _spread_columns(b, j * WIDE, np.zeros(WIDE, np.uint64), columns[j])
    return columns


@boundary(OPS["binary_matmul"])
def binary_matmul_tables(a, b, *, k=0, out=None):
    """:func:`binary_matmul` by tables: a look-up and an addition for 4 entries of a vector's bytes of columns.

    No ones are counted, and none added up across a vector. The nibbles of b are laid out once for all rows.
    """
    columns, entries = _all_columns(b), _entries(a, k)
    if not a.shape[1]:
        out[:] = 0
        return
    split(
        lambda i, j: _by_tables(a[i:j], columns, TABLES.reshape(-1), entries, out[i:j]),
        out.shape[0],
        TALL * (2**16 // max(TALL * b.size, 1) + 1),
    )


FEWEST = 48
"""Rows of a for which it pays to lay out the nibbles of b."""


@boundary(OPS["binary_matmul"])
def binary_matmul(a, b, *, k=0, out=None):
    """The products of rows of ±1, packed as bits by :func:`coursekit.kernels.cpu.pack_signs`.

    Where the machine counts the ones of whole vectors, as :func:`binary_matmul_vectors` does; where it has the
    look-up of bytes and a has many rows, by tables; otherwise by words. Tables serve Muła, Kurz and Lemire, "Faster
    Population Counts Using AVX2 Instructions", The Computer Journal 61(1), 2018, section 3, for the count alone, and
    Wei et al., "T-MAC", EuroSys 2025, for products of few bits. All give the same, which is exact up to k = 2³¹ - 1.

    Args:
        a: shape (M, W), uint64; NumPy array or torch tensor on the CPU.
        b: shape (N, W), uint64, of the same kind: the second matrix by its columns.
        k: how many entries a row has, 64·W - 63 to 64·W, the bits beyond them being equal in a and b; 0 for 64·W.
        out: shape (M, N), int32, filled and returned where given; it must not share memory with a or b.

    Returns:
        Shape (M, N), int32, of the inputs' kind: k - 2 · (how many bits of row m of a and row n of b differ).

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; ``k`` is no int.
        ValueError: shapes do not fit, ``k`` does not fit them, a tensor is not on the CPU, or ``out`` cannot be written
            without harm.
    """
    if HAS_LOOK_UP and not COUNTS_VECTORS and len(a) >= FEWEST:
        binary_matmul_tables.__wrapped__(a, b, k=k, out=out)
    else:
        kernel = _vectors if COUNTS_VECTORS else _words
        entries, grain = _entries(a, k), 2**16 // max(b.size, 1) + 1
        split(lambda i, j: kernel(a[i:j], b, entries, out[i:j]), out.shape[0], grain)
