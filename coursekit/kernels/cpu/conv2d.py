"""Convolution of images: by its formula, as a matrix product, as a sum of shifted rows, and with fewer products.

x holds B images of C channels; each of K filters has R x S taps in each channel of its group. The first three do the
same 2·B·K·P·Q·(C/groups)·R·S operations in different orders; Winograd's does a quarter of the multiplications, and
the one by Fourier transforms a number of them that does not depend on the taps.
"""

import numpy as np

from coursekit.kernels.cpu import pointwise
from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.convolution_tiles import (
    correlate_images,
    count_parts,
    layout,
    pack_groups,
    tap_positions,
)
from coursekit.kernels.cpu.depthwise import CHANNEL, correlate_planes
from coursekit.kernels.cpu.fourier import correlate_spectra
from coursekit.kernels.cpu.matmul import multiply_tiles
from coursekit.kernels.cpu.pointwise import multiply_planes
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.cpu.winograd import count_blocks, pack_winograd, winograd
from coursekit.kernels.ops import OPS

GRAIN = 2**20
"""Multiply-adds that are worth a thread."""


def _or_zeros(bias, weight):
    return np.zeros(len(weight), weight.dtype) if bias is None else bias


def _over(parts, work, out, weight):
    """``work(i, j)`` for the parts from i to j, so many at least as make a grain."""
    each = out.size * weight[:1].size // max(parts, 1)
    split(work, parts, GRAIN // max(each, 1) + 1)


@compiled
def _direct(x, weight, bias, stride, padding, dilation, out):
    B, K, P, Q = out.shape
    _, D, R, S = weight.shape
    H, W = x.shape[2:]
    each = K * D // max(x.shape[1], 1)  # filters of a group
    for b in range(B):
        for k in range(K):
            for p in range(P):
                for q in range(Q):
                    total = bias[k]
                    for d in range(D):
                        for r in range(R):
                            for s in range(S):
                                h = p * stride + r * dilation - padding
                                w = q * stride + s * dilation - padding
                                if 0 <= h < H and 0 <= w < W:
                                    total += x[b, k // each * D + d, h, w] * weight[k, d, r, s]
                    out[b, k, p, q] = total


@boundary(OPS["conv2d"])
def conv2d_direct(x, weight, bias=None, *, stride=1, padding=0, dilation=1, groups=1, out=None):
    """:func:`conv2d` as it is defined: seven loops, and a question at each tap whether it is inside the image."""
    _direct(x, weight, _or_zeros(bias, weight), stride, padding, dilation, out)


@compiled
def _by_matmul(x, weight, bias, stride, padding, dilation, out):
    B, K, P, Q = out.shape
    _, D, R, S = weight.shape
    groups = x.shape[1] // max(D, 1)
    each = K // max(groups, 1)
    columns = np.empty((D * R * S, P * Q), x.dtype)
    for b in range(B):
        for g in range(groups):
            spread(x[b, g * D : (g + 1) * D], stride, padding, dilation, columns.reshape(D, R, S, P, Q))
            filters = weight[g * each : (g + 1) * each].reshape(each, D * R * S)
            multiply_tiles(filters, columns, out[b, g * each : (g + 1) * each].reshape(each, P * Q))
        for k in range(K):
            out[b, k] += bias[k]


@compiled
def spread(x, stride, padding, dilation, columns):
    """What each tap sees at each place: all pixels R·S times over."""
    D, R, S, P, Q = columns.shape
    H, W = x.shape[1:]
    for d in range(D):
        for r in range(R):
            for s in range(S):
                for p in range(P):
                    h = p * stride + r * dilation - padding
                    for q in range(Q):
                        w = q * stride + s * dilation - padding
                        columns[d, r, s, p, q] = x[d, h, w] if 0 <= h < H and 0 <= w < W else 0


@boundary(OPS["conv2d"])
def conv2d_im2col(x, weight, bias=None, *, stride=1, padding=0, dilation=1, groups=1, out=None):
    """:func:`conv2d` as the matrix product that it is, once all that each tap sees stands in a row.

    The product is that of :mod:`coursekit.kernels.cpu.matmul`. The matrix holds each pixel R·S times, and is written,
    read, packed and read again: Chellapilla, Puri and Simard, "High performance convolutional neural networks for
    document processing", IWFHR 2006, section 3.
    """
    if weight[:1].size:
        _by_matmul(x, weight, _or_zeros(bias, weight), stride, padding, dilation, out)
    else:
        out[...] = _or_zeros(bias, weight)[:, None, None]


@boundary(OPS["conv2d"])
def conv2d_fft(x, weight, bias=None, *, stride=1, padding=0, dilation=1, groups=1, out=None):
    """:func:`conv2d` as a product of spectra, for filters of many taps: see :mod:`coursekit.kernels.cpu.fourier`.

    Each element's error is a share of the largest in its image, and an inf or nan reaches the whole of the image.
    """
    if out.size and x.size:
        correlate_spectra(x, weight, _or_zeros(bias, weight), stride, padding, dilation, groups, out)
    else:
        out[...] = _or_zeros(bias, weight)[:, None, None]


def _tiled(x, weight, bias, stride, padding, dilation, groups, out):
    K, D, R, S = weight.shape
    P, Q = out.shape[2:]
    rows, columns = np.arange(R) * dilation, np.arange(S) * dilation
    form, band = layout(D, stride, (rows[-1], columns[-1]), (P, Q), padding)
    taps = tap_positions(rows, columns, D, stride, form)
    filters = pack_groups(weight.reshape(groups, K // groups, taps.size))
    how = (x, filters, bias, stride, (padding, padding), form, band, taps)
    where = (out, 0, (P, Q), (P * Q, Q, 1))
    parts = count_parts(len(x), groups, (P, Q), band)
    _over(parts, lambda i, j: correlate_images(*how, i, j, *where), out, weight)


@boundary(OPS["conv2d"])
def conv2d_tiled(x, weight, bias=None, *, stride=1, padding=0, dilation=1, groups=1, out=None):
    """:func:`conv2d` with the matrix product's tile of registers, and without its matrix.

    A tap sees the image shifted, so the tile reads the pixels where they lie, in a copy that has the zeros around it:
    see :mod:`coursekit.kernels.cpu.convolution_tiles`. Zhang, Franchetti and Low, "High performance zero-memory
    overhead direct convolutions", ICML 2018, section 3.
    """
    _tiled(x, weight, _or_zeros(bias, weight), stride, padding, dilation, groups, out)


def _by_winograd(m, x, weight, bias, padding, groups, out):
    filters = pack_winograd(weight, groups, m)
    parts = len(x) * groups * count_blocks(m, *out.shape[2:], x)
    _over(parts, lambda i, j: winograd[m](x, filters, bias, padding, i, j, out), out, weight)


@boundary(OPS["conv2d"])
def conv2d_winograd(x, weight, bias=None, *, stride=1, padding=0, dilation=1, groups=1, out=None):
    """:func:`conv2d` with a quarter of the multiplications where the filter has 3 x 3 taps and no strides: F(4, 3).

    Others are done by :func:`conv2d_tiled`.
    """
    bias = _or_zeros(bias, weight)
    if weight.shape[2:] == (3, 3) and stride == dilation == 1:
        _by_winograd(4, x, weight, bias, padding, groups, out)
    else:
        _tiled(x, weight, bias, stride, padding, dilation, groups, out)


@boundary(OPS["conv2d"])
def conv2d_winograd_small(x, weight, bias=None, *, stride=1, padding=0, dilation=1, groups=1, out=None):
    """:func:`conv2d_winograd` by F(2, 3)."""
    bias = _or_zeros(bias, weight)
    if weight.shape[2:] == (3, 3) and stride == dilation == 1:
        _by_winograd(2, x, weight, bias, padding, groups, out)
    else:
        _tiled(x, weight, bias, stride, padding, dilation, groups, out)


def _saves_by_winograd(x, weight, stride, dilation, groups, out):
    """Whether F(4, 3) is the fastest: enough channels to pay for its sums, and places to fill its tiles."""
    K, D, R, S = weight.shape
    fits = (R, S, stride, dilation) == (3, 3, 1, 1) and x.dtype == np.float32
    return fits and min(K // groups, D) >= 16 and out[0, 0].size >= 16 * 24


def _by_product(x, weight, bias, groups, out):
    B, C, H, W = x.shape
    D = C // groups
    filters = weight.reshape(groups, len(weight) // groups, D)
    how = (filters, x.reshape(B * groups, D, H * W), bias)
    planes = out.reshape(-1, H * W)
    split(lambda i, j: multiply_planes(*how, i, j, planes), len(planes), pointwise.GRAIN)


def _by_planes(x, weight, bias, padding, out):
    parts = out.shape[0] * out.shape[1]
    _over(parts, lambda i, j: correlate_planes(x, weight, bias, padding, i, j, out), out, weight)


@boundary(OPS["conv2d"])
def conv2d(x, weight, bias=None, *, stride=1, padding=0, dilation=1, groups=1, out=None):
    """The cross-correlation of images with filters: by F(4, 3) where it is faster, and mostly as :func:`conv2d_tiled`.

    Lavin and Gray, "Fast algorithms for convolutional neural networks", CVPR 2016, section 4. Filters of one tap are a
    matrix product with the pixels as they lie, and depthwise ones of 3 x 3 go row by row, as they see one channel and
    leave nothing to reuse but its pixels. All these sum the T = (C/groups)·R·S products of an element one after the
    other or in parts: an error of at most T · 2⁻²⁴ · Σ|x·weight| in float32. F(4, 3), of float32 only, adds pixels and
    weights of different sizes before it multiplies: for normal numbers its error is up to 60 times as large, about
    5·10⁻⁵ of the results' size over 300 channels, and an inf or nan reaches all sixteen results of its tile.

    Args:
        x: shape (B, C, H, W), float32 or float64; NumPy array or torch tensor on the CPU.
        weight: shape (K, C/groups, R, S), of the same dtype and kind.
        bias: shape (K,), or None for none.
        stride: pixels from one place of the filter to the next.
        padding: pixels of zeros on all four sides.
        dilation: pixels from one tap to the next.
        groups: the channels, and the filters, are cut into so many parts that know nothing of each other.
        out: shape (B, K, P, Q), filled and returned where given; it must not share memory with the others.

    Returns:
        Shape (B, K, P, Q) with P = (H + 2·padding − dilation·(R − 1) − 1) // stride + 1, and Q likewise.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; an option is no int.
        ValueError: shapes do not fit, a tensor is not on the CPU, or ``out`` cannot be written without harm.
    """
    bias = _or_zeros(bias, weight)
    filters, channels, *taps = weight.shape
    if not (out.size and x.size) or stride != 1 or dilation != 1:
        _tiled(x, weight, bias, stride, padding, dilation, groups, out)
    elif taps == [1, 1] and not padding and min(filters // groups, channels) >= 16:
        _by_product(x, weight, bias, groups, out)
    elif taps == [3, 3] and channels == 1 and x[0, 0].size <= CHANNEL:
        _by_planes(x, weight, bias, padding, out)
    elif _saves_by_winograd(x, weight, stride, dilation, groups, out):
        _by_winograd(4, x, weight, bias, padding, groups, out)
    else:
        _tiled(x, weight, bias, stride, padding, dilation, groups, out)
