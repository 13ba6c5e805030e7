"""What the convolutions share: images laid out so that each tap is a shift, and the tile that adds shifted rows.

Lay an image with its zeros around it row after row in memory, and let a filter move one pixel at a time. Then what tap
(r, s) sees at all places is the image itself, read from position r·width + s on: a convolution is a sum of shifted
copies, each times one weight. So a tile of registers, as in the matrix product, can read its pixels from where they
lie, and nothing is copied for each tap. The price are the places between the end of one row and the start of the next,
where the filter hangs over both: they are computed and dropped.

A filter that moves ``step`` pixels reads every ``step``-th one. Sorting the pixels by their remainders, row % step and
column % step, into step² small images makes these neighbours again, and the same tile serves.
"""

import numpy as np

from coursekit.kernels.cpu import simd
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.simd import (
    broadcast,
    evens,
    fma,
    load,
    load_first,
    load_one,
    store,
    store_first,
    width,
)

# A tile is TALL filters at WIDE vectors of places. Of 16 registers, 4 x 3 hold it, three the pixels, one a weight.
TALL = 8 if simd.REGISTERS == 32 else 4
WIDE = 3
# Numbers of a band of results, all filters at some places, which stays in the level-2 cache until it is complete.
BAND = 2**15
# Taps that a tile sums at a time: so many weights, and the pixels that they meet, stay in the level-1 cache.
DEPTH = 144
# Numbers of the pixels that a few rows of results need, in all channels: they stay in the level-2 cache too, and on few
# pages, which matters as much: pixels of many whole images lie on more pages than the processor keeps addresses of.
PIXELS = 2**16


