"""The gradients of a convolution: by their formulas, as matrix products, and in the tiles of the convolution itself.

With out = Σ x · weight, the gradient of x is a sum over places and taps, that of the weight one over images and places;
that of the bias is ``grad.sum((0, 2, 3))``. Both do as many multiply-adds as the convolution.
"""

import numpy as np

from coursekit.kernels.cpu import pointwise
from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.conv2d import spread
from coursekit.kernels.cpu.convolution_tiles import (
    TALL,
    WIDE,
    correlate_images,
    count_parts,
    layout,
    pack_filters,
    pack_groups,
    slack,
    tap_positions,
    tile,
)
from coursekit.kernels.cpu.depthwise import CHANNEL, grad_planes
from coursekit.kernels.cpu.matmul import STEP, multiply_blocked
from coursekit.kernels.cpu.pointwise import multiply_planes
from coursekit.kernels.cpu.simd import width
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.ops import OPS

GRAIN = 2**20
"""Multiply-adds that are worth a thread."""


@compiled
def _input_direct(grad, weight, stride, padding, dilation, out):
    B, K, P, Q = grad.shape
    _, D, R, S = weight.shape
    H, W = out.shape[2:]
    each = K * D // max(out.shape[1], 1)
    out[:] = 0
    for b in range(B):
        for k in range(K):
            for p in range(P):
                for q in range(Q):
                    for d in range(D):
                        for r in range(R):
                            for s in range(S):
                                h = p * stride + r * dilation - padding
                                w = q * stride + s * dilation - padding
                                if 0 <= h < H and 0 <= w < W:
                                    out[b, k // each * D + d, h, w] += grad[b, k, p, q] * weight[k, d, r, s]


@boundary(OPS["conv2d_grad_input"])
def conv2d_grad_input_direct(grad, weight, *, size=(), stride=1, padding=0, dilation=1, groups=1, out=None):
    """:func:`conv2d_grad_input` as the convolution's seven loops: each result gives back to the pixels it came from."""
    _input_direct(grad, weight, stride, padding, dilation, out)


@compiled
def _input_by_matmul(grad, weight, stride, padding, dilation, out):
    B, K, P, Q = grad.shape
    _, D, R, S = weight.shape
    groups = out.shape[1] // D
    each = K // groups
    columns = np.empty((D * R * S, P * Q), grad.dtype)
    out[:] = 0
    for b in range(B):
        for g in range(groups):
            filters = weight[g * each : (g + 1) * each].reshape(each, D * R * S)
            given = grad[b, g * each : (g + 1) * each].reshape(each, P * Q)
            multiply_blocked(filters.T, given, columns)
            _give_back(columns.reshape(D, R, S, P, Q), stride, padding, dilation, out[b, g * D : (g + 1) * D])


@compiled
def _give_back(columns, stride, padding, dilation, x):
    """The way back of ``spread``: each pixel adds up what its copies have."""
    D, R, S, P, Q = columns.shape
    H, W = x.shape[1:]
    for d in range(D):
        for r in range(R):
            top, bottom = _inside(r * dilation - padding, stride, H, P)
            for s in range(S):
                tap = s * dilation - padding
                left, right = _inside(tap, stride, W, Q)
                for p in range(top, bottom):
                    pixels, row = x[d, p * stride + r * dilation - padding], columns[d, r, s, p]
                    for q in range(left, right):
                        pixels[q * stride + tap] += row[q]


@compiled
def _inside(tap, stride, size, places):
    """The first place at which a tap sees one of ``size`` pixels, and the first after it at which it does not."""
    first = max(-(tap // stride), 0)
    return first, max(min((size - 1 - tap) // stride + 1, places), first)


@boundary(OPS["conv2d_grad_input"])
def conv2d_grad_input_im2col(grad, weight, *, size=(), stride=1, padding=0, dilation=1, groups=1, out=None):
    """:func:`conv2d_grad_input` as a matrix product, in plain Python: what each tap gives back at each place.

    The filters, turned on their side, times ``grad`` are the gradient of the matrix of :func:`conv2d_im2col`. The
    product is that of :func:`matmul_blocked`, many numbers at once from blocks in the cache; then each row of the
    matrix, which is one tap's, is added to the pixels it came from. Which places of a row are inside the image is known
    before its loop, so that nothing is asked within.
    """
    if weight.size and grad.size:
        _input_by_matmul(grad, weight, stride, padding, dilation, out)
    else:
        out[...] = 0


def _met(remainder, taps, stride, padding, dilation):
    """The taps that meet pixels of this remainder, and how far from the pixel's number the place's number is."""
    ways = remainder + padding - dilation * np.arange(taps)
    met = np.flatnonzero(ways % stride == 0)
    return met, ways[met] // stride


@boundary(OPS["conv2d_grad_input"])
def conv2d_grad_input(grad, weight, *, size=(), stride=1, padding=0, dilation=1, groups=1, out=None):
    """What a small change of each pixel of conv2d's x does to a loss, given the gradient of its result.

    A pixel asks which places and taps have met it: a convolution of ``grad`` with the filters turned around, channels
    and filters exchanged. With strides, pixels of different remainders meet different taps, and each kind is a
    convolution of its own, which skips the zeros of the usual picture: Dumoulin and Visin, "A guide to convolution
    arithmetic for deep learning", arXiv:1603.07285, section 4. An element's error is at most T · 2⁻²⁴ · Σ|grad·weight|
    in float32, for the T = K/groups·R·S products that it sums one after the other.

    Args:
        grad: shape (B, K, P, Q), the gradient of the convolution's result, float32 or float64;
            NumPy array or torch tensor on the CPU.
        weight: shape (K, C/groups, R, S), of the same dtype and kind.
        size: (H, W) of the images; () for the smallest that fits.
        stride: pixels from one place of the filter to the next.
        padding: pixels of zeros on all four sides.
        dilation: pixels from one tap to the next.
        groups: the channels, and the filters, are cut into so many parts that know nothing of each other.
        out: shape (B, C, H, W), filled and returned where given.

    Returns:
        Shape (B, C, H, W), of the inputs' dtype and kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; an option is of another type.
        ValueError: shapes or ``size`` do not fit, or ``out`` cannot be written without harm.
    """
    K, D, R, S = weight.shape
    C, H, W = out.shape[1:]
    filters = weight.reshape(groups, K // groups, D, R, S).swapaxes(1, 2)
    bias = np.zeros(C, out.dtype)
    if (R, S, stride, padding) == (1, 1, 1, 0) and min(K // groups, D) >= 16 and out.size:
        back = filters.reshape(groups, D, K // groups)
        given, planes = grad.reshape(-1, K // groups, H * W), out.reshape(-1, H * W)
        split(lambda i, j: multiply_planes(back, given, bias, i, j, planes), len(planes), pointwise.GRAIN)
        return
    for i in range(min(stride, H)):
        rows, down = _met(i, R, stride, padding, dilation)
        for j in range(min(stride, W)):
            columns, right = _met(j, S, stride, padding, dilation)
            if not rows.size or not columns.size or not K:
                out[:, :, i::stride, j::stride] = 0
                continue
            shape = (H - i + stride - 1) // stride, (W - j + stride - 1) // stride
            above, left = int(-down.min()), int(-right.min())
            form, band = layout(K // groups, 1, (above + down.max(), left + right.max()), shape)
            taps = tap_positions(down + above, right + left, K // groups, 1, form)
            part = np.ascontiguousarray(filters[:, :, :, rows][..., columns])
            packed = pack_groups(part.reshape(groups, D, taps.size))
            how = (grad, packed, bias, 1, (above, left), form, band, taps)
            where = (out, i * W + j, shape, (H * W, stride * W, stride))
            parts = count_parts(len(out), groups, shape, band)
            grain = GRAIN * parts // max(len(out) * C * shape[0] * shape[1] * len(taps), 1) + 1
            split(lambda m, n, how=how, where=where: correlate_images(*how, m, n, *where), parts, grain)


@compiled
def _weight_direct(grad, x, stride, padding, dilation, out):
    B, K, P, Q = grad.shape
    _, D, R, S = out.shape
    H, W = x.shape[2:]
    each = K * D // max(x.shape[1], 1)
    for k in range(K):
        for d in range(D):
            for r in range(R):
                for s in range(S):
                    total = x.dtype.type(0)
                    for b in range(B):
                        for p in range(P):
                            for q in range(Q):
                                h = p * stride + r * dilation - padding
                                w = q * stride + s * dilation - padding
                                if 0 <= h < H and 0 <= w < W:
                                    total += grad[b, k, p, q] * x[b, k // each * D + d, h, w]
                    out[k, d, r, s] = total


@boundary(OPS["conv2d_grad_weight"])
def conv2d_grad_weight_direct(grad, x, *, size=(), stride=1, padding=0, dilation=1, groups=1, out=None):
    """:func:`conv2d_grad_weight` by its formula: each weight collects the products that it took part in."""
    _weight_direct(grad, x, stride, padding, dilation, out)


@compiled
def _weight_by_matmul(grad, x, stride, padding, dilation, out):
    B, K, P, Q = grad.shape
    _, D, R, S = out.shape
    groups = x.shape[1] // D
    each = K // groups
    columns = np.empty((D * R * S, P * Q), x.dtype)
    share = np.empty((each, D * R * S), x.dtype)
    out[:] = 0
    for b in range(B):
        for g in range(groups):
            spread(x[b, g * D : (g + 1) * D], stride, padding, dilation, columns.reshape(D, R, S, P, Q))
            given = grad[b, g * each : (g + 1) * each].reshape(each, P * Q)
            if each < STEP:
                _multiply_turned(given, columns, share)
            else:
                multiply_blocked(given, columns.T, share)
            out[g * each : (g + 1) * each] += share.reshape(each, D, R, S)


@compiled
def _multiply_turned(a, b, out):
    """a · bᵀ where the rows are few and long: each product of two of them as four sums that do not wait for another."""
    whole = a.shape[1] // 4 * 4
    for m in range(a.shape[0]):
        for n in range(b.shape[0]):
            x, y = a[m], b[n]
            s = t = u = v = a.dtype.type(0)
            for k in range(0, whole, 4):
                s += x[k] * y[k]
                t += x[k + 1] * y[k + 1]
                u += x[k + 2] * y[k + 2]
                v += x[k + 3] * y[k + 3]
            for k in range(whole, x.size):
                s += x[k] * y[k]
            out[m, n] = (s + t) + (u + v)


@boundary(OPS["conv2d_grad_weight"])
def conv2d_grad_weight_im2col(grad, x, *, size=(), stride=1, padding=0, dilation=1, groups=1, out=None):
    """:func:`conv2d_grad_weight` as a matrix product for each image, in plain Python.

    ``grad`` is multiplied by the matrix of :func:`conv2d_im2col`, turned on its side, as :func:`matmul_blocked` does
    it: the sums of a block go on side by side, where the formula makes one after the other. Groups of fewer filters
    than it takes rows at a time, as in depthwise convolutions, would leave its blocks empty; there each weight's sum is
    made in four parts.
    """
    if out.size and x.size:
        _weight_by_matmul(grad, x, stride, padding, dilation, out)
    else:
        out[...] = 0


PLACES = 256
"""Places whose pixels, of a tile's breadth, stay in the level-1 cache."""


@compiled
def _channels_last(x, padding, image, columns):
    """A padded image with the channels of a pixel side by side."""
    D, H, W = x.shape
    for h in range(H):
        start = ((h + padding) * columns + padding) * D
        for d in range(D):
            target = image[start + d :]
            for w in range(W):
                target[w * D] = x[d, h, w]


@compiled
def _weight_tiled(grad, x, groups, stride, padding, dilation, first, stop, out):
    """The gradients of filters ``first`` to ``stop`` of each group."""
    B, K, P, Q = grad.shape
    _, D, R, S = out.shape
    columns = x.shape[3] + 2 * padding
    each, wide = K // groups, WIDE * width(x)
    image = np.zeros((x.shape[2] + 2 * padding) * columns * D + slack(x), x.dtype)
    places = np.empty(P * Q, np.int64)
    for p in range(P):
        for q in range(Q):
            places[p * Q + q] = (p * columns + q) * stride * D
    # Without dilation the taps of a row lie side by side, and lanes go on from one to the next.
    runs, length = (1, S * D) if dilation == 1 else (S, D)
    count = stop - first
    packed = np.empty((count + TALL - 1) // TALL * TALL * PLACES, x.dtype)
    sums, result = np.zeros((count, R, runs, length), x.dtype), np.empty(TALL * wide, x.dtype)
    for g in range(groups):
        sums[:] = 0
        k = g * each + first
        for b in range(B):
            _channels_last(x[b, g * D : (g + 1) * D], padding, image, columns)
            given = grad[b].reshape(K, P * Q)[k : k + count]
            for t in range(0, P * Q, PLACES):
                T = min(PLACES, P * Q - t)
                pack_filters(given[:, t : t + T], packed)
                for r in range(R):
                    for s in range(runs):
                        at = (r * dilation * columns + s * dilation) * D
                        _add_tiles(packed, image, at, places[t : t + T], result, sums[:, r, s])
        for n in range(count):
            out[k + n] = sums[n].reshape(R, S, D).transpose(2, 0, 1)


@compiled
def _add_tiles(packed, image, at, places, result, sums):
    count, length = sums.shape
    wide = WIDE * width(image)
    for i in range(0, length, wide):
        for n in range(0, count, TALL):
            tile(packed, n * places.size, image, at + i, places, result, 0, wide, False)
            for m in range(min(TALL, count - n)):
                row, found = sums[n + m, i : i + wide], result[m * wide :]
                for j in range(row.size):
                    row[j] += found[j]


@boundary(OPS["conv2d_grad_weight"])
def conv2d_grad_weight(grad, x, *, size=(), stride=1, padding=0, dilation=1, groups=1, out=None):
    """What a small change of each weight of conv2d does to a loss, given the gradient of its result.

    With the channels of a pixel side by side, S taps of C/groups channels are one row in memory, and the same tile as
    in the convolution sums over places: ``grad`` is what is broadcast, pixels are what lies in the vectors. Filters of
    3 x 3 that see one channel would leave most lanes empty, so there the lanes are places. Sums of 256 terms or so are
    added up, so an element's error is at most (260 + B·P·Q/256 + B) · 2⁻²⁴ · Σ|grad·x| in float32.

    Args:
        grad: shape (B, K, P, Q), the gradient of the convolution's result, float32 or float64;
            NumPy array or torch tensor on the CPU.
        x: shape (B, C, H, W), of the same dtype and kind.
        size: (R, S) of the filters; () for the smallest that fits.
        stride: pixels from one place of the filter to the next.
        padding: pixels of zeros on all four sides.
        dilation: pixels from one tap to the next.
        groups: the channels, and the filters, are cut into so many parts that know nothing of each other.
        out: shape (K, C/groups, R, S), filled and returned where given.

    Returns:
        Shape (K, C/groups, R, S), of the inputs' dtype and kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; an option is of another type.
        ValueError: shapes or ``size`` do not fit, or ``out`` cannot be written without harm.
    """
    if not out.size or not x.size:
        out[...] = 0
        return
    if (
        out.shape[1:] == (1, 3, 3)
        and stride == dilation == 1
        and x[0, 0].size <= CHANNEL
        and grad.shape[3] <= 1024
    ):
        grain = GRAIN // max(9 * grad[:, 0].size, 1) + 1
        split(lambda i, j: grad_planes(grad, x, padding, i, j, out), len(out), grain)
        return
    grain = (GRAIN // max(x.size * out[0, 0].size, 1) // TALL + 1) * TALL
    split(
        lambda i, j: _weight_tiled(grad, x, groups, stride, padding, dilation, i, j, out),
        len(out) // groups,
        grain,
    )
