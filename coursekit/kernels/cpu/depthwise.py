"""Convolutions of single channels with filters of 3 x 3 that move one pixel at a time.

A filter that sees one channel does nine multiply-adds for each pixel that it reads, so what counts is to read each once
and quickly. A padded channel fits into the level-1 cache. From there two rows of results are
computed at a time, since they share two of the four rows of pixels that they need: twelve loads for eighteen
multiply-adds, and all is read and written in the order in which it lies in memory.
"""

import numpy as np

from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.convolution_tiles import sort_pixels
from coursekit.kernels.cpu.simd import broadcast, fma, load, load_one, store, store_first, width


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
    B, C, H, W = x.shape
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
