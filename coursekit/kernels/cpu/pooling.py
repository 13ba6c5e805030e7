"""Pooling: every window by itself, then first down the columns and afterwards along the rows, then both on vectors.

A kernel sees x as (planes, H, W), a plane being a channel of an image. The largest of a k x k window is the largest of
its columns' largest, and its sum the sum of its columns' sums: k + k steps instead of k · k.
"""

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.rows import load_part, rows_and_grain, store_part
from coursekit.kernels.cpu.simd import broadcast, evens, load, maximum, select, store, width
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.ops import OPS


def planes(x: np.ndarray) -> np.ndarray:
    """Images and their channels as one dimension, a view."""
    return x.reshape(x.shape[0] * x.shape[1], *x.shape[2:])


@compiled(inline=True)
def reach(place, kernel_size, stride, padding, size):
    """The pixels, from the first to one after the last, that lie in the window at a place."""
    start = place * stride - padding
    return max(start, 0), min(start + kernel_size, size)


@compiled
def _max_textbook(x, kernel_size, stride, padding, out):
    for c in range(out.shape[0]):
        for p in range(out.shape[1]):
            top, bottom = reach(p, kernel_size, stride, padding, x.shape[1])
            for q in range(out.shape[2]):
                left, right = reach(q, kernel_size, stride, padding, x.shape[2])
                largest = x[c, top, left]
                for h in range(top, bottom):
                    for w in range(left, right):
                        if x[c, h, w] > largest or np.isnan(x[c, h, w]):
                            largest = x[c, h, w]
                out[c, p, q] = largest


@boundary(OPS["max_pool2d"])
def max_pool2d_textbook(x, *, kernel_size=2, stride=2, padding=0, out=None):
    """:func:`max_pool2d` window by window.

    Windows that overlap compare the same pixels again, and a comparison whose outcome cannot be foreseen costs more
    than the pixel.
    """
    _max_textbook(planes(x), kernel_size, stride, padding, planes(out))


@compiled
def _avg_textbook(x, kernel_size, stride, padding, out):
    for c in range(out.shape[0]):
        for p in range(out.shape[1]):
            top, bottom = reach(p, kernel_size, stride, padding, x.shape[1])
            for q in range(out.shape[2]):
                left, right = reach(q, kernel_size, stride, padding, x.shape[2])
                total = x.dtype.type(0)
                for h in range(top, bottom):
                    for w in range(left, right):
                        total += x[c, h, w]
                out[c, p, q] = total / x.dtype.type(kernel_size * kernel_size)


@boundary(OPS["avg_pool2d"])
def avg_pool2d_textbook(x, *, kernel_size=2, stride=2, padding=0, out=None):
    """:func:`avg_pool2d` window by window: each sum is a chain of additions that wait for each other."""
    _avg_textbook(planes(x), kernel_size, stride, padding, planes(out))


def _row_by_row(join):
    """A kernel for all windows of a row at once; ``join`` takes two numbers' larger one, or their sum."""

    @compiled
    def run(x, kernel_size, stride, padding, nothing, scale, out):
        C, P, Q = out.shape
        _, H, W = x.shape
        columns = np.full(W + 2 * padding, nothing, x.dtype)
        inner, row = columns[padding : padding + W], np.empty((Q - 1) * stride + 1, x.dtype)
        for c in range(C):
            for p in range(P):
                top, bottom = reach(p, kernel_size, stride, padding, H)
                inner[:] = x[c, top]
                for h in range(top + 1, bottom):
                    pixels = x[c, h]
                    for w in range(W):
                        inner[w] = join(pixels[w], inner[w])
                row[:] = columns[: row.size]
                for s in range(1, kernel_size):
                    shifted = columns[s:]
                    for w in range(row.size):
                        row[w] = join(shifted[w], row[w])
                for q in range(Q):
                    out[c, p, q] = row[q * stride] * scale

    return run


@compiled(inline=True)
def _larger_of_two(new, old):
    """The larger number, and nan where either is; with ``|`` for ``or`` it is a choice of values, not a branch."""
    return new if (new > old) | (new != new) else old


@compiled(inline=True)
def _sum(new, old):
    return old + new


_max_row_by_row, _sum_row_by_row = _row_by_row(_larger_of_two), _row_by_row(_sum)


@boundary(OPS["max_pool2d"])
def max_pool2d_rows(x, *, kernel_size=2, stride=2, padding=0, out=None):
    """:func:`max_pool2d` a row of windows at a time, in plain Python.

    The loops run along rows of pixels, and their steps neither wait for each other nor branch, so the compiler does 4,
    8 or 16 at once. A pixel is compared k times in its column, and the column k times: a square of comparisons became
    two sides of it. The price is that windows which a stride passes over are done as well, and left out at the end.
    """
    number = x.dtype.type
    _pool(_max_row_by_row, x, kernel_size, stride, padding, number(-np.inf), number(1), out)


@boundary(OPS["avg_pool2d"])
def avg_pool2d_rows(x, *, kernel_size=2, stride=2, padding=0, out=None):
    """:func:`avg_pool2d` a row of windows at a time, as :func:`max_pool2d_rows` has it: neighbouring sums are separate
    chains, and there is one division for all of them, that of 1 by k²."""
    number = x.dtype.type
    _pool(_sum_row_by_row, x, kernel_size, stride, padding, number(0), number(1 / kernel_size**2), out)


