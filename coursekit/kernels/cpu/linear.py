"""A linear layer in three steps: as the textbook has it, with the weight turned, and with it packed where that pays."""

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.linear_packed import linear_packed, pack_panels
from coursekit.kernels.cpu.matmul import multiply_rows
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
    """Rows ``start`` to ``stop`` of the weight, four at a time, with all of x."""
    for n in range(start, stop, 4):
        for m in range(x.shape[0]):
            _four_dots(x[m], weight[n : min(n + 4, stop)], bias[n:stop], out[m, n:stop])


@compiled
def _four_dots(x, rows, bias, out):
    """The products of x with four rows; rows that are not there are the last one again."""
    K, last = x.size, rows.shape[0] - 1
    flat = rows.reshape(-1)
    n = width(x)
    i1, i2, i3 = min(1, last) * K, min(2, last) * K, min(3, last) * K
    a = b = c = d = broadcast(np.float32(0))
    whole = K // n * n
    for k in range(0, whole, n):
        v = load(x, k)
        a = fma(v, load(flat, k), a)
        b = fma(v, load(flat, i1 + k), b)
        c = fma(v, load(flat, i2 + k), c)
        d = fma(v, load(flat, i3 + k), d)
    if whole < K:
        v, rest = load_part(x, whole, K - whole), K - whole
        a = fma(v, load_part(flat, whole, rest), a)
        b = fma(v, load_part(flat, i1 + whole, rest), b)
        c = fma(v, load_part(flat, i2 + whole, rest), c)
        d = fma(v, load_part(flat, i3 + whole, rest), d)
    out[0] = sum_across(a) + bias[0]
    out[min(1, last)] = sum_across(b) + bias[min(1, last)]
    out[min(2, last)] = sum_across(c) + bias[min(2, last)]
    out[min(3, last)] = sum_across(d) + bias[min(3, last)]


FEWEST = 8
"""Rows for which packing pays, though the packed weight is used only once."""


@boundary(OPS["linear"])
def linear(x, weight, bias=None, *, out=None):
    """x · weightᵀ + bias, as a fully connected layer has it.

    Few rows are dot products of vectors, four rows of the weight at a time; more of them pay for packing the weight
    first, as :func:`pack_linear` does, and are then done by :func:`linear_packed`, which says where the method is from.
    The error is at most K · 2⁻²⁴ · (Σ|x·weight| + |bias|) in float32. float64 is done by :func:`linear_turned`.

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
    N, K = weight.shape
    if x.shape[0] < FEWEST:
        split(lambda i, j: _dot_products(x, weight, bias, out, i, j), N, grain(x.size) * 4)
    else:
        panels = np.empty((-(-N // PANEL), K, PANEL), weight.dtype)
        pack_panels(weight, panels)
        linear_packed(x, panels, bias, out=out)
