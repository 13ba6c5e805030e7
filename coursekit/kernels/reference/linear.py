"""Linear layers, by torch, which packs weights in its own ways: packed ones are unpacked first."""

import torch
from torch.nn import functional

from coursekit.kernels.ops import OPS
from coursekit.kernels.reference.arrays import boundary


@boundary(OPS["linear"])
def linear(x, weight, bias=None, *, out=None):
    """x · weightᵀ + bias, as torch.nn.functional.linear.

    Args:
        x: shape (M, K), float32 or float64; NumPy array or torch tensor.
        weight: shape (N, K), of the same dtype and kind.
        bias: shape (N,), of the same dtype and kind; none where left out.
        out: shape (M, N), filled and returned where given; it must not share memory with the others.

    Returns:
        Shape (M, N), of the inputs' dtype and kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, or ``out`` cannot be written without harm.
    """
    if bias is None:
        torch.mm(x, weight.T, out=out)
    else:
        torch.addmm(bias, x, weight.T, out=out)


@boundary(OPS["pack_linear"])
def pack_linear(weight, *, out=None):
    """The rows of a weight in panels of 16, as :func:`linear_packed` reads them.

    Args:
        weight: shape (N, K), float32 or float64; NumPy array or torch tensor.
        out: shape (⌈N/16⌉, K, 16), filled and returned where given; it must not share memory with weight.

    Returns:
        Shape (⌈N/16⌉, K, 16), of the dtype and kind of weight, with zeros for the rows beyond N.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: weight has not two dimensions, or ``out`` cannot be written without harm.
    """
    P, K, panel = out.shape
    padded = functional.pad(weight, (0, 0, 0, P * panel - weight.shape[0]))
    out.copy_(padded.reshape(P, panel, K).transpose(1, 2))


def unpack_linear(panels, N):
    """The weight (N, K) that :func:`pack_linear` packed."""
    P, K, panel = panels.shape
    return panels.transpose(1, 2).reshape(P * panel, K)[:N]


@boundary(OPS["linear_packed"])
def linear_packed(x, panels, bias, *, out=None):
    """x · weightᵀ + bias, the weight being packed by :func:`pack_linear`.

    Args:
        x: shape (M, K), float32 or float64; NumPy array or torch tensor.
        panels: shape (⌈N/16⌉, K, 16), of the same dtype and kind.
        bias: shape (N,), of the same dtype and kind.
        out: shape (M, N), filled and returned where given; it must not share memory with the others.

    Returns:
        Shape (M, N), of the inputs' dtype and kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, or ``out`` cannot be written without harm.
    """
    torch.addmm(bias, x, unpack_linear(panels, len(bias)).T, out=out)
