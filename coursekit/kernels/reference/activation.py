"""Bias and activation, and a chain of operations, by torch: a pass over memory for each, as eager torch makes them."""

import torch
from torch._C._nn import gelu
from torch.nn.functional import silu

from coursekit.kernels.ops import OPS
from coursekit.kernels.reference.arrays import boundary


@boundary(OPS["bias_relu"])
def bias_relu(x, bias, *, out=None):
    """max(x + bias, 0).

    Args:
        x: shape (..., N), float32 or float64; NumPy array or torch tensor.
        bias: shape (N,), of the same dtype and kind.
        out: shape of x, filled and returned where given; it may be x itself.

    Returns:
        The shape, dtype and kind of x.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, or ``out`` cannot be written without harm.
    """
    torch.add(x, bias, out=out).relu_()


@boundary(OPS["bias_silu"])
def bias_silu(x, bias, *, out=None):
    """v / (1 + exp(-v)) with v = x + bias.

    Args:
        x: shape (..., N), float32 or float64; NumPy array or torch tensor.
        bias: shape (N,), of the same dtype and kind.
        out: shape of x, filled and returned where given; it may be x itself.

    Returns:
        The shape, dtype and kind of x.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, or ``out`` cannot be written without harm.
    """
    silu(torch.add(x, bias, out=out), inplace=True)


@boundary(OPS["scale_shift_gelu_scale_shift_clip"])
def scale_shift_gelu_scale_shift_clip(x, scale, shift, gain, offset, *, limit=6.0, out=None):
    """GELU between two scalings, cut off at ±limit.

    Args:
        x: shape (..., N), float32 or float64; NumPy array or torch tensor.
        scale, shift, gain, offset: shape (N,), of the same dtype and kind.
        limit: results lie between -limit and limit.
        out: shape of x, filled and returned where given; it may be x itself.

    Returns:
        The shape, dtype and kind of x.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; ``limit`` is no number.
        ValueError: shapes do not fit, ``limit`` is below 0, or ``out`` cannot be written without harm.
    """
    torch.mul(x, scale, out=out).add_(shift)
    gelu(out, approximate="tanh", out=out).mul_(gain).add_(offset).clamp_(-limit, limit)
