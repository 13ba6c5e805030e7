"""The gradients of layer norm: by their formulas, in their own precision, and on whole vectors."""

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.rows import as_rows, grain, load_part, store_part, sum_of_row
from coursekit.kernels.cpu.short_rows import FEW
from coursekit.kernels.cpu.simd import broadcast, fma, load_first, sum_across, width
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.ops import OPS

BLOCK = 32
"""Rows whose shares in the gradients of weight and bias are added up together, by one thread."""


@compiled
def _textbook(x, weight, gradient, eps, dx, dw, db):
    N = weight.size
    dw[:] = 0
    db[:] = 0
    for m in range(x.shape[0]):
        mean, variance, of_h, of_hz = 0.0, 0.0, 0.0, 0.0
        for n in range(N):
            mean += x[m, n] / N
        for n in range(N):
            variance += (x[m, n] - mean) ** 2 / N
        scale = 1 / np.sqrt(variance + eps)
        for n in range(N):
            z, h = (x[m, n] - mean) * scale, gradient[m, n] * weight[n]
            of_h += h / N
            of_hz += h * z / N
            dw[n] += gradient[m, n] * z
            db[n] += gradient[m, n]
        for n in range(N):
            z, h = (x[m, n] - mean) * scale, gradient[m, n] * weight[n]
            dx[m, n] = scale * (h - of_h - z * of_hz)


@boundary(OPS["layer_norm_grad"])
def layer_norm_grad_textbook(x, weight, gradient, *, eps=1e-5, out=None):
    """:func:`layer_norm_grad` by its formulas, a number at a time and in float64, so that nothing cancels."""
    dx, dw, db = out
    _textbook(as_rows(x), weight, as_rows(gradient), float(eps), as_rows(dx), dw, db)


@compiled
def _rows(x, weight, gradient, eps, dx, dw, db):
    number, N = x.dtype.type, weight.size
    count = number(N)
    dw[:] = 0
    db[:] = 0
    for m in range(x.shape[0]):
        centre, of_h = number(0), number(0)
        for n in range(N):
            centre += x[m, n]
            of_h += gradient[m, n] * weight[n]
        centre /= count
        rest, square, of_hx = number(0), number(0), number(0)
        for n in range(N):
            distance = x[m, n] - centre
            rest += distance
            square += distance * distance
            of_hx += gradient[m, n] * weight[n] * distance
        rest /= count
        scale = number(1) / np.sqrt(max(square / count - rest * rest, number(0)) + eps)
        mean_h, mean_hz = of_h / count, (of_hx - rest * of_h) * scale / count
        for n in range(N):
            g, z = gradient[m, n], ((x[m, n] - centre) - rest) * scale
            dw[n] += g * z
            db[n] += g
            dx[m, n] = scale * (g * weight[n] - mean_h - z * mean_hz)


@boundary(OPS["layer_norm_grad"])
def layer_norm_grad_rows(x, weight, gradient, *, eps=1e-5, out=None):
    """:func:`layer_norm_grad` in its own precision, with the square root and all divisions outside of the loops.

    The mean is put right as in :func:`layer_norm_corrected`. What does not need it is summed up with it, and what needs
    no variance with that, so a row is read three times in place of four. The last loop does all three gradients at
    once and is vectorised; the first two are chains of additions.
    """
    dx, dw, db = out
    _rows(as_rows(x), weight, as_rows(gradient), x.dtype.type(eps), as_rows(dx), dw, db)


@compiled(inline=True)
def _moments(x, start, N, eps):
    """The mean, in two parts, and 1 / √(variance + eps): as in the layer norm itself."""
    n, number = width(x), x.dtype.type
    centre = sum_of_row(x, start, N) / number(N)
    middle = broadcast(centre)
    total = square = broadcast(number(0))
    for i in range(start, start + N, n):
        v = load_first(x, i, min(n, start + N - i), middle) - middle
        total, square = total + v, fma(v, v, square)
    rest = sum_across(total) / number(N)
    variance = max(sum_across(square) / number(N) - rest * rest, number(0))
    return middle, broadcast(rest), broadcast(number(1) / np.sqrt(variance + eps))


