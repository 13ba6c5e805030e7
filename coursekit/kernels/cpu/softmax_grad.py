"""The gradient of softmax: by its formula, in the order of memory, and on whole vectors."""

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.rows import grain, load_part, store_part
from coursekit.kernels.cpu.short_rows import FEW
from coursekit.kernels.cpu.simd import broadcast, fma, load, sum_across, width
from coursekit.kernels.cpu.softmax import around
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.ops import OPS


@compiled
def _textbook(y, g, out):
    outer, N, inner = y.shape
    for i in range(outer):
        for j in range(inner):
            total = 0.0
            for n in range(N):
                total += y[i, n, j] * g[i, n, j]
            for n in range(N):
                out[i, n, j] = y[i, n, j] * (g[i, n, j] - total)


@boundary(OPS["softmax_grad"])
def softmax_grad_textbook(probabilities, gradient, *, axis=-1, out=None):
    """:func:`softmax_grad` by its formula: the mean of the gradient, weighted by the probabilities, is taken off."""
    _textbook(around(axis, probabilities), around(axis, gradient), around(axis, out))


@compiled
def _rows(y, g, out):
    M, N = y.shape
    whole = N // 4 * 4
    for m in range(M):
        a = b = c = d = y.dtype.type(0)
        for n in range(0, whole, 4):
            a += y[m, n] * g[m, n]
            b += y[m, n + 1] * g[m, n + 1]
            c += y[m, n + 2] * g[m, n + 2]
            d += y[m, n + 3] * g[m, n + 3]
        for n in range(whole, N):
            a += y[m, n] * g[m, n]
        mean = (a + b) + (c + d)
        for n in range(N):
            out[m, n] = y[m, n] * (g[m, n] - mean)


@compiled
def _plain_rows(y, g, out):
    _rows(y[:, :, 0], g[:, :, 0], out[:, :, 0])


@compiled
def _planes(y, g, out):
    """All columns of each matrix at once, row after row."""
    mean = np.empty(y.shape[2], y.dtype)
    for i in range(y.shape[0]):
        mean[:] = 0
        for n in range(y.shape[1]):
            for j in range(mean.size):
                mean[j] += y[i, n, j] * g[i, n, j]
        for n in range(y.shape[1]):
            for j in range(mean.size):
                out[i, n, j] = y[i, n, j] * (g[i, n, j] - mean[j])


@boundary(OPS["softmax_grad"])
def softmax_grad_rows(probabilities, gradient, *, axis=-1, out=None):
    """:func:`softmax_grad` in the order of memory, in plain Python.

    Along the last axis a row's sum is four sums that do not wait for each other. Along another, all columns go side by
    side: each number of a cache line is used when it is there.
    """
    arrays = [around(axis, array) for array in (probabilities, gradient, out)]
    (_plain_rows if arrays[0].shape[2] == 1 else _planes)(*arrays)


@compiled
def _vector_rows(y, g, out):
    N, n = y.shape[1], width(y)
    y, g, out = y.reshape(-1), g.reshape(-1), out.reshape(-1)
    for start in range(0, y.size, max(N, 1)):
        a = b = broadcast(y.dtype.type(0))
        stop, most = start + N, start + N // (2 * n) * 2 * n
        for i in range(start, most, 2 * n):
            a, b = fma(load(y, i), load(g, i), a), fma(load(y, i + n), load(g, i + n), b)
        for i in range(most, stop, n):
            a = fma(load_part(y, i, stop - i), load_part(g, i, stop - i), a)
        mean = broadcast(sum_across(a + b))
        for i in range(start, stop, n):
            store_part(out, i, load_part(y, i, stop - i) * (load_part(g, i, stop - i) - mean), stop - i)


@compiled
def _vector_planes(y, g, out):
    """All rows of a column of vectors, one such column after the other."""
    _, N, columns = y.shape
    n = width(y)
    y, g, out = y.reshape(-1), g.reshape(-1), out.reshape(-1)
    for start in range(0, y.size, max(N * columns, 1)):
        for j in range(0, columns, n):
            left, stop = columns - j, start + N * columns
            mean = broadcast(y.dtype.type(0))
            for i in range(start + j, stop, columns):
                mean = fma(load_part(y, i, left), load_part(g, i, left), mean)
            for i in range(start + j, stop, columns):
                store_part(out, i, load_part(y, i, left) * (load_part(g, i, left) - mean), left)


MANY, WIDE = 8, 64
"""Rows, and numbers in each, from which on it is better to go along them than down a column of vectors."""


@boundary(OPS["softmax_grad"])
def softmax_grad(probabilities, gradient, *, axis=-1, out=None):
    """The gradient with respect to the argument of softmax, from its result and the gradient with respect to that:
    y · (g - Σ y·g), Bridle, "Probabilistic Interpretation of Feedforward Classification Network Outputs", 1990.

    The steps are those of :func:`softmax_grad_textbook`, on vectors. Rows of a few numbers, and many long rows along
    another axis, are done as by :func:`softmax_grad_rows`: vectors would be nearly empty, and a column of them would
    touch far lines of memory again and again. The error is at most y · (N + 3) · 2⁻²⁴ · max |g| in float32; along the
    last axis N is divided by twice the lanes where vectors are used.

    Args:
        probabilities: what softmax gave, any shape of one dimension or more, float32 or float64; NumPy array or torch
            tensor on the CPU.
        gradient: of the same shape, dtype and kind.
        axis: the axis of the softmax.
        out: of the same shape, filled and returned where given; it may be either of the two.

    Returns:
        The shape, dtype and kind of the probabilities.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; ``axis`` is no int.
        ValueError: shapes do not fit, ``axis`` is out of range, a tensor is not on the CPU, or ``out`` cannot be
            written without harm.
    """
    y, g, out = (around(axis, array) for array in (probabilities, gradient, out))
    kernel = _kernel_for(*y.shape[1:])
    split(lambda i, j: kernel(y[i:j], g[i:j], out[i:j]), y.shape[0], grain(*y.shape[1:]))


def _kernel_for(N, columns):
    if columns == 1:
        return _plain_rows if N <= FEW else _vector_rows
    return _planes if N >= MANY and columns >= WIDE else _vector_planes
