"""How many numbers fall into each bin: one after the other, with several counts for each bin, and bins by vectors.

A count is loaded, raised and stored. Where the next number falls into the same bin, its load has to wait for that
store: a chain through memory. Counts that are private to each of several neighbours break it, and are
added up at the end.
"""

import threading

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.bit_vectors import truncate
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.rows import GRAIN
from coursekit.kernels.cpu.simd import broadcast, load, load_first, minimum, select, store, width
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.ops import OPS
from coursekit.kernels.ops.codebook import scale_of

PRIVATE = 4
"""Counts for each bin."""
BLOCK = 1024
"""Numbers of which the bins are found before they are counted."""


@compiled
def _textbook(x, start, scale, high, counts):
    last = counts.size - 1
    for i in range(x.size):
        if start <= x[i] <= high:
            counts[min(np.int64((x[i] - start) * scale), last)] += 1


@boundary(OPS["histogram"])
def histogram_textbook(x, *, bins=256, low=0.0, high=1.0, out=None):
    """:func:`histogram` one number after the other."""
    out[:] = 0
    _textbook(x.reshape(-1), *scale_of(x.dtype, bins, low, high), x.dtype.type(high), out)


@compiled
def _add_up(private, counts):
    for p in range(private.shape[0]):
        for i in range(counts.size):
            counts[i] += private[p, i]


@compiled
def _private(x, start, scale, high, private):
    last = private.shape[1] - 1
    for i in range(x.size):
        if start <= x[i] <= high:
            private[i % PRIVATE, min(np.int64((x[i] - start) * scale), last)] += 1


@boundary(OPS["histogram"])
def histogram_private(x, *, bins=256, low=0.0, high=1.0, out=None):
    """:func:`histogram` with four counts for each bin, so that four numbers of one bin do not wait for each other."""
    private = np.zeros((PRIVATE, bins), np.int64)
    _private(x.reshape(-1), *scale_of(x.dtype, bins, low, high), x.dtype.type(high), private)
    out[:] = 0
    _add_up(private, out)


@compiled(inline=True)
def _bin(x, start, scale, high, last, nowhere):
    """The bins of a vector of numbers; ``nowhere`` for those outside, nan among them."""
    place = minimum((x - start) * scale, last)
    return truncate(select(x >= start, select(x <= high, place, nowhere), nowhere))


@compiled
def _find_bins(x, first, count, start, scale, high, bins, found):
    n, number = width(x), x.dtype.type
    a, b, c = broadcast(start), broadcast(scale), broadcast(high)
    last, nowhere, outside = broadcast(number(bins - 1)), broadcast(number(bins)), broadcast(number(np.nan))
    whole = count // n * n
    for i in range(0, whole, n):
        store(found, i, _bin(load(x, first + i), a, b, c, last, nowhere))
    if whole < count:
        v = load_first(x, first + whole, count - whole, outside)
        store(found, whole, _bin(v, a, b, c, last, nowhere))


@compiled
def _count(found, count, private):
    """``found`` is unsigned: no bin is negative, and none is looked at for being so."""
    for i in range(0, count - PRIVATE + 1, PRIVATE):
        private[0, found[i]] += 1
        private[1, found[i + 1]] += 1
        private[2, found[i + 2]] += 1
        private[3, found[i + 3]] += 1
    for i in range(count // PRIVATE * PRIVATE, count):
        private[0, found[i]] += 1


@compiled
def _vectors(x, start, scale, high, found, places, private):
    for first in range(0, x.size, BLOCK):
        count = min(BLOCK, x.size - first)
        _find_bins(x, first, count, start, scale, high, private.shape[1] - 1, found)
        _count(places, count, private)


@boundary(OPS["histogram"])
def histogram(x, *, bins=256, low=0.0, high=1.0, out=None):
    """How many numbers fall into each of ``bins`` equal parts of the range from ``low`` to ``high``.

    The bins of a thousand numbers are found on vectors, without a branch, and counted after that, in four counts for
    each bin: the privatisation of Gómez-Luna et al., "An optimized approach to histogram computation on GPU", Machine
    Vision and Applications 24(5), 2013, and one count more for what lies outside. The result is exact: a number's bin
    is ⌊(x - low) · scale⌋, rounded in the dtype of x after each of the two steps, with scale = bins/(high - low).

    Args:
        x: any shape, float32 or float64; NumPy array or torch tensor on the CPU.
        bins: how many, 1 to 65536.
        low, high: the range; ``high`` itself belongs to the last bin.
        out: shape (bins,), int64, filled and returned where given; it must not share memory with x.

    Returns:
        Shape (bins,), int64, of the kind of x. What lies outside, and nan, is counted nowhere.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; an option is no number.
        ValueError: ``bins`` is out of range, ``low`` not below ``high`` or either not finite, a tensor is not on the
            CPU, or ``out`` cannot be written without harm.
    """
    x, numbers = x.reshape(-1), (*scale_of(x.dtype, bins, low, high), x.dtype.type(high))
    out[:] = 0
    lock = threading.Lock()

    def work(i, j):
        private = np.zeros((PRIVATE, bins + 1), np.int64)
        found = np.empty(BLOCK, f"int{8 * x.itemsize}")
        _vectors(x[i:j], *numbers, found, found.view(f"u{found.dtype}"), private)
        with lock:
            _add_up(private[:, :bins], out)

    split(work, x.size, GRAIN)
