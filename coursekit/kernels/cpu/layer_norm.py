"""Layer norm: by its formula, with the mean put right in passing, and on whole vectors.

What is hard is not the speed but the variance. Where the mean is a million times the deviation, the mean of squares
less the square of the mean is noise, and so is x - mean where the mean itself is rounded.
"""

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.rows import as_rows, load_part, rows_and_grain, sum_of_row
from coursekit.kernels.cpu.short_rows import are_short, turned
from coursekit.kernels.cpu.simd import (
    broadcast,
    fma,
    load,
    load_first,
    load_one,
    maximum,
    sqrt,
    store,
    store_first,
    sum_across,
    width,
)
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.ops import OPS


@compiled
def textbook(x, weight, bias, eps, out):
    N = weight.size
    for m in range(x.shape[0]):
        mean = 0.0
        for n in range(N):
            mean += x[m, n] / N
        variance = 0.0
        for n in range(N):
            variance += (x[m, n] - mean) ** 2 / N
        for n in range(N):
            out[m, n] = (x[m, n] - mean) / np.sqrt(variance + eps) * weight[n] + bias[n]


@boundary(OPS["layer_norm"])
def layer_norm_textbook(x, weight, bias, *, eps=1e-5, out=None):
    """:func:`layer_norm` by its formula: the mean, the mean square distance from it, the quotients.

    All in float64, whatever x is, so nothing cancels; but half as many numbers fit into a register, each addition
    waits for the one before, and each element costs a division or two and a square root.
    """
    textbook(as_rows(x), weight, bias, float(eps), as_rows(out))


@compiled
def _rows(x, weight, bias, eps, out):
    for m in range(x.shape[0]):
        row(x[m], weight, bias, eps, out[m])


@compiled
def row(x, weight, bias, eps, out):
    number = x.dtype.type
    count = number(x.size)
    centre, rest, square = number(0), number(0), number(0)
    for n in range(x.size):
        centre += x[n]
    centre /= count
    for n in range(x.size):
        distance = x[n] - centre
        rest += distance
        square += distance * distance
    rest /= count
    scale = number(1) / np.sqrt(max(square / count - rest * rest, number(0)) + eps)
    for n in range(x.size):
        out[n] = ((x[n] - centre) - rest) * scale * weight[n] + bias[n]


@boundary(OPS["layer_norm"])
def layer_norm_corrected(x, weight, bias, *, eps=1e-5, out=None):
    """:func:`layer_norm` in its own precision, with one square root and one division for each row.

    The mean comes out rounded; the mean of the distances from it is what it lacks. With that the variance is right
    (Chan, Golub and LeVeque, "Algorithms for computing the sample variance", The American Statistician 37(3), 1983,
    the corrected two-pass algorithm), and the distances are too: x less the rounded mean is exact where it matters.
    """
    _rows(as_rows(x), weight, bias, x.dtype.type(eps), as_rows(out))


@compiled(inline=True)
def normalise_row(x, start, centre, weight, bias, eps, out):
    """The second and third pass over a row from flat position ``start``, for which ``centre`` is nearly the mean."""
    N, number, n = weight.size, x.dtype.type, width(x)
    middle, last = broadcast(centre), start + N // n * n
    count = start + N - last
    a = b = c = d = broadcast(number(0))
    for i in range(start, last - n, 2 * n):
        v, w = load(x, i) - middle, load(x, i + n) - middle
        a, b = a + v, b + w
        c, d = fma(v, v, c), fma(w, w, d)
    if N // n % 2:
        v = load(x, last - n) - middle
        a, c = a + v, fma(v, v, c)
    if count:
        v = load_first(x, last, count, middle) - middle
        b, d = b + v, fma(v, v, d)
    rest = sum_across(a + b) / number(N)
    variance = max(sum_across(c + d) / number(N) - rest * rest, number(0))
    scale = number(1) / np.sqrt(variance + eps)
    factor, offset = broadcast(scale), broadcast(-rest * scale)
    for i in range(0, last - start, n):
        z = fma(load(x, start + i) - middle, factor, offset)
        store(out, start + i, fma(z, load(weight, i), load(bias, i)))
    if count:
        i = last - start
        z = fma(load_part(x, last, count) - middle, factor, offset)
        store_first(out, last, fma(z, load_part(weight, i, count), load_part(bias, i, count)), count)


@compiled
def _vectors(x, weight, bias, eps, out):
    N = weight.size
    read, write = x.reshape(-1), out.reshape(-1)
    for start in range(0, x.size, max(N, 1)):
        centre = sum_of_row(read, start, N) / x.dtype.type(N)
        normalise_row(read, start, centre, weight, bias, eps, write)


@turned
@compiled
def normalise_short_rows(columns, others):
    """``others`` are weight, bias and eps. There is one sum for each row, as in :func:`layer_norm_corrected`."""
    weight, bias, eps = others
    N, apart, n, number = weight.size, columns.shape[1], width(columns), columns.dtype.type
    rows = columns.reshape(-1)
    share = broadcast(number(1) / number(N))
    for j in range(0, apart, n):
        stop = N * apart
        centre = rest = square = broadcast(number(0))
        for i in range(j, stop, apart):
            centre += load(rows, i)
        centre *= share
        for i in range(j, stop, apart):
            v = load(rows, i) - centre
            rest, square = rest + v, fma(v, v, square)
        rest *= share
        variance = maximum(square * share - rest * rest, broadcast(number(0)))
        scale = broadcast(number(1)) / sqrt(variance + broadcast(eps))
        for k in range(N):
            z = (load(rows, j + k * apart) - centre - rest) * scale
            store(rows, j + k * apart, fma(z, load_one(weight, k), load_one(bias, k)))


@compiled
def _short_rows(x, weight, bias, eps, out):
    normalise_short_rows(x, (weight, bias, eps), out)


@boundary(OPS["layer_norm"])
def layer_norm(x, weight, bias, *, eps=1e-5, out=None):
    """(x - mean) / √(variance + eps) · weight + bias along the last axis: Ba, Kiros and Hinton, "Layer Normalization",
    arXiv:1607.06450.

    The steps are those of :func:`layer_norm_corrected`, on vectors, with several partial sums; rows of up to four
    vectors are turned into columns first. A row is read three times, but from memory once. With deviation σ the error
    is at most about 2⁻²² · (1 + N/2⁵ · |mean|/σ · 2⁻²⁴) of each element before weight and bias: the mean counts only
    where it is so large that float32 hardly holds x any more.

    Args:
        x: shape (..., N), float32 or float64; NumPy array or torch tensor on the CPU.
        weight, bias: shape (N,), of the same dtype and kind.
        eps: added to the variance.
        out: shape of x, filled and returned where given; it may be x itself.

    Returns:
        The shape, dtype and kind of x. A row with an infinity or nan gives nan.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; ``eps`` is no number.
        ValueError: shapes do not fit, ``eps`` is below 0, a tensor is not on the CPU, or ``out`` cannot be written
            without harm.
    """
    x, out, eps = as_rows(x), as_rows(out), x.dtype.type(eps)
    kernel = _short_rows if are_short(weight.size, x.dtype) else _vectors
    split(lambda i, j: kernel(x[i:j], weight, bias, eps, out[i:j]), *rows_and_grain(x))
