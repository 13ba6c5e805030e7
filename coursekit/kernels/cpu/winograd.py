"""Winograd's convolution for filters of 3 x 3 that move one pixel at a time: fewer products, more sums.

To get m results in a row, a filter of three taps does 3m multiplications; m + 2 are enough, if they multiply certain
sums of the pixels with certain sums of the weights. In two dimensions, F(4, 3) takes 36 multiplications for 4 x 4
results in place of 144, and F(2, 3) takes 16 for 2 x 2 in place of 36. The sums over pixels are shared by all filters,
those over weights by all places; between them stand 36 (or 16) matrix products over the channels.

Lavin and Gray, "Fast algorithms for convolutional neural networks", CVPR 2016, section 4. The matrices are theirs.
"""

import numpy as np

from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.convolution_tiles import TALL, WIDE, add_bias, sort_pixels, tile
from coursekit.kernels.cpu.simd import broadcast, interleave_first, interleave_last, load, store, width

# The matrices of filters, of sums, and of products lie this much further apart than they are large: powers of two
# apart, all of one place would share a set of the cache.
APART = 16

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
def _pixels4(x, i, step, below, out, to, beyond):
    """Six vectors of pixels to the six sums that are multiplied, ``beyond`` apart.

    The first four are ``step`` apart, and so are the last two, which begin ``below`` the first.
    """
    number = x.dtype.type
    two, four, five = broadcast(number(2)), broadcast(number(4)), broadcast(number(5))
    x0, x1, x2 = load(x, i), load(x, i + step), load(x, i + 2 * step)
    x3, x4, x5 = load(x, i + 3 * step), load(x, i + below), load(x, i + below + step)
    even, odd = x4 - four * x2, x3 - four * x1
    near, far = x4 - x2, two * (x3 - x1)
    store(out, to, four * x0 - five * x2 + x4)
    store(out, to + beyond, even + odd)
    store(out, to + 2 * beyond, even - odd)
    store(out, to + 3 * beyond, near + far)
    store(out, to + 4 * beyond, near - far)
    store(out, to + 5 * beyond, four * x1 - five * x3 + x5)


@compiled(inline=True)
def _sums4(x, i, step):
    """Six vectors of products, ``step`` apart, to four of results."""
    number = x.dtype.type
    two, four, eight = broadcast(number(2)), broadcast(number(4)), broadcast(number(8))
    x1, x2 = load(x, i + step), load(x, i + 2 * step)
    x3, x4 = load(x, i + 3 * step), load(x, i + 4 * step)
    near, far, tilt, turn = x1 + x2, x3 + x4, x1 - x2, x3 - x4
    last = tilt + eight * turn + load(x, i + 5 * step)
    return load(x, i) + near + far, tilt + two * turn, near + four * far, last


@compiled(inline=True)
def _columns4(x, i, step, out, to, beyond):
    """:func:`_sums4`, stored ``beyond`` apart."""
    y0, y1, y2, y3 = _sums4(x, i, step)
    store(out, to, y0)
    store(out, to + beyond, y1)
    store(out, to + 2 * beyond, y2)
    store(out, to + 3 * beyond, y3)


@compiled(inline=True)
def _rows4(x, i, step, out, to):
    """:func:`_sums4`, the four results of a place side by side."""
    n = width(x)
    y0, y1, y2, y3 = _sums4(x, i, step)
    even, odd = interleave_first(y0, y2), interleave_first(y1, y3)
    store(out, to, interleave_first(even, odd))
    store(out, to + n, interleave_last(even, odd))
    even, odd = interleave_last(y0, y2), interleave_last(y1, y3)
    store(out, to + 2 * n, interleave_first(even, odd))
    store(out, to + 3 * n, interleave_last(even, odd))


@compiled(inline=True)
def _pixels2(x, i, step, below, out, to, beyond):
    """:func:`_pixels4` for F(2, 3): two vectors, and two below, to four."""
    x0, x1, x2, x3 = load(x, i), load(x, i + step), load(x, i + below), load(x, i + below + step)
    store(out, to, x0 - x2)
    store(out, to + beyond, x1 + x2)
    store(out, to + 2 * beyond, x2 - x1)
    store(out, to + 3 * beyond, x1 - x3)


@compiled(inline=True)
def _sums2(x, i, step):
    x0, x1, x2, x3 = load(x, i), load(x, i + step), load(x, i + 2 * step), load(x, i + 3 * step)
    return x0 + x1 + x2, x1 - x2 - x3


@compiled(inline=True)
def _columns2(x, i, step, out, to, beyond):
    y0, y1 = _sums2(x, i, step)
    store(out, to, y0)
    store(out, to + beyond, y1)


@compiled(inline=True)
def _rows2(x, i, step, out, to):
    y0, y1 = _sums2(x, i, step)
    store(out, to, interleave_first(y0, y1))
    store(out, to + width(x), interleave_last(y0, y1))


