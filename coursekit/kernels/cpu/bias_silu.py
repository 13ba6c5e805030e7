"""Bias and SiLU: in two passes over memory, fused into one, and on whole vectors."""

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.rows import as_rows, in_one_pass, in_two_passes, rows_and_grain, with_bias
from coursekit.kernels.cpu.simd import broadcast
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.cpu.vector_math import exp_normal
from coursekit.kernels.ops import OPS


@compiled(inline=True)
def _of_number(v):
    return v / (type(v)(1) + np.exp(-v))


_two_passes, _fused = in_two_passes(_of_number), in_one_pass(_of_number)


@boundary(OPS["bias_silu"])
def bias_silu_textbook(x, bias, *, out=None):
    """:func:`bias_silu` as a network says it: first add the bias, then apply the activation.

    x + bias is written to memory and read back, so twice as many bytes move as have to.
    """
    _two_passes(as_rows(x), bias, as_rows(out))


@boundary(OPS["bias_silu"])
def bias_silu_fused(x, bias, *, out=None):
    """:func:`bias_silu` in one pass: x + bias stays in a register. What is left to pay
    is exp, called for one number at a time."""
    _fused(as_rows(x), bias, as_rows(out))


@compiled(inline=True)
def _silu(v):
    return v / (broadcast(np.float32(1)) + exp_normal(v * broadcast(np.float32(-1))))


_vectors = with_bias(_silu)


@boundary(OPS["bias_silu"])
def bias_silu(x, bias, *, out=None):
    """v / (1 + exp(-v)) with v = x + bias, in one pass: Elfwing, Uchibe and Doya, "Sigmoid-Weighted Linear Units for
    Neural Network Function Approximation in Reinforcement Learning", arXiv:1702.03118.

    The step is that of :func:`bias_silu_fused`, on vectors of float32 as wide as the registers: exp is a polynomial
    there. The result is right to 2⁻²¹ of itself, and to 1e-36 below -87. float64 is done by :func:`bias_silu_fused`.

    Args:
        x: shape (..., N), float32 or float64; NumPy array or torch tensor on the CPU.
        bias: shape (N,), of the same dtype and kind.
        out: shape of x, filled and returned where given; it may be x itself.

    Returns:
        The shape, dtype and kind of x.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, a tensor is not on the CPU, or ``out`` cannot be written without harm.
    """
    x, out = as_rows(x), as_rows(out)
    kernel = _vectors if x.dtype == np.float32 else _fused
    split(lambda i, j: kernel(x[i:j], bias, out[i:j]), *rows_and_grain(x))
