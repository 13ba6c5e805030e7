"""The gradients of RMS norm: by their formulas, in their own precision, and on whole vectors."""

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.rms_norm import sum_of_squares
from coursekit.kernels.cpu.rows import as_rows, grain, load_part, store_part
from coursekit.kernels.cpu.short_rows import FEW
from coursekit.kernels.cpu.simd import broadcast, fma, sum_across, width
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.ops import OPS

BLOCK = 32
"""Rows whose shares in the gradient of the weight are added up together, by one thread."""


@compiled
def _textbook(x, weight, gradient, eps, dx, dw):
    N = weight.size
    dw[:] = 0
    for m in range(x.shape[0]):
        square, of_hx = 0.0, 0.0
        for n in range(N):
            square += float(x[m, n]) * float(x[m, n]) / N
            of_hx += float(gradient[m, n]) * weight[n] * x[m, n] / N
        scale = 1 / np.sqrt(square + eps)
        for n in range(N):
            dw[n] += gradient[m, n] * x[m, n] * scale
        for n in range(N):
            dx[m, n] = scale * (gradient[m, n] * weight[n] - x[m, n] * of_hx * scale * scale)


@boundary(OPS["rms_norm_grad"])
def rms_norm_grad_textbook(x, weight, gradient, *, eps=1e-6, out=None):
    """:func:`rms_norm_grad` by its formulas, a number at a time and with sums in float64."""
    dx, dw = out
    _textbook(as_rows(x), weight, as_rows(gradient), float(eps), as_rows(dx), dw)


@compiled
def _rows(x, weight, gradient, eps, dx, dw):
    number, N = x.dtype.type, weight.size
    dw[:] = 0
    for m in range(x.shape[0]):
        square, of_hx = number(0), number(0)
        for n in range(N):
            square += x[m, n] * x[m, n]
            of_hx += gradient[m, n] * weight[n] * x[m, n]
        scale = number(1) / np.sqrt(square / number(N) + eps)
        mean = of_hx / number(N) * scale * scale
        for n in range(N):
            h, v = gradient[m, n] * weight[n], x[m, n]
            dw[n] += gradient[m, n] * v * scale
            dx[m, n] = scale * (h - v * mean)


@boundary(OPS["rms_norm_grad"])
def rms_norm_grad_rows(x, weight, gradient, *, eps=1e-6, out=None):
    """:func:`rms_norm_grad` in its own precision, with one square root and two divisions for each row.

    The second loop does both gradients at once and is vectorised; the first is two chains of additions.
    """
    dx, dw = out
    _rows(as_rows(x), weight, as_rows(gradient), x.dtype.type(eps), as_rows(dx), dw)


@compiled
def _vectors(x, weight, gradient, eps, dx, parts):
    """Each block of rows has a row of ``parts`` for its share in the gradient of the weight."""
    M, N = x.shape
    n, number = width(x), x.dtype.type
    read, slope, write, share = x.reshape(-1), gradient.reshape(-1), dx.reshape(-1), parts.reshape(-1)
    share[:] = 0
    for m in range(M):
        start, dw = m * N, m // BLOCK * N
        scale = number(1) / np.sqrt(sum_of_squares(read, start, N) / number(N) + eps)
        r, of_hx = broadcast(scale), broadcast(number(0))
        for i in range(0, N, n):
            left = N - i
            g, v = load_part(slope, start + i, left), load_part(read, start + i, left)
            of_hx = fma(g * load_part(weight, i, left), v, of_hx)
            store_part(share, dw + i, fma(g, v * r, load_part(share, dw + i, left)), left)
        mean = broadcast(sum_across(of_hx) / number(N) * scale * scale)
        for i in range(0, N, n):
            left = N - i
            h = load_part(slope, start + i, left) * load_part(weight, i, left)
            store_part(write, start + i, r * (h - load_part(read, start + i, left) * mean), left)


@compiled
def _short_rows(x, weight, gradient, eps, dx, parts):
    for i in range(parts.shape[0]):
        first, last = i * BLOCK, (i + 1) * BLOCK
        _rows(x[first:last], weight, gradient[first:last], eps, dx[first:last], parts[i])


@boundary(OPS["rms_norm_grad"])
def rms_norm_grad(x, weight, gradient, *, eps=1e-6, out=None):
    """The gradients with respect to x and weight, from that with respect to the result of the RMS norm: Zhang and
    Sennrich, "Root mean square layer normalization", NeurIPS 2019, section 4.2.

    The mean square is computed anew, which is cheaper than reading it from memory. Rows of a few numbers are left
    to the loops of :func:`rms_norm_grad_rows`. Shares in the gradient of the weight are added up in blocks of 32 rows,
    and the blocks then in their order, so the bits do not depend on the threads. The error of a mean or a sum of S
    terms is at most about (S/L + 40) · 2⁻²⁴ of the sum of their sizes in float32, with L lanes over the columns of
    longer rows and 32 rows over the rows.

    Args:
        x, gradient: shape (..., N), float32 or float64; NumPy arrays or torch tensors on the CPU.
        weight: shape (N,), of the same dtype and kind.
        eps: added to the mean square.
        out: a tuple of arrays of the shapes of x and weight, filled and returned where given; the first may be x or
            gradient.

    Returns:
        The two gradients, of the dtype and kind of x.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; ``eps`` is no number.
        ValueError: shapes do not fit, ``eps`` is below 0, a tensor is not on the CPU, or ``out`` cannot be written
            without harm.
    """
    dx, dw = out
    x, gradient, dx, eps = as_rows(x), as_rows(gradient), as_rows(dx), x.dtype.type(eps)
    rows, N = x.shape
    parts = np.empty((-(-rows // BLOCK), N), x.dtype)
    kernel = _short_rows if N <= FEW else _vectors

    def work(i, j):
        first, last = i * BLOCK, min(j * BLOCK, rows)
        kernel(x[first:last], weight, gradient[first:last], eps, dx[first:last], parts[i:j])

    split(work, len(parts), grain(BLOCK, N))
    dw[...] = parts.sum(0)
