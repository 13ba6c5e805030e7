"""The gradients of bias and activation: in passes over memory, in one pass, and on whole vectors.

With v = x + bias, that of x is grad · slope(v), and that of the bias is its sum over the rows. What differs between
activations is the slope alone; each is here once for numbers and once for vectors.
"""

from math import erf, exp, pi, sqrt, tanh

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.bias_gelu import SQRT_2_OVER_PI, SQRT_HALF
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.layer_norm_grad import BLOCK
from coursekit.kernels.cpu.rows import as_rows, grain, load_part, store_part
from coursekit.kernels.cpu.simd import broadcast, fma, maximum, minimum, select, width
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.cpu.vector_math import MINUS_ONE, ONE, ZERO, exp_below, exp_normal, normal_cdf
from coursekit.kernels.ops import OPS

DENSITY = 1 / sqrt(2 * pi)
CUBIC = 0.044715
FAR = 50.0
"""From here on each slope is that at infinity, to the last digit; v stops here, so that ∞ · 0 does not arise."""


@compiled(inline=True)
def _stop(v):
    return min(max(float(v), -FAR), FAR) if v == v else float(v)


@compiled(inline=True)
def _relu_of_one(v, g):
    return type(g)(0) if v <= 0 else g


@compiled(inline=True)
def _silu_of_one(v, g):
    v = _stop(v)
    share = 1 / (1 + exp(-v))
    return g * share * (1 + v * (1 - share))


@compiled(inline=True)
def _gelu_by_erf_of_one(v, g):
    v = _stop(v)
    return g * (0.5 * (1 + erf(SQRT_HALF * v)) + v * DENSITY * exp(-0.5 * v * v))


@compiled(inline=True)
def _gelu_by_tanh_of_one(v, g):
    v = _stop(v)
    t = tanh(SQRT_2_OVER_PI * (v + CUBIC * v * v * v))
    return g * (0.5 * (1 + t) + 0.5 * v * (1 - t * t) * SQRT_2_OVER_PI * (1 + 3 * CUBIC * v * v))


def _in_passes(pull):
    """A kernel of three passes; ``pull(v, g)`` is g · slope(v) of numbers."""

    @compiled
    def run(x, bias, grad, dx, db):
        shifted = np.empty_like(x)
        for m in range(x.shape[0]):
            for n in range(bias.size):
                shifted[m, n] = x[m, n] + bias[n]
        for m in range(x.shape[0]):
            for n in range(bias.size):
                dx[m, n] = pull(shifted[m, n], grad[m, n])
        for n in range(bias.size):
            total = 0.0
            for m in range(x.shape[0]):
                total += dx[m, n]
            db[n] = total

    return run


def _in_one_pass(pull):
    """A kernel of one pass, ``db`` being a row that stays in the cache."""

    @compiled
    def run(x, bias, grad, dx, db):
        sums = np.zeros(bias.size)
        for m in range(x.shape[0]):
            for n in range(bias.size):
                slope = pull(x[m, n] + bias[n], grad[m, n])
                dx[m, n] = slope
                sums[n] += slope
        db[:] = sums

    return run


def _on_vectors(pull):
    """A kernel on vectors; each block of rows has a row of ``parts`` for its share in the gradient of the bias."""

    @compiled(inline=True)
    def step(x, bias, grad, dx, share, start, at, i, left):
        v = load_part(x, start + i, left) + load_part(bias, i, left)
        slope = pull(v, load_part(grad, start + i, left))
        store_part(dx, start + i, slope, left)
        store_part(share, at + i, load_part(share, at + i, left) + slope, left)

    @compiled
    def run(x, bias, grad, dx, parts):
        M, N = x.shape
        n = width(x)
        x, grad, dx, share = x.reshape(-1), grad.reshape(-1), dx.reshape(-1), parts.reshape(-1)
        whole = N // n * n
        share[:] = 0
        for m in range(M):
            start, at = m * N, m // BLOCK * N
            for i in range(0, whole, n):
                step(x, bias, grad, dx, share, start, at, i, n)
            if whole < N:
                step(x, bias, grad, dx, share, start, at, whole, N - whole)

    return run


@compiled(inline=True)
def _relu_of_vector(v, g):
    zero = broadcast(ZERO)
    return select(v <= zero, zero, g)


