"""Convolution of images: one thread for each result, then a matrix product whose second matrix is never in memory.

For each group of channels, the filters are a matrix of (K/groups, T) with T = (C/groups)·R·S taps, and the pixels under
the filter at each place are one of (T, B·P·Q), which "im2col" writes out: R·S times the size of x. Here only a tile of
it exists, in shared memory.
"""

from numba import cuda, float32, int64

from coursekit.kernels.cuda.arrays import boundary
from coursekit.kernels.cuda.device import blocks, launch
from coursekit.kernels.cuda.kernel import SIMULATED, kernel, threads
from coursekit.kernels.cuda.row_products import PAD, rows_copier
from coursekit.kernels.cuda.vectors import load4, store4
from coursekit.kernels.ops import OPS

THREADS = threads(128)


@kernel(
    "(float32[:, :, :, ::1], float32[:, :, :, ::1], float32[::1], UniTuple(int64, 4), float32[:, :, :, ::1])"
)
def _direct(x, weight, bias, how, out):
    stride, padding, dilation, groups = how
    _, K, P, Q = out.shape
    i, q = divmod(cuda.grid(1), Q)
    i, p = divmod(i, P)
    b, k = divmod(i, K)
    if b < out.shape[0]:
        D = weight.shape[1]
        first = k // (K // groups) * D
        total = x.dtype.type(0)
        for d in range(D):
            for r in range(weight.shape[2]):
                h = p * stride - padding + r * dilation
                if 0 <= h < x.shape[2]:
                    for s in range(weight.shape[3]):
                        w = q * stride - padding + s * dilation
                        if 0 <= w < x.shape[3]:
                            total += x[b, first + d, h, w] * weight[k, d, r, s]
        if bias.size:
            total += bias[k]
        out[b, k, p, q] = total


def _or_none(bias, x):
    """The bias, or none of its numbers where there is none."""
    return cuda.device_array(0, x.dtype) if bias is None else bias


@boundary(OPS["conv2d"])
def conv2d_direct(x, weight, bias=None, *, stride=1, padding=0, dilation=1, groups=1, out=None):
    """:func:`conv2d` with one thread for each result.

    Neighbouring threads have neighbouring places of one filter: their reads of x lie side by side where the stride is
    one, and they all want the same weight, which one transaction serves. But each multiply-add makes two loads.
    """
    if out.size:
        how = stride, padding, dilation, groups
        launch(_direct, blocks(out.size, THREADS), THREADS, x, weight, _or_none(bias, x), how, out)


# A block has FILTERS x PLACES results, a thread HIGH x WIDE of them: ROWS x COLUMNS threads. The simulator has fewer.
ROWS, COLUMNS = (4, 2) if SIMULATED else (8, 16)
HIGH, WIDE = 8, 4
FILTERS, PLACES, TILED = ROWS * HIGH, COLUMNS * WIDE, ROWS * COLUMNS
DEPTH = 16
"""Taps in a tile."""
ROW = DEPTH + PAD
WEIGHTS, PIXELS = FILTERS * ROW, DEPTH * PLACES
_copy_weights = rows_copier(FILTERS, DEPTH, TILED)


@kernel("(int64, UniTuple(int64, 5), int64[:, ::1])")
def _note_taps(T, sizes, taps):
    """Where taps lie: the step in x from a place's first pixel, and how far down and across it is.

    Two divisions for each tap, where they would otherwise be made for each tap at each of its places.
    """
    R, S, H, W, dilation = sizes
    i = cuda.grid(1)
    if i < taps.shape[1]:
        d, r = divmod(i, R * S)
        r, s = divmod(r, S)
        r, s = r * dilation, s * dilation
        taps[0, i] = (d * H + r) * W + s
        # What there is beyond the last tap lies so far down that it is padding everywhere.
        taps[1, i], taps[2, i] = H + W if i >= T else r, s


@cuda.jit(device=True)
def _first_pixel(place, group, sizes, how):
    """Row, column and position in x of a place's first pixel; the row is above all pixels where there is no place."""
    B, groups, D, H, W, _, _, P, Q = sizes
    stride, padding, high = how
    b, p = divmod(place, P * Q)
    p, q = divmod(p, Q)
    top, side = p * stride - padding, q * stride - padding
    if place >= B * P * Q:
        top = -H - W - high
    return top, side, ((b * groups + group) * D * H + top) * W + side


