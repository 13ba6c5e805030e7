"""Layer norm, by torch, alone and after a residual connection. Its function has no ``out``, so the result is copied."""

import torch
from torch.nn.functional import layer_norm as norm_of

from coursekit.kernels.ops import OPS
from coursekit.kernels.reference.arrays import boundary


def _norm(x, weight, bias, eps):
    return norm_of(x, weight.shape, weight, bias, float(eps)) if x.numel() else x


@boundary(OPS["layer_norm"])
def layer_norm(x, weight, bias, *, eps=1e-5, out=None):
    """(x - mean) / √(variance + eps) · weight + bias along the last axis.

    Args:
        x: shape (..., N), float32 or float64; NumPy or torch.
        weight, bias: shape (N,), of the same dtype and kind.
        eps: added to the variance.
        out: shape of x, filled and returned where given; it may be x itself.

    Returns:
        The result, of the shape, dtype and kind of x.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; ``eps`` is no number.
        ValueError: shapes do not fit, ``eps`` is below 0, or ``out`` cannot be written without harm.
    """
    out.copy_(_norm(x, weight, bias, eps))


@boundary(OPS["add_layer_norm"])
def add_layer_norm(x, residual, weight, bias, *, eps=1e-5, out=None):
    """x + residual, and the layer norm of that.

    Args:
        x, residual: shape (..., N), float32 or float64; NumPy or torch.
        weight, bias: shape (N,), of the same dtype and kind.
        eps: added to the variance.
        out: a tuple of two arrays of the shape of x, filled and returned where given; one may be x or residual.

    Returns:
        The sum and the norm, of the shape, dtype and kind of x.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; ``eps`` is no number.
        ValueError: shapes do not fit, ``eps`` is below 0, or ``out`` cannot be written without harm.
    """
    total, norm = out
    torch.add(x, residual, out=total)
    norm.copy_(_norm(total, weight, bias, eps))
