"""Winograd's convolution for filters of 3 x 3 that move one pixel at a time: fewer products, more sums.

To get m results in a row, a filter of three taps does 3m multiplications; m + 2 are enough, if they multiply certain
sums of the pixels with certain sums of the weights. In two dimensions, F(4, 3) takes 36 multiplications for 4 x 4
results in place of 144, and F(2, 3) takes 16 for 2 x 2 in place of 36. The sums over pixels are shared by all filters,
those over weights by all places; between them stand 36 (or 16) matrix products over the channels.

Lavin and Gray, "Fast algorithms for convolutional neural networks", CVPR 2016, section 4. The matrices are theirs.
"""

import numpy as np

from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.convolution_tiles import TALL, WIDE, sort_pixels, tile
from coursekit.kernels.cpu.simd import broadcast, load, store, width

FILTERS = {
    4: np.array(
        [[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]],
        np.float64,
    )
    / np.array([[24], [24], [24], [24], [24], [24]]),
    2: np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]]),
}
"""What turns three weights into m + 2."""


@compiled(inline=True)
def _pixels4(x, i, step, out, to, beyond):
    """Six vectors of pixels, ``step`` apart, to the six sums that are multiplied, ``beyond`` apart."""
    number = x.dtype.type
    two, four, five = broadcast(number(2)), broadcast(number(4)), broadcast(number(5))
    x0, x1, x2 = load(x, i), load(x, i + step), load(x, i + 2 * step)
    x3, x4, x5 = load(x, i + 3 * step), load(x, i + 4 * step), load(x, i + 5 * step)
    even, odd = x4 - four * x2, x3 - four * x1
    near, far = x4 - x2, two * (x3 - x1)
    store(out, to, four * x0 - five * x2 + x4)
    store(out, to + beyond, even + odd)
    store(out, to + 2 * beyond, even - odd)
    store(out, to + 3 * beyond, near + far)
    store(out, to + 4 * beyond, near - far)
    store(out, to + 5 * beyond, four * x1 - five * x3 + x5)


@compiled(inline=True)
def _results4(x, i, step, out, to, beyond):
    """Six vectors of products, ``step`` apart, to four of results, ``beyond`` apart."""
    number = x.dtype.type
    two, four, eight = broadcast(number(2)), broadcast(number(4)), broadcast(number(8))
    x1, x2 = load(x, i + step), load(x, i + 2 * step)
    x3, x4 = load(x, i + 3 * step), load(x, i + 4 * step)
    near, far, tilt, turn = x1 + x2, x3 + x4, x1 - x2, x3 - x4
    store(out, to, load(x, i) + near + far)
    store(out, to + beyond, tilt + two * turn)
    store(out, to + 2 * beyond, near + four * far)
    store(out, to + 3 * beyond, tilt + eight * turn + load(x, i + 5 * step))


@compiled(inline=True)
def _pixels2(x, i, step, out, to, beyond):
    """:func:`_pixels4` for F(2, 3): four vectors to four."""
    x0, x1, x2, x3 = load(x, i), load(x, i + step), load(x, i + 2 * step), load(x, i + 3 * step)
    store(out, to, x0 - x2)
    store(out, to + beyond, x1 + x2)
    store(out, to + 2 * beyond, x2 - x1)
    store(out, to + 3 * beyond, x1 - x3)


@compiled(inline=True)
def _results2(x, i, step, out, to, beyond):
    """:func:`_results4` for F(2, 3): four vectors to two."""
    x0, x1, x2, x3 = load(x, i), load(x, i + step), load(x, i + 2 * step), load(x, i + 3 * step)
    store(out, to, x0 + x1 + x2)
    store(out, to + beyond, x1 - x2 - x3)


