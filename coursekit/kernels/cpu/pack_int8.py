"""A matrix of int8 in panels: packed byte by byte, in words, and with whole vectors interleaved."""

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.simd_integers import interleave_four
from coursekit.kernels.ops import OPS
from coursekit.kernels.ops.integer import FOUR
from coursekit.kernels.ops.linear import PANEL

LINE = PANEL * FOUR
"""Bytes of a panel for four k: a cache line."""


@compiled
def _pack_textbook(b, panels):
    K, N = b.shape
    panels[:] = 0
    for k in range(K):
        for n in range(N):
            panels[n // PANEL, k // FOUR, n % PANEL, k % FOUR] = b[k, n]


@boundary(OPS["pack_int8"])
def pack_int8_textbook(b, *, out=None):
    """:func:`pack_int8` as it is defined, a number at a time in the order of b."""
    _pack_textbook(b, out)


@compiled
def _pack_words(b, panels):
    K, N = b.shape
    P, Q = panels.shape[:2]
    none = np.zeros(N, np.int8)
    words = np.zeros(P * PANEL, np.uint32)
    lines, write = words.view(np.int8).reshape(P, LINE), panels.reshape(P, Q, LINE)
    for q in range(Q):
        k = q * FOUR
        k1 = b[k + 1] if k + 1 < K else none
        k2 = b[k + 2] if k + 2 < K else none
        k3 = b[k + 3] if k + 3 < K else none
        _join(b[k], k1, k2, k3, words)
        for p in range(P):
            for i in range(LINE):
                write[p, q, i] = lines[p, i]


@compiled
def _join(k0, k1, k2, k3, words):
    """Four rows as the bytes of words, of which the lowest stands first in memory."""
    for n in range(k0.size):
        low = np.uint32(np.uint8(k0[n])) | np.uint32(np.uint8(k1[n])) << np.uint32(8)
        high = np.uint32(np.uint8(k2[n])) | np.uint32(np.uint8(k3[n])) << np.uint32(8)
        words[n] = low | high << np.uint32(16)


@boundary(OPS["pack_int8"])
def pack_int8_words(b, *, out=None):
    """:func:`pack_int8` in words of four bytes, in plain Python.

    Four numbers of a column are one word, and the words of a whole row are made in one loop, many at once; then they
    are copied, a cache line to each panel. What is missing at the edges is in the words as zeros.
    """
    _pack_words(b, out)


@compiled
def pack_panels(b, panels):
    K, N = b.shape
    P, Q = panels.shape[:2]
    rows, write = b.reshape(-1), panels.reshape(-1)
    whole = N // PANEL * PANEL
    for q in range(Q):
        if q * FOUR + FOUR <= K:
            for c in range(0, whole, PANEL):
                interleave_four(rows, q * FOUR * N + c, N, write, (c // PANEL * Q + q) * LINE)
            if whole < N:
                _pack_edge(b[q * FOUR : q * FOUR + FOUR, whole:], panels[P - 1, q])
        else:
            for p in range(P):
                _pack_edge(b[q * FOUR :, p * PANEL : min(p * PANEL + PANEL, N)], panels[p, q])


@compiled
def _pack_edge(block, line):
    line[:] = 0
    for i in range(block.shape[0]):
        for c in range(block.shape[1]):
            line[c, i] = block[i, c]


@boundary(OPS["pack_int8"])
def pack_int8(b, *, out=None):
    """A matrix of int8 in panels of 16 columns, as :func:`int8_matmul_packed` reads them: four k side by side.

    Four rows are read along, and a cache line of the result is written at a time. The result is exact.

    Args:
        b: shape (K, N), int8; NumPy array or torch tensor on the CPU.
        out: shape (⌈N/16⌉, ⌈K/4⌉, 16, 4), int8, filled and returned where given; it must not share memory with b.

    Returns:
        Shape (⌈N/16⌉, ⌈K/4⌉, 16, 4), int8, of the kind of b, with zeros beyond its edges.

    Raises:
        TypeError: b is no array, or not of int8.
        ValueError: b has not two dimensions, a tensor is not on the CPU, or ``out`` cannot be written without harm.
    """
    pack_panels(b, out)
