"""Bias and SiLU: in two passes over memory, fused into one, and with four columns for each thread."""

from numba import cuda

from coursekit.kernels.cuda import pointwise
from coursekit.kernels.cuda.arrays import boundary
from coursekit.kernels.cuda.bias_relu import add_bias
from coursekit.kernels.cuda.elementwise import silu_of
from coursekit.kernels.ops import OPS

_activate = pointwise.of_numbers(__name__, "activate", silu_of)


@boundary(OPS["bias_silu"])
def bias_silu_textbook(x, bias, *, out=None):
    """:func:`bias_silu` as a network says it: first add the bias, then apply the activation.

    Two launches: x + bias is written to memory and read back, so 16 bytes move for each number where 8 have to.
    """
    pointwise.run_numbers(add_bias, x, bias, out=out)
    pointwise.run_numbers(_activate, out, out=out)


@cuda.jit(device=True)
def _of_sum(x, b):
    return silu_of(x + b)


_fused = pointwise.of_columns(__name__, "fused", _of_sum)


@boundary(OPS["bias_silu"])
def bias_silu_fused(x, bias, *, out=None):
    """:func:`bias_silu` in one pass: x + bias stays in a register, and half of the bytes need not move."""
    pointwise.run_numbers(_fused, x, bias, out=out)


_fours = pointwise.of_columns_of_fours(__name__, "fused", _of_sum)


@boundary(OPS["bias_silu"])
def bias_silu(x, bias, *, out=None):
    """v / (1 + exp(-v)) with v = x + bias, in one pass: Elfwing, Uchibe and Doya, "Sigmoid-Weighted Linear Units for
    Neural Network Function Approximation in Reinforcement Learning", arXiv:1702.03118.

    A thread keeps to four columns, whose bias it loads once, and goes down the rows with loads and stores of 128 bits,
    as in :func:`bias_relu`. float64, rows whose length is no multiple of four, and arrays that begin at no multiple of
    16 bytes are done by :func:`bias_silu_fused`. In float32 the result is right to 4 units in the last place, and 0
    where v is below -88.

    Args:
        x: shape (..., N), float32 or float64; NumPy array, device array, or torch tensor on the GPU.
        bias: shape (N,), of the same dtype and kind.
        out: shape of x, filled and returned where given; it may be x itself.

    Returns:
        The shape, dtype and kind of x.

    Raises:
        RuntimeError: there is no GPU, and the simulator is off.
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, a tensor is not on the GPU, or ``out`` cannot be written without harm.
    """
    pointwise.run_biased(_fours, _fused, x, bias, out)