@compiled(inline=True)
def _between(v, size):
    """v, but no further from 0 than ``size``; nan stays nan."""
    return minimum(broadcast(size), maximum(broadcast(-size), v))


SILU_FAR, ERF_FAR, TANH_FAR = np.float32(87), np.float32(13), np.float32(9.5)
"""The same for float32: beyond these, exp of the largest argument would not be a normal number."""


@compiled(inline=True)
def _silu_of_vector(v, g):
    # 1 - share is written as power · share, from which nothing cancels.
    v, one = _between(v, SILU_FAR), broadcast(ONE)
    power = exp_normal(v * broadcast(MINUS_ONE))
    share = one / (one + power)
    return g * share * fma(v, power * share, one)


@compiled(inline=True)
def _gelu_by_erf_of_vector(v, g):
    v = _between(v, ERF_FAR)
    density = exp_below(v * v * broadcast(np.float32(-0.5))) * broadcast(np.float32(DENSITY))
    return g * fma(v, density, normal_cdf(v))


@compiled(inline=True)
def _gelu_by_tanh_of_vector(v, g):
    # ½(1 + tanh u) is share = 1 / (1 + exp(-2u)), and ½(1 - tanh² u) is 2 · share · (1 - share).
    v, one = _between(v, TANH_FAR), broadcast(ONE)
    square = v * v
    argument = v * fma(square, broadcast(np.float32(CUBIC)), one) * broadcast(np.float32(-2 * SQRT_2_OVER_PI))
    slope = fma(square, broadcast(np.float32(3 * CUBIC)), one) * broadcast(np.float32(2 * SQRT_2_OVER_PI))
    power = exp_normal(argument)
    share = one / (one + power)
    return g * share * fma(v * slope, power * share, one)


def _kernels(of_number, of_vector):
    return _in_passes(of_number), _in_one_pass(of_number), _on_vectors(of_vector)


RELU = _kernels(_relu_of_one, _relu_of_vector)
SILU = _kernels(_silu_of_one, _silu_of_vector)
GELU = {
    "none": _kernels(_gelu_by_erf_of_one, _gelu_by_erf_of_vector),
    "tanh": _kernels(_gelu_by_tanh_of_one, _gelu_by_tanh_of_vector),
}


def _plain(kernel, x, bias, grad, out):
    kernel(as_rows(x), bias, as_rows(grad), as_rows(out[0]), out[1])


