"""RMS norm, the layer norm without a mean: by its formula, in its own precision, and on whole vectors."""

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.rows import as_rows, load_part, rows_and_grain
from coursekit.kernels.cpu.short_rows import are_short, turned
from coursekit.kernels.cpu.simd import (
    broadcast,
    fma,
    load,
    load_one,
    sqrt,
    store,
    store_first,
    sum_across,
    width,
)
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.ops import OPS


@compiled
def _textbook(x, weight, eps, out):
    N = weight.size
    for m in range(x.shape[0]):
        square = 0.0
        for n in range(N):
            square += float(x[m, n]) * float(x[m, n]) / N
        for n in range(N):
            out[m, n] = x[m, n] / np.sqrt(square + eps) * weight[n]


@boundary(OPS["rms_norm"])
def rms_norm_textbook(x, weight, *, eps=1e-6, out=None):
    """:func:`rms_norm` by its formula, in float64, with a square root and a division for each element."""
    _textbook(as_rows(x), weight, float(eps), as_rows(out))


@compiled
def _rows(x, weight, eps, out):
    number = x.dtype.type
    for m in range(x.shape[0]):
        square = number(0)
        for n in range(weight.size):
            square += x[m, n] * x[m, n]
        scale = number(1) / np.sqrt(square / number(weight.size) + eps)
        for n in range(weight.size):
            out[m, n] = x[m, n] * scale * weight[n]


@boundary(OPS["rms_norm"])
def rms_norm_rows(x, weight, *, eps=1e-6, out=None):
    """:func:`rms_norm` in its own precision, with one square root and one division for each row.

    The second loop is vectorised; the first is a chain of additions of which each waits for the one before.
    """
    _rows(as_rows(x), weight, x.dtype.type(eps), as_rows(out))


@compiled(inline=True)
def sum_of_squares(x, start, N):
    n = width(x)
    a = b = c = d = broadcast(x.dtype.type(0))
    whole, most = start + N // n * n, start + N // (4 * n) * 4 * n
    for i in range(start, most, 4 * n):
        p, q, r, s = load(x, i), load(x, i + n), load(x, i + 2 * n), load(x, i + 3 * n)
        a, b, c, d = fma(p, p, a), fma(q, q, b), fma(r, r, c), fma(s, s, d)
    for i in range(most, whole, n):
        v = load(x, i)
        a = fma(v, v, a)
    if whole < start + N:
        v = load_part(x, whole, start + N - whole)
        b = fma(v, v, b)
    return sum_across((a + b) + (c + d))


@compiled
def _vectors(x, weight, eps, out):
    N, n, number = weight.size, width(x), x.dtype.type
    read, write = x.reshape(-1), out.reshape(-1)
    whole = N // n * n
    for start in range(0, x.size, max(N, 1)):
        mean = sum_of_squares(read, start, N) / number(N)
        scale = broadcast(number(1) / np.sqrt(mean + eps))
        for i in range(0, whole, n):
            store(write, start + i, load(read, start + i) * scale * load(weight, i))
        if whole < N:
            last = load_part(read, start + whole, N - whole) * scale * load_part(weight, whole, N - whole)
            store_first(write, start + whole, last, N - whole)


@turned
@compiled
def _in_columns(columns, others):
    weight, eps = others
    N, apart, n, number = weight.size, columns.shape[1], width(columns), columns.dtype.type
    rows = columns.reshape(-1)
    for j in range(0, apart, n):
        square = broadcast(number(0))
        for i in range(j, N * apart, apart):
            v = load(rows, i)
            square = fma(v, v, square)
        scale = broadcast(number(1)) / sqrt(square / broadcast(number(N)) + broadcast(eps))
        for k in range(N):
            i = j + k * apart
            store(rows, i, load(rows, i) * scale * load_one(weight, k))


@compiled
def _short_rows(x, weight, eps, out):
    _in_columns(x, (weight, eps), out)


@boundary(OPS["rms_norm"])
def rms_norm(x, weight, *, eps=1e-6, out=None):
    """x / √(mean x² + eps) · weight along the last axis: Zhang and Sennrich, "Root Mean Square Layer Normalization",
    arXiv:1910.07467, section 4.

    The steps are those of :func:`rms_norm_rows`, on vectors, with four sums at a time: all terms are positive, so
    nothing cancels. Rows that fit four vectors are turned into columns first. The error is at most
    (N/8L + 12) · 2⁻²⁴ of each element in float32, with L lanes. Squares of
    numbers beyond 1e19 overflow in float32, as they do in torch, and the row becomes 0.

    Args:
        x: shape (..., N), float32 or float64; NumPy array or torch tensor on the CPU.
        weight: shape (N,), of the same dtype and kind.
        eps: added to the mean square.
        out: shape of x, filled and returned where given; it may be x itself.

    Returns:
        The shape, dtype and kind of x.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; ``eps`` is no number.
        ValueError: shapes do not fit, ``eps`` is below 0, a tensor is not on the CPU, or ``out`` cannot be written
            without harm.
    """
    x, out, eps = as_rows(x), as_rows(out), x.dtype.type(eps)
    kernel = _short_rows if are_short(weight.size, x.dtype) else _vectors
    split(lambda i, j: kernel(x[i:j], weight, eps, out[i:j]), *rows_and_grain(x))
