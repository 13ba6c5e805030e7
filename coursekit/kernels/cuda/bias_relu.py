"""Bias and ReLU: in two passes over memory, fused into one, and with four columns for each thread."""

from numba import cuda

from coursekit.kernels.cuda import pointwise
from coursekit.kernels.cuda.arrays import boundary
from coursekit.kernels.cuda.elementwise import relu_of
from coursekit.kernels.ops import OPS


@cuda.jit(device=True)
def _biased(x, b):
    return x + b


add_bias = pointwise.of_columns(__name__, "add_bias", _biased)
_activate = pointwise.of_numbers(__name__, "activate", relu_of)


@boundary(OPS["bias_relu"])
def bias_relu_textbook(x, bias, *, out=None):
    """:func:`bias_relu` as a network says it: first add the bias, then apply the activation.

    Two launches: x + bias is written to memory and read back, so 16 bytes move for each number where 8 have to.
    """
    pointwise.run_numbers(add_bias, x, bias, out=out)
    pointwise.run_numbers(_activate, out, out=out)


@cuda.jit(device=True)
def _of_sum(x, b):
    return relu_of(x + b)


_fused = pointwise.of_columns(__name__, "fused", _of_sum)


@boundary(OPS["bias_relu"])
def bias_relu_fused(x, bias, *, out=None):
    """:func:`bias_relu` in one pass: x + bias stays in a register, and half of the bytes need not move.

    A thread has one number, and finds its bias by the remainder of a division, some dozens of instructions for one
    addition and one comparison.
    """
    pointwise.run_numbers(_fused, x, bias, out=out)


_fours = pointwise.of_columns_of_fours(__name__, "fused", _of_sum)


@boundary(OPS["bias_relu"])
def bias_relu(x, bias, *, out=None):
    """max(x + bias, 0) in one pass: Nair and Hinton, "Rectified Linear Units Improve Restricted Boltzmann Machines",
    ICML 2010.

    A thread keeps to four columns, whose bias it loads once, and goes down the rows with loads and stores of 128 bits:
    no division, and a quarter of the instructions for the same bytes. float64, rows whose length is no multiple of
    four, and arrays that begin at no multiple of 16 bytes are done by :func:`bias_relu_fused`. The sum is rounded once;
    nan stays nan.

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
