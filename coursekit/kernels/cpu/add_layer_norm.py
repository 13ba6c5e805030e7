"""A residual connection and the layer norm after it: in two operations, in one loop, and on whole vectors."""

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.layer_norm import normalise_row
from coursekit.kernels.cpu.layer_norm import row as plain_row
from coursekit.kernels.cpu.layer_norm import textbook as normalise
from coursekit.kernels.cpu.rows import as_rows, load_part, rows_and_grain
from coursekit.kernels.cpu.simd import broadcast, load, store, store_first, sum_across, width
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.ops import OPS


@boundary(OPS["add_layer_norm"])
def add_layer_norm_textbook(x, residual, weight, bias, *, eps=1e-5, out=None):
    """:func:`add_layer_norm` as a network says it: first the sum of all, then the norm of all.

    Where the arrays are larger than the cache, the sum is written to memory and read from it again.
    """
    total, norm = out
    np.add(x, residual, out=total)
    normalise(as_rows(total), weight, bias, float(eps), as_rows(norm))


@compiled
def _fused(x, residual, weight, bias, eps, total, norm):
    for m in range(x.shape[0]):
        for n in range(weight.size):
            total[m, n] = x[m, n] + residual[m, n]
        plain_row(total[m], weight, bias, eps, norm[m])


@boundary(OPS["add_layer_norm"])
def add_layer_norm_fused(x, residual, weight, bias, *, eps=1e-5, out=None):
    """:func:`add_layer_norm` row by row: a row of the sum is still in the first cache when its norm is taken."""
    total, norm = map(as_rows, out)
    _fused(as_rows(x), as_rows(residual), weight, bias, x.dtype.type(eps), total, norm)


@compiled
def _vectors(x, residual, weight, bias, eps, total, norm):
    N, n = weight.size, width(x)
    x, residual, total, norm = x.reshape(-1), residual.reshape(-1), total.reshape(-1), norm.reshape(-1)
    for start in range(0, x.size, max(N, 1)):
        a = b = broadcast(x.dtype.type(0))
        last, stop = start + N // n * n, start + N
        for i in range(start, last - n, 2 * n):
            v, w = load(x, i) + load(residual, i), load(x, i + n) + load(residual, i + n)
            store(total, i, v)
            store(total, i + n, w)
            a, b = a + v, b + w
        if N // n % 2:
            v = load(x, last - n) + load(residual, last - n)
            store(total, last - n, v)
            a = a + v
        if last < stop:
            v = load_part(x, last, stop - last) + load_part(residual, last, stop - last)
            store_first(total, last, v, stop - last)
            b = b + v
        centre = sum_across(a + b) / x.dtype.type(N)
        normalise_row(total, start, centre, weight, bias, eps, norm)


@boundary(OPS["add_layer_norm"])
def add_layer_norm(x, residual, weight, bias, *, eps=1e-5, out=None):
    """x + residual, and the layer norm of that: the step between the blocks of a transformer (Vaswani et al.,
    "Attention Is All You Need", arXiv:1706.03762, section 3.1; Xiong et al., arXiv:2002.04745, for where it stands).

    The steps are those of :func:`add_layer_norm_fused`, on vectors. The error of the norm is that of
    :func:`coursekit.kernels.cpu.layer_norm` of the rounded sum, which is the sum that is given back.

    Args:
        x, residual: shape (..., N), float32 or float64; NumPy arrays or torch tensors on the CPU.
        weight, bias: shape (N,), of the same dtype and kind.
        eps: added to the variance.
        out: a tuple of two arrays of the shape of x, filled and returned where given; one may be x or residual.

    Returns:
        The sum and the norm, of the shape, dtype and kind of x.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; ``eps`` is no number.
        ValueError: shapes do not fit, ``eps`` is below 0, a tensor is not on the CPU, or ``out`` cannot be written
            without harm.
    """
    x, residual, eps = as_rows(x), as_rows(residual), x.dtype.type(eps)
    total, norm = map(as_rows, out)

    def work(i, j):
        _vectors(x[i:j], residual[i:j], weight, bias, eps, total[i:j], norm[i:j])

    split(work, *rows_and_grain(x))
