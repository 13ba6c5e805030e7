"""Convolution of int8, channels last, with its requantisation: by its formula, and without a matrix of windows.

With the channels last, a row of a window is one run of bytes in memory, taps and channels side by side. So the places
of the filter are rows that overlap, and the product's tile reads them where they lie, in a copy of the image that is
widened once and has its padding around it. Filters are packed with each of their rows padded to fours with zeros; what
the tile reads there beyond a row of the window is multiplied by them.
"""

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.int8_linear import multiply_rows
from coursekit.kernels.cpu.int8_sums import FORM, SIGN, turn_sign
from coursekit.kernels.cpu.requantize import rescale_one, scale_table
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.ops import OPS
from coursekit.kernels.ops.integer import FOUR
from coursekit.kernels.ops.linear import PANEL

GRAIN = 2**20
"""Multiply-adds that are worth a thread."""


@compiled
def _pack_textbook(weight, panels):
    K, C, R, S = weight.shape
    panels[:] = 0
    fours = panels.shape[1] // R
    for k in range(K):
        for r in range(R):
            for s in range(S):
                for c in range(C):
                    i = s * C + c
                    panels[k // PANEL, r * fours + i // FOUR, k % PANEL, i % FOUR] = weight[k, c, r, s]


@boundary(OPS["pack_int8_filters"])
def pack_int8_filters_textbook(weight, *, out=None):
    """:func:`pack_int8_filters` as it is defined, a number at a time."""
    if weight.size:
        _pack_textbook(weight, out)
    else:
        out[...] = 0


@boundary(OPS["pack_int8_filters"])
def pack_int8_filters(weight, *, out=None):
    """Filters of int8 in panels of 16, as :func:`int8_conv2d` reads them: channels last, a filter's rows in fours.

    NumPy's copies do it in three steps, once for each model.

    Args:
        weight: shape (K, C, R, S), int8; NumPy array or torch tensor on the CPU.
        out: shape (⌈K/16⌉, R·⌈S·C/4⌉, 16, 4), int8, filled and returned where given.

    Returns:
        Shape (⌈K/16⌉, R·⌈S·C/4⌉, 16, 4), int8, of the kind of weight, with zeros beyond the edges.

    Raises:
        TypeError: weight is no array, or not of int8.
        ValueError: weight has not four dimensions, a tensor is not on the CPU, or ``out`` cannot be written without
            harm.
    """
    K, C, R, S = weight.shape
    G, T = out.shape[:2]
    rows = np.zeros((G * PANEL, R, T // max(R, 1) * FOUR), np.int8)
    rows[:K, :, : S * C] = weight.transpose(0, 2, 3, 1).reshape(K, R, S * C)
    out[...] = rows.reshape(G, PANEL, T, FOUR).transpose(0, 2, 1, 3)


@compiled
def _textbook(x, panels, bias, multiplier, shift, R, S, stride, padding, fill, zero, low, high, out):
    B, P, Q, N = out.shape
    _, H, W, C = x.shape
    fours = -(-S * C // FOUR)
    for b in range(B):
        for p in range(P):
            for q in range(Q):
                for n in range(N):
                    total = bias[n]
                    for r in range(R):
                        for i in range(S * C):
                            h, w = p * stride + r - padding, q * stride + i // C - padding
                            inside = 0 <= h < H and 0 <= w < W
                            pixel = x[b, h, w, i % C] if inside else fill
                            weight = panels[n // PANEL, r * fours + i // FOUR, n % PANEL, i % FOUR]
                            total += np.int32(pixel) * np.int32(weight)
                    out[b, p, q, n] = rescale_one(np.int32(total), multiplier[n], shift[n], zero, low, high)


@boundary(OPS["int8_conv2d"])
def int8_conv2d_textbook(
    x,
    panels,
    bias,
    multiplier,
    shift,
    *,
    taps=(1, 1),
    stride=1,
    padding=0,
    fill=0,
    pool=1,
    zero=0,
    low=-128,
    high=127,
    out=None,
):
    """:func:`int8_conv2d` as it is defined: a question at each tap whether it is inside the image."""
    geometry = (*taps, stride, padding, np.int8(fill))
    B, P, Q, N = out.shape
    whole = np.empty((B, P * pool, Q * pool, N), np.int8) if pool > 1 else out
    _textbook(x, panels, bias, multiplier, shift, *geometry, zero, low, high, whole)
    if pool > 1:
        out[...] = whole.reshape(B, P, pool, Q, pool, N).max((2, 4), initial=-128)


@compiled
def _widen(image, padding, fill, ready):
    """The image in the form of the tiles, with ``padding`` pixels of ``fill`` around it."""
    H, W, C = image.shape
    if padding:
        ready[:] = fill ^ SIGN
    wide = (W + 2 * padding) * C
    for h in range(H):
        at = (h + padding) * wide + padding * C
        turn_sign(image[h].reshape(-1), ready[at : at + W * C])


@compiled
def _tables(P, Q, stride, pool, R, fours, C, wide, starts, steps):
    """Where the windows begin in an image of rows of ``wide`` numbers, and where each four of a window stands.

    Windows whose results are pooled stand side by side.
    """
    i = 0
    for p in range(P):
        for q in range(Q):
            for down in range(pool):
                for right in range(pool):
                    row, column = (p * pool + down) * stride, (q * pool + right) * stride
                    starts[i] = row * wide + column * C
                    i += 1
    for r in range(R):
        for k in range(fours):
            steps[r * fours + k] = r * wide + k * FOUR


@compiled
def correlate(
    x, panels, bias, multiplier, shift, R, S, stride, padding, fill, pool, zero, low, high, first, stop, out
):
    """Images ``first`` to ``stop``."""
    _, P, Q, N = out.shape
    _, H, W, C = x.shape
    wide = (W + 2 * padding) * C
    starts, steps = np.empty(P * Q * pool * pool, np.int64), np.empty(panels.shape[1], np.int64)
    _tables(P, Q, stride, pool, R, -(-S * C // FOUR), C, wide, starts, steps)
    ready = np.empty((H + 2 * padding) * wide + FOUR, FORM)
    ready[:] = SIGN
    table = scale_table(bias, multiplier, shift, zero, low, high)
    lines, write = panels.reshape(-1), out.reshape(-1)
    for b in range(first, stop):
        _widen(x[b], padding, fill, ready)
        multiply_rows(ready, starts, steps, lines, table, pool == 2, N, 0, N, write, b * P * Q * N)


@boundary(OPS["int8_conv2d"])
def int8_conv2d(
    x,
    panels,
    bias,
    multiplier,
    shift,
    *,
    taps=(1, 1),
    stride=1,
    padding=0,
    fill=0,
    pool=1,
    zero=0,
    low=-128,
    high=127,
    out=None,
):
    """A convolution of int8, channels last: sums in int32, and :func:`requantize`, while they are in registers.

    The tile reads the windows where they lie, as Zhang, Franchetti and Low have it for floats: "High performance
    zero-memory overhead direct convolutions", ICML 2018, section 3. Requantisation as :func:`requantize` says. The
    result is exact, and so the same on all machines.

    Args:
        x: shape (B, H, W, C), int8; NumPy array or torch tensor on the CPU.
        panels: shape (⌈N/16⌉, R·⌈S·C/4⌉, 16, 4), int8, as :func:`pack_int8_filters` packs them.
        bias, multiplier, shift: shape (N,), int32, as :func:`requantize` takes them.
        taps: (R, S), the filters' height and width.
        stride: pixels from one place of the filter to the next.
        padding: pixels of ``fill`` on all four sides.
        fill: what stands for 0 in x.
        pool: 2 for the largest of each square of 2 x 2 results, an odd row or column left out; 1 for all of them.
        zero, low, high: as :func:`requantize` takes them.
        out: shape (B, P, Q, N), int8, filled and returned where given; it must not share memory with the others.

    Returns:
        Shape (B, P, Q, N), int8, with P = ((H + 2·padding − R) // stride + 1) // pool, and Q likewise.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; an option is of another type.
        ValueError: shapes do not fit, an option is out of range, a tensor is not on the CPU, or ``out`` cannot be
            written without harm.
    """
    R, S = taps
    geometry = (R, S, int(stride), int(padding), np.int8(fill), int(pool), int(zero), int(low), int(high))
    each = max(out[:1].size * pool**2 * x.shape[3] * R * S, 1)
    split(
        lambda i, j: correlate(x, panels, bias, multiplier, shift, *geometry, i, j, out),
        len(out),
        GRAIN // each + 1,
    )