@compiled
def _vectors(x, weight, gradient, eps, dx, parts):
    """Each block of rows has a row of ``parts`` for its share in the gradients of weight and bias."""
    M, N = x.shape
    n, number = width(x), x.dtype.type
    read, slope, write, share = x.reshape(-1), gradient.reshape(-1), dx.reshape(-1), parts.reshape(-1)
    share[:] = 0
    for m in range(M):
        start, dw = m * N, m // BLOCK * 2 * N
        middle, rest, scale = _moments(read, start, N, eps)
        of_h = of_hz = broadcast(number(0))
        for i in range(0, N, n):
            left = N - i
            g = load_part(slope, start + i, left)
            z = (load_part(read, start + i, left) - middle - rest) * scale
            h = g * load_part(weight, i, left)
            of_h, of_hz = of_h + h, fma(h, z, of_hz)
            store_part(share, dw + i, fma(g, z, load_part(share, dw + i, left)), left)
            store_part(share, dw + N + i, load_part(share, dw + N + i, left) + g, left)
        mean_h = broadcast(sum_across(of_h) / number(N))
        mean_hz = broadcast(sum_across(of_hz) / number(N))
        for i in range(0, N, n):
            left = N - i
            z = (load_part(read, start + i, left) - middle - rest) * scale
            h = load_part(slope, start + i, left) * load_part(weight, i, left)
            store_part(write, start + i, scale * (h - mean_h - z * mean_hz), left)


@compiled
def _short_rows(x, weight, gradient, eps, dx, parts):
    for i in range(parts.shape[0]):
        first, last = i * BLOCK, (i + 1) * BLOCK
        _rows(x[first:last], weight, gradient[first:last], eps, dx[first:last], parts[i, 0], parts[i, 1])


@boundary(OPS["layer_norm_grad"])
def layer_norm_grad(x, weight, gradient, *, eps=1e-5, out=None):
    """The gradients with respect to x, weight and bias, from that with respect to the result of the layer norm: Ba,
    Kiros and Hinton, arXiv:1607.06450; the two means are what is left of the derivatives of mean and variance.

    Mean and deviation are computed anew as in :func:`layer_norm`, which is cheaper than reading them from memory and
    does not cancel. Rows of a few numbers are left to the loops of :func:`layer_norm_grad_rows`. Shares in the
    gradients of weight and bias are added up in blocks of 32 rows, and the blocks then in their order, so the bits do
    not depend on the threads. The error of a mean or a sum of S terms is at most about (S/L + 40) · 2⁻²⁴ of the sum of
    their sizes in float32, with L lanes over the columns of longer rows and 32 rows over the rows.

    Args:
        x, gradient: shape (..., N), float32 or float64; NumPy arrays or torch tensors on the CPU.
        weight: shape (N,), of the same dtype and kind.
        eps: added to the variance.
        out: a tuple of arrays of the shapes of x, weight and weight, filled and returned where given; the first may be
            x or gradient.

    Returns:
        The three gradients, of the dtype and kind of x.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; ``eps`` is no number.
        ValueError: shapes do not fit, ``eps`` is below 0, a tensor is not on the CPU, or ``out`` cannot be written
            without harm.
    """
    dx, dw, db = out
    x, gradient, dx, eps = as_rows(x), as_rows(gradient), as_rows(dx), x.dtype.type(eps)
    rows, N = x.shape
    parts = np.empty((-(-rows // BLOCK), 2, N), x.dtype)
    kernel = _short_rows if N <= FEW else _vectors

    def work(i, j):
        first, last = i * BLOCK, min(j * BLOCK, rows)
        kernel(x[first:last], weight, gradient[first:last], eps, dx[first:last], parts[i:j])

    split(work, len(parts), grain(BLOCK, N))
    dw[...], db[...] = parts.sum(0)
