"""Blocks of eight rows by one column as a layer has them: x by samples, the bias in it, nothing transposed.

:mod:`~coursekit.kernels.cpu.block_sparse_matmul` takes x with a column for each sample, and its vectors go along the
samples. A layer of torch has a row for each, and to turn x costs about what the product of the few blocks does. Here
the vectors go along the eight rows of a block: they are neighbours in ``out`` then, and x is read as it lies.
"""

import numpy as np

from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.rows import load_part, store_part
from coursekit.kernels.cpu.simd import broadcast, fma, load_one, width
from coursekit.kernels.cpu.sparse_rows import check_pattern, pattern_fits, rows_worth_a_thread
from coursekit.kernels.cpu.threads import get_num_threads, split
from coursekit.kernels.ops.sparse import TALL

SAMPLES = 8
"""Samples whose sums stay in registers while a row of blocks passes, so that a load of a block serves them all."""


@compiled
def _eight_samples(blocks, first, lane, lanes, columns, x, at, K, start, out, to, R, count):
    """``lanes`` rows of a row of blocks, from ``lane`` on, times eight samples; ``start`` is the bias."""
    a = b = c = d = e = f = g = h = start
    for z in range(columns.size):
        v, i = load_part(blocks, (first + z) * TALL + lane, lanes), at + np.intp(columns[z])
        a, b = fma(v, load_one(x, i), a), fma(v, load_one(x, i + K), b)
        c, d = fma(v, load_one(x, i + 2 * K), c), fma(v, load_one(x, i + 3 * K), d)
        e, f = fma(v, load_one(x, i + 4 * K), e), fma(v, load_one(x, i + 5 * K), f)
        g, h = fma(v, load_one(x, i + 6 * K), g), fma(v, load_one(x, i + 7 * K), h)
    store_part(out, to, a, count)
    store_part(out, to + R, b, count)
    store_part(out, to + 2 * R, c, count)
    store_part(out, to + 3 * R, d, count)
    store_part(out, to + 4 * R, e, count)
    store_part(out, to + 5 * R, f, count)
    store_part(out, to + 6 * R, g, count)
    store_part(out, to + 7 * R, h, count)


@compiled
def _one_sample(blocks, first, lane, lanes, columns, x, at, start, out, to, count):
    """As `_eight_samples`, in two sums that do not wait for each other."""
    a, b = start, broadcast(x.dtype.type(0))
    even = columns.size // 2 * 2
    for z in range(0, even, 2):
        i = (first + z) * TALL + lane
        a = fma(load_part(blocks, i, lanes), load_one(x, at + np.intp(columns[z])), a)
        b = fma(load_part(blocks, i + TALL, lanes), load_one(x, at + np.intp(columns[z + 1])), b)
    if even < columns.size:
        i = (first + even) * TALL + lane
        a = fma(load_part(blocks, i, lanes), load_one(x, at + np.intp(columns[even])), a)
    store_part(out, to, a + b, count)


@compiled
def _samples(blocks, columns, starts, bias, x, out):
    (N, K), R = x.shape, out.shape[1]
    if not pattern_fits(columns, starts, K):
        return False
    numbers, read, write = blocks.reshape(-1), x.reshape(-1), out.reshape(-1)
    n, whole = width(x), N // SAMPLES * SAMPLES
    for s in range(0, N, SAMPLES):
        for r in range(starts.size - 1):
            first, some = starts[r], columns[starts[r] : starts[r + 1]]
            for lane in range(0, TALL, n):
                row = r * TALL + lane
                lanes, count = min(n, TALL - lane), min(n, TALL - lane, R - row)
                if count <= 0:
                    continue
                start = load_part(bias, row, count)
                if s < whole:
                    to = s * R + row
                    _eight_samples(
                        numbers, first, lane, lanes, some, read, s * K, K, start, write, to, R, count
                    )
                else:
                    for t in range(s, N):
                        _one_sample(
                            numbers, first, lane, lanes, some, read, t * K, start, write, t * R + row, count
                        )
    return True


def multiply_samples(blocks, columns, starts, bias, x, out) -> None:
    """out = x · weightᵀ + bias, for a weight in blocks: NumPy arrays whose shapes and dtypes are known to be right.

    Args:
        blocks, columns, starts: as :func:`coursekit.kernels.cpu.block_sparse_matmul` takes them, for ⌈R/8⌉ rows of
            blocks; what stands in rows from R on does not matter.
        bias: shape (R,), of the dtype of blocks, float32 or float64.
        x: shape (N, K), contiguous.
        out: shape (N, R), contiguous; it is filled.

    Raises:
        ValueError: a column is not one of K, or ``starts`` does not rise from 0 to Z. ``out`` is untouched then.
    """
    if get_num_threads() == 1:
        if not _samples(blocks, columns, starts, bias, x, out):
            check_pattern("multiply_samples", columns, starts, x.shape[1])  # says what is wrong
    else:
        check_pattern("multiply_samples", columns, starts, x.shape[1])
        split(
            lambda i, j: _samples(blocks, columns, starts, bias, x[i:j], out[i:j]),
            len(x),
            SAMPLES * (rows_worth_a_thread(len(x), blocks.size * len(x)) // SAMPLES + 1),
        )