@compiled
def _pack(weight, matrix, packed):
    """Filters (K, D, 3, 3) times the matrix on both sides, in float64, to n² rows of (K/TALL, D, TALL)."""
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
            target = packed[:, (k // TALL * D + d) * TALL + k % TALL]
            for i in range(n):
                a, b, c = half[i, 0], half[i, 1], half[i, 2]
                for j in range(n):
                    target[i * n + j] = a * matrix[j, 0] + b * matrix[j, 1] + c * matrix[j, 2]


def pack_winograd(weight, groups: int, m: int) -> np.ndarray:
    """What the products read, for each group: (groups, n·n·(K/TALL·D·TALL + APART))."""
    K, D = weight.shape[:2]
    each = K // groups
    packed = np.empty((groups, (m + 2) ** 2, -(-each // TALL) * D * TALL + APART), weight.dtype)
    for g in range(groups):
        _pack(weight[g * each : (g + 1) * each], FILTERS[m], packed[g])
    return packed.reshape(groups, -1)


@compiled
def count_blocks(m, P, Q, x):
    """Blocks of places in which F(m, 3) does one group of one image of x."""
    down, across = (P + m - 1) // m, (Q + m - 1) // m
    wide = WIDE * width(x)
    return ((down - 1) * (across + 1) + across + wide - 1) // wide


def _gathering(m, transform_pixels):
    """The first step, as a kernel: pixels to the sums that are multiplied."""
    n = m + 2

    @compiled
    def gather(image, at, wide, form, sums, scratch):
        """The sums of pixels at places ``at`` and on, of all channels: (n², C, wide)."""
        C, _, _, Y, X = form
        lanes = width(image)
        for c in range(C):
            for v in range(0, wide, lanes):
                start = c * m * m * Y * X + at + v
                # Rows 0 ... m-1 are Y·X·m apart; the last two are rows 0 and 1 of the tile below.
                for j in range(n):
                    column = start + (j % m) * Y * X + j // m
                    transform_pixels(image, column, m * Y * X, X, scratch, j * lanes, n * lanes)
                for i in range(n):
                    to = i * n * (C * wide + APART) + c * wide + v
                    transform_pixels(scratch, i * n * lanes, lanes, m * lanes, sums, to, C * wide + APART)

    return gather


def _multiplying(n):
    """The second step: n² products of matrices, of packed filters and sums."""

    @compiled
    def multiply(filters, sums, taps, rows, products):
        """The n² products of matrices, one after the other."""
        D, wide = taps.size, WIDE * width(sums)
        for i in range(n * n):
            for k in range(0, rows, TALL):
                w, to = i * (rows * D + APART) + k * D, i * (rows * wide + APART) + k * wide
                tile(filters, w, sums, i * (D * wide + APART), taps, products, to, wide, False)

    return multiply


def _spreading(m, transform_columns, transform_rows):
    """The third step: products to results."""
    n = m + 2

    @compiled
    def spread(products, wide, rows, k, scratch, results):
        """The results of filter k at ``wide`` places, from its products: m rows of m·wide numbers."""
        lanes = width(products)
        for v in range(0, wide, lanes):
            for j in range(n):
                at = j * (rows * wide + APART) + k * wide + v
                beyond = n * (rows * wide + APART)
                transform_columns(products, at, beyond, scratch, j * lanes, n * lanes)
            for i in range(m):
                transform_rows(scratch, i * n * lanes, lanes, results, (i * wide + v) * m)

    return spread


def _placing(m):
    """The last step: results, with the bias, to where they belong."""

    @compiled
    def place(results, at, wide, X, bias, out, to, P, Q):
        """Results of the places from ``at`` on, X in a row, to where they belong in a filter's (P, Q)."""
        for y in range(at // X, min((at + wide - 1) // X + 1, (P + m - 1) // m)):
            first = max(at - y * X, 0)
            count = min((at + wide - y * X) * m, Q) - first * m
            for i in range(min(m, P - y * m)):
                source = (i * wide + y * X + first - at) * m
                add_bias(results, source, bias, out, to + (y * m + i) * Q + first * m, 1, count)

    return place


def _winograd(m, transform_pixels, transform_columns, transform_rows):
    """All steps, for blocks of places; what is between them stays in the caches."""
    n = m + 2
    gather, multiply = _gathering(m, transform_pixels), _multiplying(n)
    spread, place = _spreading(m, transform_columns, transform_rows), _placing(m)

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
        sums = np.empty(n * n * (D * wide + APART), x.dtype)
        products = np.empty(n * n * (rows * wide + APART), x.dtype)
        scratch, results = np.empty(n * n * width(x), x.dtype), np.empty(m * m * wide, x.dtype)
        taps = np.arange(D) * wide
        source, target = x.reshape(-1), out.reshape(-1)
        blocks = count_blocks(m, P, Q, x)
        for part in range(first, stop):
            which, at = part // blocks, part % blocks * wide
            b, g = which // groups, which % groups
            if part == first or at == 0:
                start = (b * C + g * D) * H * W
                sort_pixels(source, start, (H, W), padding, padding, m, form, image)
            gather(image, at, wide, form, sums, scratch)
            multiply(filters[g], sums, taps, rows, products)
            for k in range(each):
                to = (b * K + g * each + k) * P * Q
                spread(products, wide, rows, k, scratch, results)
                place(results, at, wide, across + 1, bias[g * each + k], target, to, P, Q)

    return run


winograd = {4: _winograd(4, _pixels4, _columns4, _rows4), 2: _winograd(2, _pixels2, _columns2, _rows2)}
"""``winograd[m](x, filters, bias, padding, first, stop, out)``: the blocks of places from ``first`` to ``stop``,
counted over all groups of all images, by F(m, 3)."""
