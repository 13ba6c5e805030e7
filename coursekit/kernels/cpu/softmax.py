"""Softmax: by its formula, then with each exponential computed once and memory read in its own order.

A kernel sees x as (outer, N, inner), with the axis of the softmax in the middle, whatever the shape was.
"""

from math import prod

import numpy as np
from numba import njit

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.ops import OPS

# No fast-math: it would let the compiler assume that inf and nan do not occur.
COMPILE = {"cache": True, "error_model": "numpy"}


def _around(axis, x):
    """x as (outer, N, inner), a view."""
    axis %= x.ndim
    return x.reshape(prod(x.shape[:axis]), x.shape[axis], prod(x.shape[axis + 1 :]))


@njit(**COMPILE)
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


@njit(**COMPILE)
def _rows(x, out):
    for i in range(x.shape[0]):
        _row(x[i, :, 0], out[i, :, 0])


@njit(**COMPILE)
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


@njit(**COMPILE)
def _planes(x, out):
    for i in range(x.shape[0]):
        _plane(x[i], out[i])


@njit(**COMPILE)
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
def softmax(x, *, axis=-1, out=None):
    """exp(x) / Σ exp(x) along an axis, safe for large and infinite entries, on one core.

    ``out`` keeps the exponentials until their sum is known, so each is computed once. Along the last axis
    the rows are done one by one; along another, all columns at once, so that memory is read in its order
    and the additions of one column do not wait for each other.

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
    kernel = _rows if x.shape[2] == 1 else _planes
    kernel(x, out)