@cuda.jit(device=True)
def _copy_pixels(x, taps, first, top, side, start, H, W, pixels, t):
    """A tile of what DEPTH taps from ``first`` on see. A thread's place is always the same."""
    mine = t % PLACES
    for i in range(t // PLACES, DEPTH, TILED // PLACES):
        y, z = top + taps[1, first + i], side + taps[2, first + i]
        inside = 0 <= y < H and 0 <= z < W
        pixels[i * PLACES + mine] = x[start + taps[0, first + i]] if inside else float32(0)


@cuda.jit(device=True)
def _add_products(weights, pixels, row, column, left, total):
    """The products of the two tiles, HIGH x WIDE of them for a thread."""
    for d in range(0, DEPTH, 4):
        for m in range(HIGH):
            left[m, 0], left[m, 1], left[m, 2], left[m, 3] = load4(weights, (row + ROWS * m) * ROW + d)
        for u in range(4):
            e, f, g, h = load4(pixels, (d + u) * PLACES + WIDE * column)
            for m in range(HIGH):
                total[m, 0] += left[m, u] * e
                total[m, 1] += left[m, u] * f
                total[m, 2] += left[m, u] * g
                total[m, 3] += left[m, u] * h


@cuda.jit(device=True)
def _find_places(at, place, B, K, k, PQ):
    """Where filter k's results for WIDE places go, from ``place`` on; -1 where there is no such place."""
    b, p = divmod(place, PQ)
    for c in range(WIDE):
        at[c] = (b * K + k) * PQ + p if b < B else -1
        p += 1
        if p == PQ:
            b, p = b + 1, 0


@cuda.jit(device=True)
def _write_row(out, at, step, total, m, more, PQ):
    """Four results, in one store where they lie side by side."""
    if PQ % 4 == 0:
        if at[0] >= 0:
            e, f, g, h = total[m, 0] + more, total[m, 1] + more, total[m, 2] + more, total[m, 3] + more
            store4(out, at[0] + step, e, f, g, h)
    else:
        for c in range(WIDE):
            if at[c] >= 0:
                out[at[c] + step] = total[m, c] + more


@kernel(
    "(float32[::1], float32[::1], float32[::1], int64[:, ::1], UniTuple(int64, 9), UniTuple(int64, 3), float32[::1])",
    tuned=True,
    expects=("LDG.E.128", "LDS.128", "STG.E.128"),
)
def _implicit(x, weight, bias, taps, sizes, how, out):
    weights = cuda.shared.array(WEIGHTS, dtype=float32)
    pixels = cuda.shared.array(PIXELS, dtype=float32)
    total = cuda.local.array((HIGH, WIDE), dtype=float32)
    left = cuda.local.array((HIGH, 4), dtype=float32)
    at = cuda.local.array(WIDE, dtype=int64)
    B, groups, _, H, W, filters, T, P, Q = sizes
    t = cuda.threadIdx.x
    row, column = divmod(t, COLUMNS)
    group, place = cuda.blockIdx.z, cuda.blockIdx.x * PLACES
    k = cuda.blockIdx.y * FILTERS
    count = filters - k
    k += group * filters
    top, side, start = _first_pixel(place + t % PLACES, group, sizes, how)
    for m in range(HIGH):
        for n in range(WIDE):
            total[m, n] = 0
    for first in range(0, T, DEPTH):
        cuda.syncthreads()
        _copy_weights(weight, k * T + first, T, count, T - first, weights, t)
        _copy_pixels(x, taps, first, top, side, start, H, W, pixels, t)
        cuda.syncthreads()
        _add_products(weights, pixels, row, column, left, total)
    PQ = P * Q
    _find_places(at, place + WIDE * column, B, groups * filters, k + row, PQ)
    for m in range(HIGH):
        n = row + ROWS * m
        if n < count:
            more = bias[k + n] if bias.size else float32(0)
            _write_row(out, at, ROWS * m * PQ, total, m, more, PQ)


@boundary(OPS["conv2d"])
def conv2d(x, weight, bias=None, *, stride=1, padding=0, dilation=1, groups=1, out=None):
    """The cross-correlation of images with filters, as a matrix product that makes one of its matrices on the way.

    Chetlur et al., "cuDNN: Efficient primitives for deep learning", arXiv:1410.0759, section 3.1. A block has 64
    filters and 64 places, and goes over their taps sixteen at a time: in shared memory, a number of either is used 64
    times, and in registers a thread makes 128 multiply-adds out of twelve loads of 128 bits. The filters are read 128
    bits at a time where their taps are a multiple of four, and results written so where the places of an image are.

    float64, and groups of fewer than eight filters, which would leave most of a block's rows empty (depthwise ones
    have one), are left to :func:`conv2d_direct`. Either sums the T = (C/groups)·R·S products of a result one after the
    other: an error of at most T · 2⁻²⁴ · Σ|x·weight| in float32.

    Args:
        x: shape (B, C, H, W), float32 or float64; NumPy array, device array, or torch tensor on the GPU.
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
        RuntimeError: there is no GPU, and the simulator is off.
        TypeError: an argument is no array, or of another kind or dtype; an option is no int.
        ValueError: shapes do not fit, a tensor is not on the GPU, or ``out`` cannot be written without harm.
    """
    if not out.size:
        return
    how, bias = (stride, padding, dilation, groups), _or_none(bias, x)
    (B, _, P, Q), filters = out.shape, out.shape[1] // groups
    if x.dtype == "float32" and filters >= 8 and x.size:
        _, D, R, S = weight.shape
        H, W, T = *x.shape[2:], D * R * S
        taps = cuda.device_array((3, blocks(T, DEPTH) * DEPTH), "int64")
        launch(_note_taps, blocks(taps.shape[1], THREADS), THREADS, T, (R, S, H, W, dilation), taps)
        sizes, how = (B, groups, D, H, W, filters, T, P, Q), (stride, padding, dilation * R)
        grid = blocks(B * P * Q, PLACES), blocks(filters, FILTERS), groups
        flat = (a.reshape(a.size) for a in (x, weight, bias))
        launch(_implicit, grid, TILED, *flat, taps, sizes, how, out.reshape(out.size))
    else:
        launch(_direct, blocks(out.size, THREADS), THREADS, x, weight, bias, how, out)