def _down_and_across(join):
    """A kernel in two steps on vectors; ``join`` takes two vectors' largest, or sums."""

    @compiled
    def run(x, kernel_size, stride, padding, nothing, scale, out):
        _, H, W = x.shape
        C, P, Q = out.shape
        n, read, write = width(x), x.reshape(-1), out.reshape(-1)
        columns = np.full(W + 2 * padding + kernel_size + 2 * n, nothing, x.dtype)
        row = np.full(columns.size + 2 * n, nothing, x.dtype)
        for place in range(C * P):
            c, p = place // P, place % P
            top, bottom = reach(p, kernel_size, stride, padding, H)
            first, stop = (c * H + top) * W, (c * H + bottom) * W
            for w in range(0, W, n):
                v = load_part(read, first + w, W - w)
                for i in range(first + W, stop, W):
                    v = join(load_part(read, i + w, W - w), v)
                store_part(columns, padding + w, v, W - w)
            for w in range(0, (Q - 1) * stride + 1, n):
                v = load(columns, w)
                for i in range(w + 1, w + kernel_size):
                    v = join(load(columns, i), v)
                store(row, w, v * broadcast(scale))
            _pick(row, stride, write, place * Q, Q)

    return run


@compiled(inline=True)
def _pick(row, stride, out, at, count):
    """Every ``stride``-th number of the row."""
    n = width(row)
    if stride == 1:
        for q in range(0, count, n):
            store_part(out, at + q, load(row, q), count - q)
    elif stride == 2:
        for q in range(0, count, n):
            store_part(out, at + q, evens(load(row, 2 * q), load(row, 2 * q + n)), count - q)
    else:
        for q in range(count):
            out[at + q] = row[q * stride]


@compiled(inline=True)
def _larger(new, old):
    """The larger one, and nan where either is: ``maximum`` gives its second where one is nan."""
    return select(new != new, new, maximum(new, old))


_max_vectors, _sum_vectors = _down_and_across(_larger), _down_and_across(_sum)


@boundary(OPS["max_pool2d"])
def max_pool2d(x, *, kernel_size=2, stride=2, padding=0, out=None):
    """The largest pixel under each place of a square window: Zhou and Chellappa, "Computation of optical flow using a
    neural network", ICNN 1988.

    First the largest of the window's rows, for all columns at once, then the largest of neighbouring columns, on whole
    vectors throughout, and last every ``stride``-th of them. What is between the steps is a row, in the level-1 cache.
    A maximum is exact.

    Args:
        x: shape (B, C, H, W), float32 or float64; NumPy array or torch tensor on the CPU.
        kernel_size: the window's height and width.
        stride: pixels from one place of the window to the next.
        padding: how far the window may stand out on each side, half of it at most; what is there does not count.
        out: shape (B, C, P, Q), filled and returned where given; it must not share memory with x.

    Returns:
        Shape (B, C, P, Q) with P = (H + 2·padding − kernel_size) // stride + 1, and Q likewise, of the dtype and kind
        of x. A window with a nan gives nan.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; an option is no int.
        ValueError: the window does not fit, an option is out of range, a tensor is not on the CPU, or ``out`` cannot
            be written without harm.
    """
    number = x.dtype.type
    _pool(_max_vectors, x, kernel_size, stride, padding, number(-np.inf), number(1), out)


@boundary(OPS["avg_pool2d"])
def avg_pool2d(x, *, kernel_size=2, stride=2, padding=0, out=None):
    """The mean of the pixels under each place of a square window, the padding counted as zeros: LeCun et al.,
    "Gradient-based learning applied to document recognition", Proc. IEEE 86(11), 1998, section II.B.

    The steps are those of :func:`max_pool2d`, with sums; they add up k rows and then k columns, so the error is at most
    (2k + 1) · 2⁻²⁴ · Σ|x| / k² in float32.

    Args:
        x: shape (B, C, H, W), float32 or float64; NumPy array or torch tensor on the CPU.
        kernel_size: the window's height and width, k.
        stride: pixels from one place of the window to the next.
        padding: rows and columns of zeros on each side, k/2 at most; they count, so the divisor is k² everywhere.
        out: shape (B, C, P, Q), filled and returned where given; it must not share memory with x.

    Returns:
        Shape (B, C, P, Q) with P = (H + 2·padding − k) // stride + 1, and Q likewise, of the dtype and kind of x.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; an option is no int.
        ValueError: the window does not fit, an option is out of range, a tensor is not on the CPU, or ``out`` cannot
            be written without harm.
    """
    number = x.dtype.type
    _pool(_sum_vectors, x, kernel_size, stride, padding, number(0), number(1 / kernel_size**2), out)


def _pool(kernel, x, kernel_size, stride, padding, nothing, scale, out):
    x, out = planes(x), planes(out)
    size, step, edge = int(kernel_size), int(stride), int(padding)
    split(lambda i, j: kernel(x[i:j], size, step, edge, nothing, scale, out[i:j]), *rows_and_grain(x))
