"""Bias and GELU: in two passes over memory, fused into one with a cheaper tanh, and on whole vectors."""

from math import erf, exp, pi, sqrt, tanh

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.rows import grain, with_bias
from coursekit.kernels.cpu.simd import broadcast, fma
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.cpu.vector_math import exp_normal, normal_cdf
from coursekit.kernels.ops import OPS

SQRT_HALF = sqrt(0.5)
SQRT_2_OVER_PI = sqrt(2 / pi)


@compiled
def _gelu(v, by_tanh):
    """GELU of one number by its definition, in float64 whatever v is: the constants are float64."""
    if by_tanh:
        return 0.5 * v * (1.0 + tanh(SQRT_2_OVER_PI * (v + 0.044715 * v * v * v)))
    return 0.5 * v * (1.0 + erf(SQRT_HALF * v))


@compiled
def _two_passes(x, bias, by_tanh, out):
    rows, N = x.shape
    shifted = np.empty_like(out)
    for m in range(rows):
        for n in range(N):
            shifted[m, n] = x[m, n] + bias[n]
    for m in range(rows):
        for n in range(N):
            out[m, n] = _gelu(shifted[m, n], by_tanh)


@boundary(OPS["bias_gelu"])
def bias_gelu_textbook(x, bias, *, approximate="none", out=None):
    """:func:`bias_gelu` as a network says it: first add the bias, then apply the activation.

    x + bias is written to memory and read back, so twice as many bytes move as have to. That is hard to
    see here: erf and tanh, called for one number at a time, cost far more than the bytes.
    """
    N = bias.size
    rows = x.size // max(N, 1)
    _two_passes(x.reshape(rows, N), bias, approximate == "tanh", out.reshape(rows, N))


@compiled
def _fused_erf(x, bias, out):
    number = x.dtype.type
    half, one, factor = number(0.5), number(1), number(SQRT_HALF)
    for m in range(x.shape[0]):
        for n in range(x.shape[1]):
            v = x[m, n] + bias[n]
            out[m, n] = half * v * (one + erf(factor * v))


@compiled
def _fused_tanh(x, bias, out):
    number = x.dtype.type
    one, factor, cubic = number(1), number(-2 * SQRT_2_OVER_PI), number(0.044715)
    for m in range(x.shape[0]):
        for n in range(x.shape[1]):
            v = x[m, n] + bias[n]
            out[m, n] = v / (one + exp(factor * (v + cubic * v * v * v)))


@boundary(OPS["bias_gelu"])
def bias_gelu_fused(x, bias, *, approximate="none", out=None):
    """:func:`bias_gelu` in one pass, a number at a time.

    x + bias stays in a register, and float32 is computed in float32. ½(1 + tanh u) is 1 / (1 + exp(-2u)),
    and exp is several times cheaper than tanh; erf has no such form, and is what is left to pay.
    """
    N = bias.size
    rows = x.size // max(N, 1)
    kernel = _fused_tanh if approximate == "tanh" else _fused_erf
    kernel(x.reshape(rows, N), bias, out.reshape(rows, N))


@compiled(inline=True)
def _gelu_by_cdf(v):
    return v * normal_cdf(v)


@compiled(inline=True)
def gelu_by_tanh(v):
    """GELU of a vector of float32."""
    cubic = fma(v * v, broadcast(np.float32(0.044715)) * v, v)
    return v / (broadcast(np.float32(1)) + exp_normal(cubic * broadcast(np.float32(-2 * SQRT_2_OVER_PI))))


_vectors_by_cdf, _vectors_by_tanh = with_bias(_gelu_by_cdf), with_bias(gelu_by_tanh)


@boundary(OPS["bias_gelu"])
def bias_gelu(x, bias, *, approximate="none", out=None):
    """GELU(x + bias) in one pass: Hendrycks and Gimpel, "Gaussian Error Linear Units", arXiv:1606.08415.

    x + bias stays in a register, as in :func:`bias_gelu_fused`, on vectors of float32 as wide as the registers. What
    is multiplied with v is Φ(v) = ½(1 + erf(v/√2)) itself, as one polynomial, with a branch for neither small nor large
    v: the error is at most 1.7e-6 + 1e-6·|result|. The form by tanh is right to 1e-6·|result| for v > -3, and to 1e-7
    below. float64 is done by :func:`bias_gelu_fused`.

    Args:
        x: shape (..., N), float32 or float64; NumPy array or torch tensor on the CPU.
        bias: shape (N,), of the same dtype and kind.
        approximate: ``"none"`` for v·Φ(v) by erf, ``"tanh"`` for the paper's approximation.
        out: shape of x, filled and returned where given; it may be x itself.

    Returns:
        The shape, dtype and kind of x.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, ``approximate`` is neither, a tensor is not on the CPU, or ``out``
            cannot be written without harm.
    """
    N = bias.size
    rows = x.size // max(N, 1)
    if x.dtype == np.float32:
        kernel = _vectors_by_tanh if approximate == "tanh" else _vectors_by_cdf
    else:
        kernel = _fused_tanh if approximate == "tanh" else _fused_erf
    x, out = x.reshape(rows, N), out.reshape(rows, N)
    split(lambda i, j: kernel(x[i:j], bias, out[i:j]), rows, grain(N))
