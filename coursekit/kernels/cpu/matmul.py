"""Matrix product in three steps: as the textbook has it, along the rows, and in blocks.

All three make 2·M·N·K FLOPs. They differ in the order, and so in what the caches and the vector units
can do for them: between the first and the last lies a factor of ten and more.
"""

import numpy as np
from numba import njit

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.ops import OPS

# error_model="numpy" leaves out the test for division by zero, which would stop vectorisation;
# "contract" lets a·b + c become one instruction. Neither changes the order of a sum.
COMPILE = {"cache": True, "error_model": "numpy", "fastmath": {"contract"}}


@njit(**COMPILE)
def _textbook(a, b, out):
    M, K = a.shape
    N = b.shape[1]
    for m in range(M):
        for n in range(N):
            total = a.dtype.type(0)
            for k in range(K):
                total += a[m, k] * b[k, n]
            out[m, n] = total


@boundary(OPS["matmul"])
def matmul_textbook(a, b, *, out=None):
    """:func:`matmul` as it is defined, one dot product for each element.

    The inner loop steps down a column of b: one useful number in each cache line that it loads, and a
    chain of additions of which each waits for the one before.
    """
    _textbook(a, b, out)


@njit(**COMPILE)
def _rows(a, b, out):
    out[:] = 0
    for m in range(a.shape[0]):
        row = out[m]
        for k in range(a.shape[1]):
            _add_one(row, a[m, k], b[k])


@njit(**COMPILE)
def _add_one(row, x, b):
    for n in range(row.size):
        row[n] += x * b[n]


@boundary(OPS["matmul"])
def matmul_rows(a, b, *, out=None):
    """:func:`matmul` with the loops in the order m, k, n.

    The inner loop now runs along rows, so every number of a cache line is used, and its steps do not
    wait for each other: the compiler does 4, 8 or 16 at once. What limits it is the traffic to the
    row of ``out``: one load and one store for each multiply-add.
    """
    _rows(a, b, out)


# A panel of b, 64 x 1024, is 256 KiB in float32 and stays in the level-2 cache while all rows of a
# pass over it.
PANEL_K, PANEL_N = 64, 1024
STEP = 4


@njit(**COMPILE)
def _blocked(a, b, out):
    M, K = a.shape
    N = b.shape[1]
    out[:] = 0
    panel = np.zeros((PANEL_K, min(N, PANEL_N)), a.dtype)
    pair = np.zeros((2, PANEL_K), a.dtype)
    spare = np.zeros(min(N, PANEL_N), a.dtype)
    for n in range(0, N, PANEL_N):
        stop = min(n + PANEL_N, N)
        for k in range(0, K, PANEL_K):
            depth = _pack(b[k : k + PANEL_K, n:stop], panel)
            for m in range(0, M, 2):
                _pack(a[m : m + 2, k : k + PANEL_K].T, pair.T)
                second = out[m + 1, n:stop] if m + 1 < M else spare[: stop - n]
                _add_panel(out[m, n:stop], second, pair, panel, depth)


@njit(**COMPILE)
def _pack(block, buffer):
    """Copy ``block`` into the corner of ``buffer``, add rows of zeros to a multiple of STEP, and count them."""
    K, N = block.shape
    depth = (K + STEP - 1) // STEP * STEP
    buffer[:K, :N] = block
    buffer[K:depth, :N] = 0
    return depth


@njit(**COMPILE)
def _add_panel(first, second, pair, panel, depth):
    N = first.size
    for k in range(0, depth, STEP):
        _add_four(
            first,
            second,
            pair[0, k : k + STEP],
            pair[1, k : k + STEP],
            panel[k, :N],
            panel[k + 1, :N],
            panel[k + 2, :N],
            panel[k + 3, :N],
        )


@njit(**COMPILE)
def _add_four(first, second, x, y, b0, b1, b2, b3):
    x0, x1, x2, x3 = x[0], x[1], x[2], x[3]
    y0, y1, y2, y3 = y[0], y[1], y[2], y[3]
    for n in range(first.size):
        first[n] += x0 * b0[n] + x1 * b1[n] + x2 * b2[n] + x3 * b3[n]
        second[n] += y0 * b0[n] + y1 * b1[n] + y2 * b2[n] + y3 * b3[n]


@boundary(OPS["matmul"])
def matmul(a, b, *, out=None):
    """The matrix product of ``a`` and ``b``, on one core.

    Two rows of ``out`` take four rows of b at a time: eight multiply-adds for four loads of b and two
    loads and stores of ``out``. b passes through the cache in panels copied side by side, because rows
    a power of two apart would all claim the same cache sets: Goto and van de Geijn, "Anatomy of
    high-performance matrix multiplication", ACM TOMS 34(3), 2008, section 4.

    Args:
        a: shape (M, K), float32 or float64; NumPy array or torch tensor on the CPU.
        b: shape (K, N), of the same dtype and kind.
        out: shape (M, N), filled and returned where given; it must not share memory with a or b.

    Returns:
        Shape (M, N), of the inputs' dtype and kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, a tensor is not on the CPU, or ``out`` cannot be written without harm.
    """
    _blocked(a, b, out)
