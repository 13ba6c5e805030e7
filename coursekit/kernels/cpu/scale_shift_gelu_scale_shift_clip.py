"""Six operations in one pass, as a compiler for networks would fuse them: one by one, fused, and on whole vectors."""

from math import exp

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.bias_gelu import SQRT_2_OVER_PI, gelu_by_tanh
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.rows import as_rows, load_part, rows_and_grain, store_part
from coursekit.kernels.cpu.simd import broadcast, fma, maximum, minimum, width
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.ops import OPS


@compiled(inline=True)
def _gelu(v):
    number = type(v)
    factor, cubic = number(-2 * SQRT_2_OVER_PI), number(0.044715)
    return v / (number(1) + exp(factor * (v + cubic * v * v * v)))


@compiled
def _six_passes(x, scale, shift, gain, offset, limit, out):
    M, N = out.shape
    for m in range(M):
        for n in range(N):
            out[m, n] = x[m, n] * scale[n]
    for m in range(M):
        for n in range(N):
            out[m, n] += shift[n]
    for m in range(M):
        for n in range(N):
            out[m, n] = _gelu(out[m, n])
    for m in range(M):
        for n in range(N):
            out[m, n] *= gain[n]
    for m in range(M):
        for n in range(N):
            out[m, n] += offset[n]
    for m in range(M):
        for n in range(N):
            out[m, n] = min(max(out[m, n], -limit), limit)


@boundary(OPS["scale_shift_gelu_scale_shift_clip"])
def scale_shift_gelu_scale_shift_clip_textbook(x, scale, shift, gain, offset, *, limit=6.0, out=None):
    """The six operations one after the other, each over all of ``out``: it is read and written six times."""
    _six_passes(as_rows(x), scale, shift, gain, offset, x.dtype.type(limit), as_rows(out))


@compiled
def _fused(x, scale, shift, gain, offset, limit, out):
    for m in range(x.shape[0]):
        for n in range(scale.size):
            v = _gelu(x[m, n] * scale[n] + shift[n]) * gain[n] + offset[n]
            out[m, n] = min(max(v, -limit), limit)


@boundary(OPS["scale_shift_gelu_scale_shift_clip"])
def scale_shift_gelu_scale_shift_clip_fused(x, scale, shift, gain, offset, *, limit=6.0, out=None):
    """The six operations on each number while it is in a register: x is read once, and ``out`` written once."""
    _fused(as_rows(x), scale, shift, gain, offset, x.dtype.type(limit), as_rows(out))


@compiled
def _vectors(x, scale, shift, gain, offset, limit, out):
    N, n = scale.size, width(x)
    read, write = x.reshape(-1), out.reshape(-1)
    low, high = broadcast(-limit), broadcast(limit)
    for start in range(0, x.size, max(N, 1)):
        for i in range(0, N, n):
            rest = N - i
            v = fma(load_part(read, start + i, rest), load_part(scale, i, rest), load_part(shift, i, rest))
            v = fma(gelu_by_tanh(v), load_part(gain, i, rest), load_part(offset, i, rest))
            store_part(write, start + i, minimum(high, maximum(low, v)), rest)


@boundary(OPS["scale_shift_gelu_scale_shift_clip"])
def scale_shift_gelu_scale_shift_clip(x, scale, shift, gain, offset, *, limit=6.0, out=None):
    """GELU between two scalings, cut off at ±limit, in one pass: what is left of batch norm, activation, batch norm and
    the clipping before quantisation (Ioffe and Szegedy, arXiv:1502.03167; Krishnamoorthi, arXiv:1806.08342).

    The steps are those of :func:`scale_shift_gelu_scale_shift_clip_fused`, on vectors of float32 as wide as the
    registers, with GELU in its form by tanh. Six operations then cost the arithmetic of one GELU, and the traffic of a
    copy. The error before clipping is at most 2⁻²⁰ · (|v·gain| + |offset|), v being the result of GELU, beside what
    GELU makes of the rounding of its argument. float64 is done by :func:`scale_shift_gelu_scale_shift_clip_fused`.

    Args:
        x: shape (..., N), float32 or float64; NumPy array or torch tensor on the CPU.
        scale, shift, gain, offset: shape (N,), of the same dtype and kind.
        limit: results lie between -limit and limit.
        out: shape of x, filled and returned where given; it may be x itself.

    Returns:
        The shape, dtype and kind of x; nan where that is the result.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; ``limit`` is no number.
        ValueError: shapes do not fit, ``limit`` is below 0, a tensor is not on the CPU, or ``out`` cannot be written
            without harm.
    """
    x, out, limit = as_rows(x), as_rows(out), x.dtype.type(limit)
    kernel = _vectors if x.dtype == np.float32 else _fused
    split(lambda i, j: kernel(x[i:j], scale, shift, gain, offset, limit, out[i:j]), *rows_and_grain(x))
