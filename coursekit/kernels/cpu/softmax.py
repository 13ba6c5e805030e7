"""Softmax: by its formula, then with each exponential computed once and memory read in its own order.

A kernel sees x as (outer, N, inner), with the axis of the softmax in the middle, whatever the shape was.
"""

from math import prod

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.rows import grain, load_part, max_of_row, store_part
from coursekit.kernels.cpu.short_rows import are_short, turned
from coursekit.kernels.cpu.simd import (
    broadcast,
    load,
    load_first,
    maximum,
    store,
    store_first,
    sum_across,
    width,
)
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.cpu.vector_math import exp_below
from coursekit.kernels.ops import OPS


def around(axis, x):
    """x as (outer, N, inner), a view."""
    axis %= x.ndim
    return x.reshape(prod(x.shape[:axis]), x.shape[axis], prod(x.shape[axis + 1 :]))


@compiled
def _textbook(x, out):
    outer, N, inner = x.shape
    for i in range(outer):
        for j in range(inner):
            top = x[i, :, j].max() if N else x.dtype.type(0)
            total = x.dtype.type(0)
            for n in range(N):
                total += np.exp(x[i, n, j] - top)
            for n in range(N):
                out[i, n, j] = np.exp(x[i, n, j] - top) / total


@boundary(OPS["softmax"])
def softmax_textbook(x, *, axis=-1, out=None):
    """:func:`softmax` by its formula: the maximum, the sum, the quotients.

    Subtracting the maximum changes nothing in exact arithmetic; in floating point it keeps exp from
    overflowing. Each exponential is computed twice, once for the sum and once for the quotient.
    """
    _textbook(around(axis, x), around(axis, out))


@compiled
def _rows(x, out):
    for i in range(x.shape[0]):
        _row(x[i, :, 0], out[i, :, 0])


@compiled
def _row(x, out):
    top = x.dtype.type(-np.inf)
    for n in range(x.size):
        top = max(top, x[n])
    total = x.dtype.type(0)
    for n in range(x.size):
        power = np.exp(x[n] - top)
        out[n] = power
        total += power
    scale = x.dtype.type(1) / total
    for n in range(x.size):
        out[n] *= scale


@compiled
def _planes(x, out):
    for i in range(x.shape[0]):
        columns_softmax(x[i], out[i])


@compiled
def columns_softmax(x, out):
    """The softmax of all columns of a matrix at once, row after row; ``out`` may be x."""
    N, columns = x.shape
    top = np.full(columns, -np.inf, x.dtype)
    total = np.zeros(columns, x.dtype)
    for n in range(N):
        for j in range(columns):
            top[j] = max(top[j], x[n, j])
    for n in range(N):
        for j in range(columns):
            power = np.exp(x[n, j] - top[j])
            out[n, j] = power
            total[j] += power
    for n in range(N):
        for j in range(columns):
            out[n, j] /= total[j]


@boundary(OPS["softmax"])
def softmax_rows(x, *, axis=-1, out=None):
    """:func:`softmax` with each exponential computed once, and memory read in its own order, in plain Python.

    ``out`` keeps the exponentials until their sum is known. Along the last axis the rows are done one by one; along
    another, all columns at once, so that the additions of one column do not wait for each other.
    """
    x, out = around(axis, x), around(axis, out)
    kernel = _rows if x.shape[2] == 1 else _planes
    kernel(x, out)


@compiled(inline=True)
def softmax_of_row(x, start, N, factor, out):
    """N float32 from position ``start`` on, in vectors: their softmax times a factor."""
    n = width(x)
    nothing = broadcast(np.float32(-np.inf))
    whole, rest = start + N // n * n, N % n
    top = broadcast(max_of_row(x, start, N))
    total = broadcast(np.float32(0))
    for i in range(start, whole, n):
        power = exp_below(load(x, i) - top)
        total += power
        store(out, i, power)
    last = exp_below(load_first(x, whole, rest, nothing) - top)
    scale = broadcast(factor / sum_across(total + last))
    for i in range(start, whole, n):
        store(out, i, load(out, i) * scale)
    store_first(out, whole, last * scale, rest)


@compiled
def _vector_rows(x, out):
    """Rows of float32, in vectors: exp of a vector is a dozen instructions, where exp of a number is a call."""
    read, write = x.reshape(-1), out.reshape(-1)
    for start in range(0, x.size, max(x.shape[1], 1)):
        softmax_of_row(read, start, x.shape[1], np.float32(1), write)


@compiled
def _vector_planes(x, out):
    """All columns of each plane of float32, row after row, with the columns' maxima and sums in the cache."""
    _, N, columns = x.shape
    read, write = x.reshape(-1), out.reshape(-1)
    n = width(x)
    top, total = np.empty(columns + n, x.dtype), np.empty(columns + n, x.dtype)
    for start in range(0, x.size, max(N * columns, 1)):
        top[:] = -np.inf
        total[:] = 0
        stop = start + N * columns
        for row in range(start, stop, columns):
            for j in range(0, columns, n):
                store(top, j, maximum(load_part(read, row + j, columns - j), load(top, j)))
        for row in range(start, stop, columns):
            for j in range(0, columns, n):
                power = exp_below(load_part(read, row + j, columns - j) - load(top, j))
                store(total, j, load(total, j) + power)
                store_part(write, row + j, power, columns - j)
        total[:] = np.float32(1) / total
        for row in range(start, stop, columns):
            for j in range(0, columns, n):
                scaled = load_part(write, row + j, columns - j) * load(total, j)
                store_part(write, row + j, scaled, columns - j)


@turned
@compiled
def softmax_of_short_rows(columns, _):
    plane = columns.reshape((1, *columns.shape))
    _vector_planes(plane, plane)


@compiled
def _vector_short_rows(x, out):
    softmax_of_short_rows(x[:, :, 0], (), out[:, :, 0])


def _kernel_for(x):
    if x.dtype != np.float32:
        return _rows if x.shape[2] == 1 else _planes
    if x.shape[2] != 1:
        return _vector_planes
    return _vector_short_rows if are_short(x.shape[1], x.dtype) else _vector_rows


@boundary(OPS["softmax"])
def softmax(x, *, axis=-1, out=None):
    """exp(x) / Σ exp(x) along an axis, safe for large entries and those of -inf.

    The steps are those of :func:`softmax_rows`, on vectors of float32 as wide as the registers, with an exp for
    numbers below 0; rows of up to four vectors are turned into columns first. In longer rows the sum is kept in as many
    parts as there are lanes, L; in columns in one, so let L be 1 there. The error is at most (N/L + 40) · 2⁻²⁴ of each
    result above 1e-13: some 16 from rounding x less the maximum, 17 from exp, the rest from the sum and the division.
    float64 is done by :func:`softmax_rows`.

    Args:
        x: any shape of one dimension or more, float32 or float64; NumPy array or torch tensor on the CPU.
        axis: the dimension whose entries sum to 1 in the result.
        out: shape of x, filled and returned where given; it may be x itself.

    Returns:
        The shape, dtype and kind of x. A row of nothing but -inf gives nan.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; ``axis`` is no int.
        ValueError: ``axis`` is out of range, a tensor is not on the CPU, or ``out`` does not fit or cannot
            be written without harm.
    """
    x, out = around(axis, x), around(axis, out)
    kernel = _kernel_for(x)
    split(lambda i, j: kernel(x[i:j], out[i:j]), x.shape[0], grain(*x.shape[1:]))
