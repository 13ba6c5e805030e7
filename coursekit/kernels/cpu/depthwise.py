"""Convolutions of single channels with filters of 3 x 3 that move one pixel at a time.

A filter that sees one channel does nine multiply-adds for each pixel that it reads, so what counts is to read each once
and quickly. A padded channel fits into the level-1 cache. From there two rows of results are
computed at a time, since they share two of the four rows of pixels that they need: twelve loads for eighteen
multiply-adds, and all is read and written in the order in which it lies in memory.
"""

import numpy as np

from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.convolution_tiles import sort_pixels
from coursekit.kernels.cpu.simd import (
    broadcast,
    fma,
    load,
    load_first,
    load_one,
    store,
    store_first,
    sum_across,
    width,
)

CHANNEL = 2**15
"""Pixels of a channel that are quickly read again."""


@compiled(inline=True)
def _add(total, w0, w1, w2, x0, x1, x2):
    return fma(w2, x2, fma(w1, x1, fma(w0, x0, total)))


@compiled
def _two_rows(image, i, row, weight, w, bias, out, to, Q, rows):
    """Two rows of Q results, or the first alone, from the pixels at position i on, which are ``row`` long."""
    n = width(out)
    shift = broadcast(bias)
    w0, w1, w2 = load_one(weight, w), load_one(weight, w + 1), load_one(weight, w + 2)
    w3, w4, w5 = load_one(weight, w + 3), load_one(weight, w + 4), load_one(weight, w + 5)
    w6, w7, w8 = load_one(weight, w + 6), load_one(weight, w + 7), load_one(weight, w + 8)
    for q in range(0, Q, n):
        at = i + q
        x0, x1, x2 = load(image, at), load(image, at + 1), load(image, at + 2)
        above = _add(shift, w0, w1, w2, x0, x1, x2)
        at += row
        x0, x1, x2 = load(image, at), load(image, at + 1), load(image, at + 2)
        above, below = _add(above, w3, w4, w5, x0, x1, x2), _add(shift, w0, w1, w2, x0, x1, x2)
        at += row
        x0, x1, x2 = load(image, at), load(image, at + 1), load(image, at + 2)
        above, below = _add(above, w6, w7, w8, x0, x1, x2), _add(below, w3, w4, w5, x0, x1, x2)
        at += row
        x0, x1, x2 = load(image, at), load(image, at + 1), load(image, at + 2)
        below = _add(below, w6, w7, w8, x0, x1, x2)
        _put(out, to + q, above, Q - q)
        if rows > 1:
            _put(out, to + q + Q, below, Q - q)


@compiled(inline=True)
def _put(out, at, vector, count):
    if count >= width(out):
        store(out, at, vector)
    else:
        store_first(out, at, vector, count)


@compiled
def correlate_planes(x, weight, bias, padding, first, stop, out):
    """The planes of results from ``first`` to ``stop``, counted over all images, from x with any number of channels."""
    C, H, W = x.shape[1:]
    _, K, P, Q = out.shape
    each = K // C
    form = (1, 1, 1, P + 2, Q + 2)
    # A row more, for the second of the last two rows of results, which may not be there.
    image = np.zeros((P + 3) * (Q + 2) + width(x), x.dtype)
    source, filters, target = x.reshape(-1), weight.reshape(-1), out.reshape(-1)
    for plane in range(first, stop):
        if plane == first or plane % each == 0:
            sort_pixels(source, plane // each * H * W, (H, W), padding, padding, 1, form, image)
        k = plane % K
        for p in range(0, P, 2):
            to = (plane * P + p) * Q
            _two_rows(image, p * (Q + 2), Q + 2, filters, 9 * k, bias[k], target, to, Q, P - p)


# Vectors that are summed one after the other; sums of so many are added up, which keeps rounding errors small.
TERMS = 256


@compiled
def _add_nine(grad, at, Q, rows, image, i, row, sums):
    """Add to nine sums the products of rows of Q gradients with the pixels that each of nine taps met."""
    n = width(grad)
    zero = broadcast(grad.dtype.type(0))
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = s8 = zero
    for _ in range(rows):
        for q in range(0, Q, n):
            g = load(grad, at + q) if q + n <= Q else load_first(grad, at + q, Q - q, zero)
            j = i + q
            s0, s1 = fma(g, load(image, j), s0), fma(g, load(image, j + 1), s1)
            s2, s3 = fma(g, load(image, j + 2), s2), fma(g, load(image, j + row), s3)
            s4, s5 = fma(g, load(image, j + row + 1), s4), fma(g, load(image, j + row + 2), s5)
            j += 2 * row
            s6, s7 = fma(g, load(image, j), s6), fma(g, load(image, j + 1), s7)
            s8 = fma(g, load(image, j + 2), s8)
        at += Q
        i += row
    sums[0] += sum_across(s0)
    sums[1] += sum_across(s1)
    sums[2] += sum_across(s2)
    sums[3] += sum_across(s3)
    sums[4] += sum_across(s4)
    sums[5] += sum_across(s5)
    sums[6] += sum_across(s6)
    sums[7] += sum_across(s7)
    sums[8] += sum_across(s8)


@compiled
def grad_planes(grad, x, padding, first, stop, out):
    """The gradients of filters ``first`` to ``stop``, each of which sees one channel."""
    B, C, H, W = x.shape
    _, K, P, Q = grad.shape
    each, n = K // C, width(x)
    # Rows end in zeros, so that the last vector of a row, which may reach beyond it, meets nothing else.
    row = (Q + n - 1) // n * n + 2
    form = (1, 1, 1, P + 2, row)
    image = np.zeros((P + 2) * row, x.dtype)
    source, given, target = x.reshape(-1), grad.reshape(-1), out.reshape(-1)
    target[9 * first : 9 * stop] = 0
    rows = max(TERMS // ((Q + n - 1) // n), 1)
    for b in range(B):
        for k in range(first, stop):
            if k == first or k % each == 0:
                start = (b * C + k // each) * H * W
                sort_pixels(source, start, (H, W), padding, padding, 1, form, image)
            sums = target[9 * k : 9 * k + 9]
            for p in range(0, P, rows):
                at = ((b * K + k) * P + p) * Q
                _add_nine(given, at, Q, min(rows, P - p), image, p * row, row, sums)
