"""A step of k-means on a line: distances to every centre, a search among borders, and borders on vectors.

On a line a centre's cell ends halfway to its neighbours. Of sorted centres those borders are sorted too, and the number
of borders at or below x is the number of its cell.
"""

import numpy as np

from coursekit.kernels.cpu import simd
from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.bit_vectors import truncate
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.rows import load_part
from coursekit.kernels.cpu.simd import broadcast, load_one, select, store, width
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.ops import OPS

BLOCK = 2**13
"""Numbers that are added up by themselves, whichever thread does it."""
FEW = 1024
"""Borders of which every one is compared; of more, only those on the way of a search."""


def _sorted(centres):
    """The centres' order, the borders between them, and room for the numbers of their cells."""
    order = np.argsort(centres, kind="stable")
    half, ordered = centres.dtype.type(0.5), centres[order]
    return order.astype(np.int32), ordered[:-1] * half + ordered[1:] * half


@compiled
def _textbook(x, order, borders, sums, counts, assignment):
    for i in range(x.size):
        cell = 0
        for b in borders:
            if x[i] >= b:
                cell += 1
        if x[i] == x[i]:
            assignment[i] = order[cell]
            sums[order[cell]] += x[i]
            counts[order[cell]] += 1
        else:
            assignment[i] = -1


def _means(sums, counts, centres):
    """Of each cluster; of none, the old centre."""
    return np.where(counts > 0, sums / np.maximum(counts, 1), centres)


@boundary(OPS["kmeans_step"])
def kmeans_step_textbook(x, centres, *, out=None):
    """:func:`kmeans_step` by its definition: each number beside each border between two centres."""
    sums, counts = np.zeros(centres.size), np.zeros(centres.size, np.int64)
    _textbook(x, *_sorted(centres), sums, counts, out[0])
    out[1][:] = _means(sums, counts, centres)


@compiled
def _search(x, borders, cells):
    """The cell of each number: half of the borders that are left fall away with each comparison."""
    for i in range(x.size):
        first, left = 0, borders.size
        while left > 0:
            half = (left + 1) // 2
            first += half if x[i] >= borders[first + half - 1] else 0
            left -= half
        cells[i] = first


@compiled(inline=True)
def _part(x, i):
    return load_part(x, i, x.size - i)


@compiled
def _compare(x, borders, cells):
    """The cell of each number: how many borders lie at or below it, for four vectors of numbers at a time."""
    n, number = width(x), x.dtype.type
    zero, one = broadcast(number(0)), broadcast(number(1))
    for i in range(0, x.size, 4 * n):
        v0, v1, v2, v3 = _part(x, i), _part(x, i + n), _part(x, i + 2 * n), _part(x, i + 3 * n)
        c0 = c1 = c2 = c3 = zero
        for b in range(borders.size):
            border = load_one(borders, b)
            c0 += select(v0 >= border, one, zero)
            c1 += select(v1 >= border, one, zero)
            c2 += select(v2 >= border, one, zero)
            c3 += select(v3 >= border, one, zero)
        store(cells, i, truncate(c0))
        store(cells, i + n, truncate(c1))
        store(cells, i + 2 * n, truncate(c2))
        store(cells, i + 3 * n, truncate(c3))


@compiled
def _gather(x, order, cells, assignment, sums, counts):
    """The numbers of the centres, and sums in float64: two for each cell, so that neighbours do not wait."""
    last = order.size
    for i in range(x.size):
        cell = cells[i] if x[i] == x[i] else last
        assignment[i] = order[cell] if cell < last else -1
        sums[i % 2, cell] += x[i]
        counts[i % 2, cell] += 1


@compiled
def _blocks(x, order, borders, cells, compare, assignment, sums, counts):
    for b in range(sums.shape[0]):
        part = x[b * BLOCK : (b + 1) * BLOCK]
        if compare:
            _compare(part, borders, cells)
        else:
            _search(part, borders, cells)
        _gather(part, order, cells, assignment[b * BLOCK : (b + 1) * BLOCK], sums[b], counts[b])


def _step(x, centres, compare, out):
    order, borders = _sorted(centres)
    blocks = -(-x.size // BLOCK)
    # A cell more, for nan, and sums of their own for each block: their order is then the same for any threads.
    sums, counts = np.zeros((blocks, 2, centres.size + 1)), np.zeros((blocks, 2, centres.size + 1), np.int64)

    def work(i, j):
        start, stop = i * BLOCK, j * BLOCK
        cells = np.empty(BLOCK + 4 * simd.LANES, f"int{8 * x.itemsize}")
        _blocks(x[start:stop], order, borders, cells, compare, out[0][start:stop], sums[i:j], counts[i:j])

    split(work, blocks, 8)
    total, count = np.empty(centres.size), np.empty(centres.size, np.int64)
    total[order], count[order] = sums.sum((0, 1))[:-1], counts.sum((0, 1))[:-1]
    out[1][:] = _means(total, count, centres)


@boundary(OPS["kmeans_step"])
def kmeans_step_search(x, centres, *, out=None):
    """:func:`kmeans_step` by halving: eight comparisons do for 256 centres.

    But each of them waits for the one before, and its outcome cannot be guessed: it pays for a thousand centres.
    """
    _step(x, centres, False, out)


@boundary(OPS["kmeans_step"])
def kmeans_step(x, centres, *, out=None):
    """One step of Lloyd's algorithm for numbers: Lloyd, "Least squares quantization in PCM", IEEE TIT 28(2), 1982.

    Up to a thousand centres, a vector of numbers is compared with all borders between them, and with more, each number
    with those on its way through a search. A border is ½a + ½b in the dtype of x, and belongs to the upper cell. Sums
    are in float64, so that the error of a mean is half a unit in the last place, and N · 2⁻⁵³ of the mean of |x|.

    Args:
        x: shape (N,), float32 or float64; NumPy array or torch tensor on the CPU.
        centres: shape (C,), of the same dtype and kind, one or more, in any order. Of equal
            ones the first has the numbers below, and the last the others.
        out: a tuple of two arrays as below, filled and returned where given; none may share memory with the inputs.

    Returns:
        The number of the nearest centre of each x, (N,) int32, -1 for nan; and the means of those that have the same
        one, (C,), of the dtype of x. A centre that is nobody's nearest stays where it is.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, there is no centre, a tensor is not on the CPU, or ``out`` cannot be written
            without harm.
    """
    _step(x, centres, centres.size <= FEW + 1, out)
