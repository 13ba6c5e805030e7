"""The largest int8 under a window, channels last: every number by itself, and by whole rows of pixels."""

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.pooling import reach
from coursekit.kernels.cpu.rows import grain
from coursekit.kernels.cpu.simd import BYTES, load, maximum, store
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.ops import OPS
from coursekit.kernels.ops.quantised import LOWEST


@compiled
def _textbook(x, kernel_size, stride, padding, out):
    B, P, Q, C = out.shape
    for b in range(B):
        for p in range(P):
            top, bottom = reach(p, kernel_size, stride, padding, x.shape[1])
            for q in range(Q):
                left, right = reach(q, kernel_size, stride, padding, x.shape[2])
                for c in range(C):
                    largest = x[b, top, left, c]
                    for h in range(top, bottom):
                        for w in range(left, right):
                            largest = max(largest, x[b, h, w, c])
                    out[b, p, q, c] = largest


@boundary(OPS["int8_max_pool2d"])
def int8_max_pool2d_textbook(x, *, kernel_size=2, stride=2, padding=0, out=None):
    """:func:`int8_max_pool2d` window by window and channel by channel."""
    _textbook(x, kernel_size, stride, padding, out)


@compiled
def pool_images(x, kernel_size, stride, padding, first, stop, out):
    """Images ``first`` to ``stop``."""
    _, P, Q, C = out.shape
    _, H, W, _ = x.shape
    edge = padding * C
    rows = np.full(W * C + 2 * edge + kernel_size * C + 2 * BYTES, np.int8(LOWEST), np.int8)
    line = np.empty(Q * C + BYTES, np.int8)
    inner = rows[edge : edge + W * C]
    for b in range(first, stop):
        for p in range(P):
            top, bottom = reach(p, kernel_size, stride, padding, H)
            _largest_of_rows(x[b], top, bottom, inner)
            for q in range(Q):
                for c in range(0, C, BYTES):
                    i = q * stride * C + c
                    largest = load(rows, i)
                    for s in range(C, kernel_size * C, C):
                        largest = maximum(load(rows, i + s), largest)
                    store(line, q * C + c, largest)  # what is beyond the channels is overwritten by the next
            out[b, p].reshape(-1)[:] = line[: Q * C]


@compiled
def _largest_of_rows(image, top, bottom, inner):
    """The largest of each column's pixels in the rows from ``top`` on."""
    inner[:] = image[top].reshape(-1)
    for h in range(top + 1, bottom):
        row = image[h].reshape(-1)
        for i in range(inner.size):
            inner[i] = row[i] if row[i] > inner[i] else inner[i]


@boundary(OPS["int8_max_pool2d"])
def int8_max_pool2d(x, *, kernel_size=2, stride=2, padding=0, out=None):
    """The largest int8 under each place of a square window, channels last.

    First the largest of the window's rows, for all columns and channels at once, then that of neighbouring columns, all
    channels at once: as :func:`max_pool2d`, with four times as many numbers in a register. Steps of int8 are in the
    order of what they stand for, so nothing has to be known of scales.

    Args:
        x: shape (B, H, W, C), int8; NumPy array or torch tensor on the CPU.
        kernel_size: the window's height and width.
        stride: pixels from one place of the window to the next.
        padding: how far the window may stand out on each side, half of it at most; what is there does not count.
        out: shape (B, P, Q, C), int8, filled and returned where given; it must not share memory with x.

    Returns:
        Shape (B, P, Q, C), int8, with P = (H + 2·padding − kernel_size) // stride + 1, and Q likewise.

    Raises:
        TypeError: x is no array, or of another dtype; an option is no int.
        ValueError: the window does not fit, an option is out of range, a tensor is not on the CPU, or ``out`` cannot be
            written without harm.
    """
    how = (int(kernel_size), int(stride), int(padding))
    split(lambda i, j: pool_images(x, *how, i, j, out), len(out), grain(*x.shape[1:]))