def _tuned(kernels, x, bias, grad, out):
    """Float32 on vectors and on threads, in blocks of rows that do not depend on how many there are."""
    if x.dtype != np.float32:
        return _plain(kernels[1], x, bias, grad, out)
    x, grad, dx = map(as_rows, (x, grad, out[0]))
    rows, N = x.shape
    parts = np.empty((-(-rows // BLOCK), N), x.dtype)

    def work(i, j):
        these = slice(i * BLOCK, min(j * BLOCK, rows))
        kernels[2](x[these], bias, grad[these], dx[these], parts[i:j])

    split(work, len(parts), grain(BLOCK, N))
    parts.sum(0, out=out[1])


@boundary(OPS["bias_relu_grad"])
def bias_relu_grad_textbook(x, bias, grad, *, out=None):
    """:func:`bias_relu_grad` as the chain rule says it: x + bias, then the slope, then the sum down each column.

    Three passes over memory, and the last one uses one number of each cache line that it loads.
    """
    _plain(RELU[0], x, bias, grad, out)


@boundary(OPS["bias_relu_grad"])
def bias_relu_grad_fused(x, bias, grad, *, out=None):
    """:func:`bias_relu_grad` in one pass, along the rows: the sums of all columns are one row, which stays in the
    cache."""
    _plain(RELU[1], x, bias, grad, out)


@boundary(OPS["bias_relu_grad"])
def bias_relu_grad(x, bias, grad, *, out=None):
    """The gradients of max(x + bias, 0) with respect to x and bias, from that with respect to the result: Nair and
    Hinton, "Rectified Linear Units Improve Restricted Boltzmann Machines", ICML 2010.

    One pass as in :func:`bias_relu_grad_fused`, on vectors. At x + bias = 0 the slope is 0, as in torch; where the sum
    is nan the gradient passes. The shares in the gradient of the bias are added up in blocks of 32 rows, and the blocks
    then in their order, so the bits do not depend on the threads: the error is at most (32 + M/32) · 2⁻²⁴ · Σ|dx| over
    M rows in float32, and dx is exact. float64 is done by :func:`bias_relu_grad_fused`.

    Args:
        x, grad: shape (..., N), float32 or float64; NumPy arrays or torch tensors on the CPU.
        bias: shape (N,), of the same dtype and kind.
        out: a tuple of arrays of the shapes of x and bias, filled and returned where given; the first may be x or grad.

    Returns:
        The two gradients, of the dtype and kind of x.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, a tensor is not on the CPU, or ``out`` cannot be written without harm.
    """
    _tuned(RELU, x, bias, grad, out)


@boundary(OPS["bias_silu_grad"])
def bias_silu_grad_textbook(x, bias, grad, *, out=None):
    """:func:`bias_silu_grad` by its formula, in three passes over memory; exp is called for one number at a time."""
    _plain(SILU[0], x, bias, grad, out)


@boundary(OPS["bias_silu_grad"])
def bias_silu_grad_fused(x, bias, grad, *, out=None):
    """:func:`bias_silu_grad` in one pass, along the rows; what is left to pay is exp."""
    _plain(SILU[1], x, bias, grad, out)


@boundary(OPS["bias_silu_grad"])
def bias_silu_grad(x, bias, grad, *, out=None):
    """The gradients of v / (1 + exp(-v)), v = x + bias, with respect to x and bias: Elfwing, Uchibe and Doya,
    arXiv:1702.03118, equation 8.

    One pass on vectors, with exp as a polynomial. The slope, between -0.1 and 1.1, is right to 1e-6, and at infinity it
    is 0 and 1. Sums go as in :func:`bias_relu_grad`. float64 is done by :func:`bias_silu_grad_fused`.

    Args:
        x, grad: shape (..., N), float32 or float64; NumPy arrays or torch tensors on the CPU.
        bias: shape (N,), of the same dtype and kind.
        out: a tuple of arrays of the shapes of x and bias, filled and returned where given; the first may be x or grad.

    Returns:
        The two gradients, of the dtype and kind of x.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, a tensor is not on the CPU, or ``out`` cannot be written without harm.
    """
    _tuned(SILU, x, bias, grad, out)


@boundary(OPS["bias_gelu_grad"])
def bias_gelu_grad_textbook(x, bias, grad, *, approximate="none", out=None):
    """:func:`bias_gelu_grad` by its formula, in three passes over memory, with erf and exp, or tanh, in float64."""
    _plain(GELU[approximate][0], x, bias, grad, out)


@boundary(OPS["bias_gelu_grad"])
def bias_gelu_grad_fused(x, bias, grad, *, approximate="none", out=None):
    """:func:`bias_gelu_grad` in one pass, along the rows; what is left to pay are the functions."""
    _plain(GELU[approximate][1], x, bias, grad, out)


@boundary(OPS["bias_gelu_grad"])
def bias_gelu_grad(x, bias, grad, *, approximate="none", out=None):
    """The gradients of GELU(x + bias) with respect to x and bias: Hendrycks and Gimpel, arXiv:1606.08415.

    The slope of v · Φ(v) is Φ(v) + v · φ(v), φ being the density: one polynomial for Φ, and one exp. That of the form
    by tanh takes one exp and one quotient. Both, between -0.2 and 1.2, are right to 2e-6, and at infinity they are
    0 and 1. Sums go as in :func:`bias_relu_grad`. float64 is done by :func:`bias_gelu_grad_fused`.

    Args:
        x, grad: shape (..., N), float32 or float64; NumPy arrays or torch tensors on the CPU.
        bias: shape (N,), of the same dtype and kind.
        approximate: ``"none"`` for the form by erf, ``"tanh"`` for the paper's approximation.
        out: a tuple of arrays of the shapes of x and bias, filled and returned where given; the first may be x or grad.

    Returns:
        The two gradients, of the dtype and kind of x.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, ``approximate`` is neither, a tensor is not on the CPU, or ``out``
            cannot be written without harm.
    """
    _tuned(GELU[approximate], x, bias, grad, out)
