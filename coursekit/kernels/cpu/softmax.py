"""Softmax: by its formula, then with each exponential computed once and memory read in its own order.

A kernel sees x as (outer, N, inner), with the axis of the softmax in the middle, whatever the shape was.
"""

from math import prod

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.simd import (
    broadcast,
    load,
    load_first,
    max_across,
    maximum,
    store,
    store_first,
    sum_across,
    width,
)
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.cpu.vector_math import exp_or_zero
from coursekit.kernels.ops import OPS

GRAIN = 2**16
"""Elements that are worth a thread."""


def _around(axis, x):
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
    _textbook(_around(axis, x), _around(axis, out))


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
        _plane(x[i], out[i])


@compiled
def _plane(x, out):
    """The softmax of all columns of a matrix at once, row after row."""
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
    x, out = _around(axis, x), _around(axis, out)
    kernel = _rows if x.shape[2] == 1 else _planes
    kernel(x, out)


@compiled
def _vector_rows(x, out):
    """Rows of float32, in vectors: exp of a vector is a dozen instructions, where exp of a number is a call."""
    N = x.shape[1]
    read, write = x.reshape(-1), out.reshape(-1)
    n = width(x)
    for start in range(0, x.size, max(N, 1)):
        whole, rest = start + N // n * n, N % n
        nothing = broadcast(np.float32(-np.inf))
        top = nothing
        for i in range(start, whole, n):
            top = maximum(load(read, i), top)
        if rest:
            top = maximum(load_first(read, whole, rest, nothing), top)
        top = broadcast(max_across(top))
        total = broadcast(np.float32(0))
        for i in range(start, whole, n):
            power = exp_or_zero(load(read, i) - top)
            total += power
            store(write, i, power)
        if rest:
            power = exp_or_zero(load_first(read, whole, rest, nothing) - top)
            total += power
            store_first(write, whole, power, rest)
        scale = broadcast(np.float32(1) / sum_across(total))
        for i in range(start, whole, n):
            store(write, i, load(write, i) * scale)
        if rest:
            store_first(write, whole, load_first(write, whole, rest, nothing) * scale, rest)


@compiled
def _vector_planes(x, out):
    """All columns of each plane of float32, a vector of neighbours at a time."""
    _, N, columns = x.shape
    read, write = x.reshape(-1), out.reshape(-1)
    n = width(x)
    for start in range(0, x.size, max(N * columns, 1)):
        for first in range(start, start + columns, n):
            count = min(n, start + columns - first)
            stop = first + N * columns
            top, total = broadcast(np.float32(-np.inf)), broadcast(np.float32(0))
            for i in range(first, stop, columns):
                top = maximum(_load(read, i, count), top)
            for i in range(first, stop, columns):
                power = exp_or_zero(_load(read, i, count) - top)
                total += power
                _store(write, i, power, count)
            scale = broadcast(np.float32(1)) / total
            for i in range(first, stop, columns):
                _store(write, i, _load(write, i, count) * scale, count)


@compiled(inline=True)
def _load(x, i, count):
    return load(x, i) if count == width(x) else load_first(x, i, count, broadcast(x.dtype.type(0)))


@compiled(inline=True)
def _store(out, i, vector, count):
    if count == width(out):
        store(out, i, vector)
    else:
        store_first(out, i, vector, count)


@boundary(OPS["softmax"])
def softmax(x, *, axis=-1, out=None):
    """exp(x) / Σ exp(x) along an axis, safe for large and infinite entries.

    The steps are those of :func:`softmax_rows`, on vectors of float32 as wide as the registers, with an exp that is
    right to one unit in the last place; the sum is kept in as many parts as there are lanes. float64 is done by
    :func:`softmax_rows`.

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
    x, out = _around(axis, x), _around(axis, out)
    by_rows, by_planes = (_vector_rows, _vector_planes) if x.dtype == np.float32 else (_rows, _planes)
    kernel = by_rows if x.shape[2] == 1 else by_planes
    grain = GRAIN // max(x.shape[1] * x.shape[2], 1) + 1
    split(lambda i, j: kernel(x[i:j], out[i:j]), x.shape[0], grain)