def layout(C: int, step: int, reach: tuple, places: tuple, padding: int = 0) -> tuple[tuple[int, ...], int]:
    """How to sort the pixels of C images for filters that reach so far at so many places, some rows at a time.

    A filter that moves one pixel and hangs over the end of a row finds the start of the next, and ``padding`` zeros
    there: so these need not stand at the end as well.

    Returns:
        The shape (C, I, J, Y, X) of the sorted pixels, and the rows of places that they are enough for.
    """
    I, J = (int(min(step, r + 1)) for r in reach)
    more, X = int(reach[0]) // step, int(places[1] + reach[1] // step)
    X -= padding if step == 1 else 0
    rows = PIXELS // max(C * I * J * X, 1) - more
    rows = min(places[0], max(rows, 2 * more, 1))
    rows = -(-places[0] // -(-places[0] // rows))  # as many in each part
    return (C, I, J, rows + more, X), rows


def tap_positions(rows, columns, channels, step: int, form: tuple) -> np.ndarray:
    """The flat position of each tap (d, r, s), at rows[r] and columns[s] of image d, in images of this form."""
    _, I, J, Y, X = form
    rows, columns = np.asarray(rows, np.int64)[:, None], np.asarray(columns, np.int64)
    place = ((rows % step * J + columns % step) * Y + rows // step) * X + columns // step
    return (np.arange(channels)[:, None, None] * (I * J * Y * X) + place).reshape(-1)


@compiled
def sort_pixels(x, start, size, above, padding, step, form, image):
    """Fill ``image``, of shape ``form``, with x[c, y·step + i − above, x·step + j − padding], and zeros outside of x.

    x is flat, and its pixels of this image begin at ``start``; ``size`` is their (H, W). The columns beside the pixels
    are not written: they must be zeros from before.
    """
    C, I, J, Y, X = form
    H, W = size
    to = 0
    for c in range(C):
        for i in range(I):
            top, bottom = _inside(H, above - i, step, Y)
            for j in range(J):
                first, stop = _inside(W, padding - j, step, X)
                image[to : to + top * X] = 0
                at = start + (c * H + top * step + i - above) * W + first * step + j - padding
                shape = (bottom - top, stop - first)
                _every(x, at, step * W, step, image, to + top * X + first, X, shape)
                image[to + bottom * X : to + Y * X] = 0
                to += Y * X


@compiled(inline=True)
def _inside(size, before, step, count):
    """Which of ``count`` numbers n are those of pixels, 0 <= n·step − before < size: from, to."""
    first = min(max((before + step - 1) // step, 0), count)
    return first, max(min((size + before + step - 1) // step, count), first)


@compiled
def _every(x, at, down, step, out, to, across, shape):
    """Every ``step``-th number of rows that begin ``down`` apart, to neighbouring places of rows ``across`` apart."""
    rows, count = shape
    n = width(x)
    fits = n <= count and at + (rows - 1) * down + count * step <= x.size
    for _ in range(rows):
        if fits and step == 1:
            for i in range(0, count, n):
                i = min(i, count - n)
                store(out, to + i, load(x, at + i))
        elif fits and step == 2:
            for i in range(0, count, n):
                i = min(i, count - n)
                store(out, to + i, _every_second(x, at + 2 * i))
        elif fits and step == 4:
            for i in range(0, count, n):
                i = min(i, count - n)
                store(out, to + i, _every_fourth(x, at + 4 * i))
        else:
            for i in range(count):
                out[to + i] = x[at + i * step]
        at += down
        to += across


@compiled(inline=True)
def _every_second(x, i):
    return evens(load(x, i), load(x, i + width(x)))


@compiled(inline=True)
def _every_fourth(x, i):
    return evens(_every_second(x, i), _every_second(x, i + 2 * width(x)))


@compiled
def pack_filters(weight, packed):
    """Filters (K, T) as the tiles read them: TALL numbers of a tap side by side, the last ones filled up with zeros."""
    K, T = weight.shape
    packed[:] = 0
    for k in range(K):
        start = k // TALL * TALL * T + k % TALL
        row, target = weight[k], packed[start:]
        for t in range(T):
            target[t * TALL] = row[t]


def pack_groups(filters: np.ndarray) -> np.ndarray:
    """Filters (groups, K, T), each group packed."""
    groups, K, T = filters.shape
    packed = np.empty((groups, -(-K // TALL) * TALL * T), filters.dtype)
    for g in range(groups):
        pack_filters(filters[g], packed[g])
    return packed


@compiled(inline=True)
def _add(row, w, x0, x1, x2):
    return fma(w, x0, row[0]), fma(w, x1, row[1]), fma(w, x2, row[2])


@compiled(inline=True)
def _put(out, at, row, add):
    n = width(out)
    x0, x1, x2 = row
    if add:
        x0, x1, x2 = x0 + load(out, at), x1 + load(out, at + n), x2 + load(out, at + 2 * n)
    store(out, at, x0)
    store(out, at + n, x1)
    store(out, at + 2 * n, x2)


@compiled
def _tile4(filters, w, image, at, taps, out, to, stride, add):
    """Σ over taps of filters[w...] times the image shifted by the tap, from ``at`` on, to or onto four rows of out."""
    n = width(image)
    zero = broadcast(image.dtype.type(0))
    r0 = r1 = r2 = r3 = (zero, zero, zero)
    for t in range(taps.size):
        i = at + taps[t]
        x0, x1, x2 = load(image, i), load(image, i + n), load(image, i + 2 * n)
        r0 = _add(r0, load_one(filters, w), x0, x1, x2)
        r1 = _add(r1, load_one(filters, w + 1), x0, x1, x2)
        r2 = _add(r2, load_one(filters, w + 2), x0, x1, x2)
        r3 = _add(r3, load_one(filters, w + 3), x0, x1, x2)
        w += 4
    _put(out, to, r0, add)
    _put(out, to + stride, r1, add)
    _put(out, to + 2 * stride, r2, add)
    _put(out, to + 3 * stride, r3, add)


@compiled
def _tile8(filters, w, image, at, taps, out, to, stride, add):
    """:func:`_tile4` with eight rows, for machines with 32 registers."""
    n = width(image)
    zero = broadcast(image.dtype.type(0))
    r0 = r1 = r2 = r3 = r4 = r5 = r6 = r7 = (zero, zero, zero)
    for t in range(taps.size):
        i = at + taps[t]
        x0, x1, x2 = load(image, i), load(image, i + n), load(image, i + 2 * n)
        r0 = _add(r0, load_one(filters, w), x0, x1, x2)
        r1 = _add(r1, load_one(filters, w + 1), x0, x1, x2)
        r2 = _add(r2, load_one(filters, w + 2), x0, x1, x2)
        r3 = _add(r3, load_one(filters, w + 3), x0, x1, x2)
        r4 = _add(r4, load_one(filters, w + 4), x0, x1, x2)
        r5 = _add(r5, load_one(filters, w + 5), x0, x1, x2)
        r6 = _add(r6, load_one(filters, w + 6), x0, x1, x2)
        r7 = _add(r7, load_one(filters, w + 7), x0, x1, x2)
        w += 8
    _put(out, to, r0, add)
    _put(out, to + stride, r1, add)
    _put(out, to + 2 * stride, r2, add)
    _put(out, to + 3 * stride, r3, add)
    _put(out, to + 4 * stride, r4, add)
    _put(out, to + 5 * stride, r5, add)
    _put(out, to + 6 * stride, r6, add)
    _put(out, to + 7 * stride, r7, add)


tile = _tile8 if TALL == 8 else _tile4


@compiled
def _line(filters, w, image, at, taps, out, to, add):
    """One row of twice the breadth, for few filters: six sums that do not wait for each other."""
    n = width(image)
    zero = broadcast(image.dtype.type(0))
    r0 = r1 = (zero, zero, zero)
    for t in range(taps.size):
        i = at + taps[t]
        x = load_one(filters, w)
        r0 = _add(r0, x, load(image, i), load(image, i + n), load(image, i + 2 * n))
        r1 = _add(r1, x, load(image, i + 3 * n), load(image, i + 4 * n), load(image, i + 5 * n))
        w += TALL
    _put(out, to, r0, add)
    _put(out, to + 3 * n, r1, add)


@compiled
def _sum_taps(image, taps, filters, K, start, stop, results, band):
    """The sums of K filters at flat places ``start`` to ``stop``, ``band`` apart in the results: some taps at once."""
    wide = WIDE * width(image)
    T = taps.size
    depth = max(T - 1, 0) // max((T + DEPTH - 1) // DEPTH, 1) + 1
    if T == 0:
        results[:] = 0
    for t in range(0, T, depth):
        some, add = taps[t : t + depth], t > 0
        if 2 * K <= TALL:
            for at in range(0, stop - start, 2 * wide):
                for k in range(K):
                    _line(filters, t * TALL + k, image, start + at, some, results, k * band + at, add)
        else:
            for at in range(0, stop - start, wide):
                for k in range(0, K, TALL):
                    w = k * T + t * TALL
                    tile(filters, w, image, start + at, some, results, k * band + at, band, add)


@compiled
def correlate(image, taps, filters, bias, row, out, to, shape, strides):
    """The results of ``shape`` (K, P, Q) to flat positions ``to`` + k·strides[0] + p·strides[1] + q·strides[2] of out.

    The rows of the flat image are ``row`` long, and it must go on for :func:`slack` numbers beyond its last pixel: what
    is read there is dropped.
    """
    K, P, Q = shape
    total = (P - 1) * row + Q
    wide = 2 * WIDE * width(image)
    band = max(BAND // (max(K, 1) * wide), 1) * wide
    rows = (K + TALL - 1) // TALL * TALL
    results = np.empty(rows * band, image.dtype)
    for start in range(0, total, band):
        stop = min(start + band, total)
        _sum_taps(image, taps, filters, K, start, stop, results, band)
        for k in range(K):
            for p in range(start // row, min((stop - 1) // row + 1, P)):
                first, last = max(start - p * row, 0), min(stop - p * row, Q)
                source = k * band + p * row + first - start
                target = to + k * strides[0] + p * strides[1] + first * strides[2]
                add_bias(results, source, bias[k], out, target, strides[2], last - first)


@compiled
def correlate_images(
    x, filters, bias, step, corner, form, rows, taps, first, stop, out, start, shape, strides
):
    """:func:`correlate` for the parts from ``first`` to ``stop``, of ``rows`` rows of places each.

    There are ``count_parts(len(x), groups, shape, rows)`` of them, image by image, group by group. ``corner`` says how
    many rows and columns above and left of an image its first place begins.
    """
    channels, size = x.shape[1], (x.shape[2], x.shape[3])
    groups = filters.shape[0]
    each = out.shape[1] // max(groups, 1)
    above, left = corner
    P, Q = shape
    bands = (P + rows - 1) // rows
    image = np.zeros(form[0] * form[1] * form[2] * form[3] * form[4] + max(left, 0) + slack(x), x.dtype)
    source, target = x.reshape(-1), out.reshape(-1)
    for part in range(first, stop):
        which, p = part // bands, part % bands * rows
        b, g = which // groups, which % groups
        begin = (b * channels + g * form[0]) * size[0] * size[1]
        sort_pixels(source, begin, size, above - p * step, left, step, form, image)
        k = g * each
        to = start + (b * out.shape[1] + k) * strides[0] + p * strides[1]
        correlate(
            image, taps, filters[g], bias[k:], form[4], target, to, (each, min(rows, P - p), Q), strides
        )


def count_parts(images: int, groups: int, shape: tuple[int, int], rows: int) -> int:
    """Into how many parts the work of :func:`correlate_images` can be split."""
    return images * groups * -(-shape[0] // rows)


@compiled(inline=True)
def slack(image):
    """How far beyond the last place a tile may read."""
    return 2 * WIDE * width(image)


@compiled
def add_bias(results, source, bias, out, target, step, count):
    """Results plus a bias, next to each other, to every ``step``-th place of ``out``."""
    if step > 1:
        for i in range(count):
            out[target + i * step] = results[source + i] + bias
        return
    n = width(out)
    b = broadcast(bias)
    for i in range(0, count - n + 1, n):
        store(out, target + i, load(results, source + i) + b)
    rest = count % n
    if count > 0 and rest:
        last = count - rest
        zero = broadcast(out.dtype.type(0))
        store_first(out, target + last, load_first(results, source + last, rest, zero) + b, rest)
