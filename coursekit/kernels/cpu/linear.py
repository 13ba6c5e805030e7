"""A linear layer in three steps: as the textbook has it, with the weight turned, and with it packed where that pays."""

import numpy as np

from coursekit.kernels.cpu import simd
from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.linear_packed import BOTH, HEIGHT, multiply_block, multiply_packed
from coursekit.kernels.cpu.matmul import multiply_rows
from coursekit.kernels.cpu.pack_linear import pack_panels, packed
from coursekit.kernels.cpu.rows import grain, load_part
from coursekit.kernels.cpu.simd import broadcast, fma, load, sum_across, width
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.ops import OPS
from coursekit.kernels.ops.linear import PANEL


@compiled
def _textbook(x, weight, bias, out):
    for m in range(out.shape[0]):
        for n in range(out.shape[1]):
            total = bias[n]
            for k in range(x.shape[1]):
                total += x[m, k] * weight[n, k]
            out[m, n] = total


def _filled(bias, weight):
    return np.zeros(weight.shape[0], weight.dtype) if bias is None else bias


@boundary(OPS["linear"])
def linear_textbook(x, weight, bias=None, *, out=None):
    """:func:`linear` as it is defined, one dot product for each element.

    Both factors are read along their rows, so that no cache line is wasted; what remains slow is the sum, one number
    at a time, each addition waiting for the one before.
    """
    _textbook(x, weight, _filled(bias, weight), out)


@boundary(OPS["linear"])
def linear_turned(x, weight, bias=None, *, out=None):
    """:func:`linear` with the weight turned and the loops in the order m, k, n, in plain Python.

    Now neighbours in memory belong to different sums, and the compiler does several at once. Turning costs as much as
    a few rows: for one row, this loses.
    """
    multiply_rows(x, np.ascontiguousarray(weight.T), out)
    if bias is not None:
        out += bias


@compiled
def _dot_products(x, weight, bias, out, start, stop):
    """Rows ``start`` to ``stop`` of the weight, four at a time, with all rows of x, two at a time."""
    M = x.shape[0]
    for n in range(start, stop, 4):
        tile, shift = weight[n : min(n + 4, stop)], bias[n : min(n + 4, stop)]
        for m in range(0, M, 2):
            _dot_tile(x[m : min(m + 2, M)], tile, shift, out[m : min(m + 2, M), n:stop])


@compiled
def _dot_tile(x, weight, bias, out):
    """Two rows with four; a row that is not there is the last one again."""
    K, below, last = x.shape[1], x.shape[0] - 1, weight.shape[0] - 1
    rows, others = x.reshape(-1), weight.reshape(-1)
    n = width(rows)
    i1, j1, j2, j3 = below * K, min(1, last) * K, min(2, last) * K, min(3, last) * K
    zero = broadcast(np.float32(0))
    r0 = r1 = (zero, zero, zero, zero)
    whole = K // n * n
    for k in range(0, whole, n):
        w = load(others, k), load(others, j1 + k), load(others, j2 + k), load(others, j3 + k)
        r0 = _add_four(r0, load(rows, k), w)
        r1 = _add_four(r1, load(rows, i1 + k), w)
    if whole < K:
        rest = K - whole
        a, b = load_part(others, whole, rest), load_part(others, j1 + whole, rest)
        w = a, b, load_part(others, j2 + whole, rest), load_part(others, j3 + whole, rest)
        r0 = _add_four(r0, load_part(rows, whole, rest), w)
        r1 = _add_four(r1, load_part(rows, i1 + whole, rest), w)
    _store_sums(r0, bias, out[0])
    _store_sums(r1, bias, out[below])


@compiled(inline=True)
def _add_four(sums, v, w):
    a, b, c, d = sums
    return fma(v, w[0], a), fma(v, w[1], b), fma(v, w[2], c), fma(v, w[3], d)


@compiled(inline=True)
def _store_sums(sums, bias, out):
    last = bias.size - 1
    out[0] = sum_across(sums[0]) + bias[0]
    out[min(1, last)] = sum_across(sums[1]) + bias[min(1, last)]
    out[min(2, last)] = sum_across(sums[2]) + bias[min(2, last)]
    out[min(3, last)] = sum_across(sums[3]) + bias[min(3, last)]


FEWEST = 16
"""Rows for which packing pays, though the packed weight is used only once."""
MOST = 2**18
"""Numbers of x that may pass by once for each panel; of more, blocks stay in the cache while all panels pass."""
GROUP = max(2 * simd.LANES // PANEL, 1)
"""Panels that a tile is wide."""


@compiled
def _multiply_fresh(x, weight, bias, out, start, stop):
    """Columns ``start`` to ``stop``, a tile's breadth of them at a time, packed just before its use."""
    M, K = x.shape
    panels = np.zeros((GROUP, K, PANEL), x.dtype)
    lines = panels.reshape(-1)
    out[:, start:stop] = bias[start:stop]
    for n in range(start, stop, GROUP * PANEL):
        end = min(n + GROUP * PANEL, stop)
        pack_panels(weight[n:end], panels)
        for m in range(0, M, HEIGHT):
            multiply_block(x, m, min(m + HEIGHT, M), 0, K, lines, n, out, n, end)


@boundary(OPS["linear"])
def linear(x, weight, bias=None, *, out=None):
    """x · weightᵀ + bias, as a fully connected layer has it.

    A few rows are dot products of vectors, two rows with four of the weight at a time. More of them pay for packing the
    weight, as :func:`pack_linear` does: a panel at a time, used while in the cache, or all of it where x is large. The
    products are those of :func:`linear_packed`, which says where the method is from.
    The error is at most (K + 1) · 2⁻²⁴ · (Σ|x·weight| + |bias|) in float32. float64 is done by :func:`linear_turned`.

    Args:
        x: shape (M, K), float32 or float64; NumPy array or torch tensor on the CPU.
        weight: shape (N, K), of the same dtype and kind.
        bias: shape (N,), of the same dtype and kind; none where left out.
        out: shape (M, N), filled and returned where given; it must not share memory with the others.

    Returns:
        Shape (M, N), of the inputs' dtype and kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, a tensor is not on the CPU, or ``out`` cannot be written without harm.
    """
    if x.dtype != np.float32:
        linear_turned(x, weight, bias, out=out)
        return
    bias = _filled(bias, weight)
    N = len(weight)
    if x.shape[0] < FEWEST:
        split(lambda i, j: _dot_products(x, weight, bias, out, i, j), N, grain(x.size) * 4)
    elif x.size <= MOST:
        both = grain(x.size) // BOTH * BOTH + BOTH
        split(lambda i, j: _multiply_fresh(x, weight, bias, out, i, j), N, both)
    else:
        multiply_packed(x, packed(weight), bias, out)
