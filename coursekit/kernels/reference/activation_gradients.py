"""The gradients of bias and activation, by the functions that torch.autograd calls."""

import torch

from coursekit.kernels.ops import OPS
from coursekit.kernels.reference.arrays import boundary


def _fill(backward, x, bias, grad, out, *how, **options):
    dx, db = out
    backward(grad, x + bias, *how, grad_input=dx, **options)
    torch.sum(dx.reshape(-1, len(bias)) if len(bias) else dx.new_empty(1, 0), 0, out=db)


@boundary(OPS["bias_relu_grad"])
def bias_relu_grad(x, bias, grad, *, out=None):
    """The gradients of max(x + bias, 0) with respect to x and bias.

    Args:
        x, grad: shape (..., N), float32 or float64; NumPy arrays or torch tensors.
        bias: shape (N,), of the same dtype and kind.
        out: a tuple of arrays of the shapes of x and bias; the first may be x or grad.

    Returns:
        The two gradients, of the dtype and kind of x.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, or ``out`` cannot be written without harm.
    """
    _fill(torch.ops.aten.threshold_backward.grad_input, x, bias, grad, out, 0)


@boundary(OPS["bias_silu_grad"])
def bias_silu_grad(x, bias, grad, *, out=None):
    """The gradients of v / (1 + exp(-v)), v = x + bias, with respect to x and bias.

    Args:
        x, grad: shape (..., N), float32 or float64; NumPy arrays or torch tensors.
        bias: shape (N,), of the same dtype and kind.
        out: a tuple of arrays of the shapes of x and bias; the first may be x or grad.

    Returns:
        The two gradients, of the dtype and kind of x.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, or ``out`` cannot be written without harm.
    """
    _fill(torch.ops.aten.silu_backward.grad_input, x, bias, grad, out)


@boundary(OPS["bias_gelu_grad"])
def bias_gelu_grad(x, bias, grad, *, approximate="none", out=None):
    """The gradients of GELU(x + bias) with respect to x and bias.

    Args:
        x, grad: shape (..., N), float32 or float64; NumPy arrays or torch tensors.
        bias: shape (N,), of the same dtype and kind.
        approximate: ``"none"`` for the form by erf, ``"tanh"`` for the paper's approximation.
        out: a tuple of arrays of the shapes of x and bias; the first may be x or grad.

    Returns:
        The two gradients, of the dtype and kind of x.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, ``approximate`` is neither, or ``out`` cannot be written without harm.
    """
    _fill(torch.ops.aten.gelu_backward.grad_input, x, bias, grad, out, approximate=approximate)