@compiled
def _pack(weight, matrix, packed):
    """Filters (K, D, 3, 3) times the matrix on both sides, in float64, for the tiles: (n², K/TALL, D, TALL)."""
    K, D = weight.shape[:2]
    n = len(matrix)
    packed[:] = 0
    half = np.empty((n, 3))
    for k in range(K):
        for d in range(D):
            w = weight[k, d]
            for i in range(n):
                a, b, c = matrix[i, 0], matrix[i, 1], matrix[i, 2]
                for s in range(3):
                    half[i, s] = a * w[0, s] + b * w[1, s] + c * w[2, s]
            target = packed[:, k // TALL, d, k % TALL]
            for i in range(n):
                a, b, c = half[i, 0], half[i, 1], half[i, 2]
                for j in range(n):
                    target[i * n + j] = a * matrix[j, 0] + b * matrix[j, 1] + c * matrix[j, 2]


def pack_winograd(weight, groups: int, m: int) -> np.ndarray:
    """What the products read, for each group: (groups, n·n·K/TALL·D·TALL)."""
    K, D = weight.shape[:2]
    each = K // groups
    packed = np.empty((groups, (m + 2) ** 2, -(-each // TALL), D, TALL), weight.dtype)
    for g in range(groups):
        _pack(weight[g * each : (g + 1) * each], FILTERS[m], packed[g])
    return packed.reshape(groups, -1)


def _winograd(m, transform_pixels, transform_results):
    n = m + 2

    @compiled
    def gather(image, at, form, sums, scratch):
        """The sums of pixels at places ``at`` and on, of all channels: (n², C, wide)."""
        C, _, _, Y, X = form
        lanes = width(image)
        wide = WIDE * lanes
        for c in range(C):
            for v in range(0, wide, lanes):
                start = c * m * m * Y * X + at + v
                for j in range(n):
                    column = start + (j % m) * Y * X + j // m
                    # Rows 0 ... m-1 are Y·X·m apart; the last two are rows 0 and 1 of the tile below.
                    for i in range(n):
                        place = column + (i % m) * m * Y * X + i // m * X
                        store(scratch, (j * n + i) * lanes, load(image, place))
                for j in range(n):
                    transform_pixels(scratch, j * n * lanes, lanes, scratch, (n * n + j) * lanes, n * lanes)
                for i in range(n):
                    to = (i * n * C + c) * wide + v
                    transform_pixels(scratch, (n * n + i * n) * lanes, lanes, sums, to, C * wide)

    @compiled
    def spread(products, rows, k, places, at, bias, X, scratch, out, to, P, Q):
        """The results of filter k at ``wide`` places, from its products."""
        lanes = width(products)
        wide = WIDE * lanes
        for v in range(0, wide, lanes):
            for j in range(n):
                transform_results(
                    products, (j * rows + k) * wide + v, n * rows * wide, scratch, j * lanes, n * lanes
                )
            for i in range(m):
                transform_results(scratch, i * n * lanes, lanes, scratch, (m * n + i * m) * lanes, lanes)
            for lane in range(lanes):
                first = places[v + lane]
                source = m * n * lanes + lane
                if first >= 0:
                    for i in range(m):
                        row = out[to + first + i * Q : to + first + i * Q + m]
                        for j in range(m):
                            row[j] = scratch[source + (i * m + j) * lanes] + bias
                else:
                    y, x = (at + v + lane) // X * m, (at + v + lane) % X * m
                    for i in range(min(m, P - y)):
                        for j in range(min(m, Q - x)):
                            out[to + (y + i) * Q + x + j] = scratch[source + (i * m + j) * lanes] + bias

    @compiled
    def find(places, at, X, P, Q):
        """Where the results of each place begin in a filter's, or -1 where they are cut off or are none."""
        for i in range(places.size):
            y, x = (at + i) // X * m, (at + i) % X * m
            places[i] = y * Q + x if y + m <= P and x + m <= Q else -1

    @compiled
    def run(x, filters, bias, padding, first, stop, out):
        _, C, H, W = x.shape
        _, K, P, Q = out.shape
        groups = filters.shape[0]
        D, each = C // groups, K // groups
        wide = WIDE * width(x)
        down, across = (P + m - 1) // m, (Q + m - 1) // m
        form = (D, m, m, down + 1, across + 1)
        rows = (each + TALL - 1) // TALL * TALL
        image = np.zeros(D * m * m * (down + 1) * (across + 1) + wide, x.dtype)
        sums, products = np.empty(n * n * D * wide, x.dtype), np.empty(n * n * rows * wide, x.dtype)
        scratch = np.empty(2 * n * n * width(x), x.dtype)
        taps, places = np.arange(D) * wide, np.empty(wide, np.int64)
        source, target = x.reshape(-1), out.reshape(-1)
        for b in range(first, stop):
            for g in range(groups):
                start = (b * C + g * D) * H * W
                sort_pixels(source, start, (H, W), padding, padding, m, form, image)
                for at in range(0, (down - 1) * (across + 1) + across, wide):
                    gather(image, at, form, sums, scratch)
                    for i in range(n * n):
                        for k in range(0, rows, TALL):
                            to = (i * rows + k) * wide
                            tile(filters[g], (i * rows + k) * D, sums, i * D * wide, taps, products, to, wide, False)
                    find(places, at, across + 1, P, Q)
                    for k in range(each):
                        to = (b * K + g * each + k) * P * Q
                        shift = bias[g * each + k]
                        spread(products, rows, k, places, at, shift, across + 1, scratch, target, to, P, Q)

    return run


winograd = {4: _winograd(4, _pixels4, _results4), 2: _winograd(2, _pixels2, _results2)}
"""``winograd[m](x, filters, bias, padding, first, stop, out)``: the images from ``first`` to ``stop`` by F(m, 3)."""
