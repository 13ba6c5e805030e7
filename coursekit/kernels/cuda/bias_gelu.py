"""Bias and GELU: in two passes over memory, fused into one, and with four columns for each thread."""

import math

from numba import cuda

from coursekit.kernels.cuda import pointwise
from coursekit.kernels.cuda.arrays import boundary
from coursekit.kernels.cuda.bias_relu import add_bias
from coursekit.kernels.ops import OPS

SQRT_HALF = math.sqrt(0.5)
SQRT_2_OVER_PI = math.sqrt(2 / math.pi)


@cuda.jit(device=True)
def gelu_by_erf(v):
    # Constants of v's type: a float64 among float32 numbers would send all of it to the few
    # float64 units of a GPU.
    T = type(v)
    return T(0.5) * v * (T(1) + math.erf(T(SQRT_HALF) * v))


@cuda.jit(device=True)
def gelu_by_tanh(v):
    T = type(v)
    return T(0.5) * v * (T(1) + math.tanh(T(SQRT_2_OVER_PI) * (v + T(0.044715) * v * v * v)))


_activate = {
    "none": pointwise.of_numbers(__name__, "activate_by_erf", gelu_by_erf),
    "tanh": pointwise.of_numbers(__name__, "activate_by_tanh", gelu_by_tanh),
}


@boundary(OPS["bias_gelu"])
def bias_gelu_textbook(x, bias, *, approximate="none", out=None):
    """:func:`bias_gelu` as a network says it: first add the bias, then apply the activation.

    Two launches: x + bias is written to memory and read back, so 16 bytes move for each number where 8 have to.
    """
    pointwise.run_numbers(add_bias, x, bias, out=out)
    pointwise.run_numbers(_activate[approximate], out, out=out)


@cuda.jit(device=True)
def _erf_of_sum(x, b):
    return gelu_by_erf(x + b)


@cuda.jit(device=True)
def _tanh_of_sum(x, b):
    return gelu_by_tanh(x + b)


_fused = {
    "none": pointwise.of_columns(__name__, "erf", _erf_of_sum),
    "tanh": pointwise.of_columns(__name__, "tanh", _tanh_of_sum),
}


@boundary(OPS["bias_gelu"])
def bias_gelu_fused(x, bias, *, approximate="none", out=None):
    """:func:`bias_gelu` in one pass: x + bias stays in a register, and half of the bytes need not move."""
    pointwise.run_numbers(_fused[approximate], x, bias, out=out)


_fours = {
    "none": pointwise.of_columns_of_fours(__name__, "erf", _erf_of_sum),
    "tanh": pointwise.of_columns_of_fours(__name__, "tanh", _tanh_of_sum),
}


@boundary(OPS["bias_gelu"])
def bias_gelu(x, bias, *, approximate="none", out=None):
    """GELU(x + bias) in one pass: Hendrycks and Gimpel, "Gaussian Error Linear Units", arXiv:1606.08415.

    A thread keeps to four columns, whose bias it loads once, and goes down the rows with loads and stores of 128 bits,
    as in :func:`bias_relu`. float64, rows whose length is no multiple of four, and arrays that begin at no multiple of
    16 bytes are done by :func:`bias_gelu_fused`.

    Args:
        x: shape (..., N), float32 or float64; NumPy array, device array, or torch tensor on the GPU.
        bias: shape (N,), of the same dtype and kind.
        approximate: ``"none"`` for v·Φ(v) by erf, ``"tanh"`` for the paper's approximation.
        out: shape of x, filled and returned where given; it may be x itself.

    Returns:
        The shape, dtype and kind of x.

    Raises:
        RuntimeError: there is no GPU, and the simulator is off.
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, ``approximate`` is neither, a tensor is not on the GPU, or ``out``
            cannot be written without harm.
    """
    pointwise.run_biased(_fours[approximate], _fused[approximate], x, bias, out)
