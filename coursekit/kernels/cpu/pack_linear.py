"""The weight of a linear layer in panels: packed row by row, in blocks, and turned in registers."""

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.simd_squares import turn
from coursekit.kernels.ops import OPS
from coursekit.kernels.ops.linear import PANEL


@compiled
def _pack_textbook(weight, panels):
    N, K = weight.shape
    panels[:] = 0
    for n in range(N):
        for k in range(K):
            panels[n // PANEL, k, n % PANEL] = weight[n, k]


@boundary(OPS["pack_linear"])
def pack_linear_textbook(weight, *, out=None):
    """:func:`pack_linear` as it is defined: it reads in order, and writes each number to a cache line of its own."""
    _pack_textbook(weight, out)


BLOCK = 64
"""Numbers of a row that are packed before those of the next: their lines of a panel stay in the level-1 cache."""


@compiled
def _pack_blocks(weight, panels):
    N, K = weight.shape
    for p in range(panels.shape[0]):
        first, last = p * PANEL, min(p * PANEL + PANEL, N)
        if last - first < PANEL:
            panels[p] = 0
        for k in range(0, K, BLOCK):
            lines = panels[p, k : k + BLOCK]
            for n in range(first, last):
                row = weight[n, k : k + BLOCK]
                for i in range(row.size):
                    lines[i, n - first] = row[i]


@boundary(OPS["pack_linear"])
def pack_linear_blocks(weight, *, out=None):
    """:func:`pack_linear` a block at a time, in plain Python.

    Still each number goes to a cache line of its own, but those lines are few enough to be in the cache when the next
    row comes to them, so a line goes to memory once, and full. Only a panel that is not full needs zeros.
    """
    _pack_blocks(weight, out)


@compiled
def pack_panels(weight, panels):
    N = weight.shape[0]
    for p in range(panels.shape[0]):
        pack_panel(weight[p * PANEL : min(p * PANEL + PANEL, N)], panels[p])


@compiled
def pack_panel(rows, panel):
    """Some rows of a weight in one panel, with zeros for those that are missing."""
    if len(rows) < PANEL:
        panel[:] = 0
    turn(rows, panel)


def packed(weight):
    """What :func:`pack_linear` gives, for kernels whose arrays are known to be right."""
    panels = np.empty((-(-weight.shape[0] // PANEL), weight.shape[1], PANEL), weight.dtype)
    pack_panels(weight, panels)
    return panels


@boundary(OPS["pack_linear"])
def pack_linear(weight, *, out=None):
    """The rows of a weight in panels of 16, as :func:`linear_packed` reads them: done once, kept with the weight.

    A cache line of the result holds what 16 rows have for one k. Squares of as many rows as a vector has lanes are
    turned in registers, so that whole vectors are read and written. The result is exact.

    Args:
        weight: shape (N, K), float32 or float64; NumPy array or torch tensor on the CPU.
        out: shape (⌈N/16⌉, K, 16), filled and returned where given; it must not share memory with weight.

    Returns:
        Shape (⌈N/16⌉, K, 16), of the dtype and kind of weight, with zeros for the rows beyond N.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: weight has not two dimensions, a tensor is not on the CPU, or ``out`` cannot be written
            without harm.
    """
    pack_panels(weight, out)
