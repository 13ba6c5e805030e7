"""Pooling and its gradients, by torch. Its functions have no ``out``, so results are copied."""

import torch
from torch.nn import functional

from coursekit.kernels.ops import OPS
from coursekit.kernels.reference.arrays import boundary


@boundary(OPS["max_pool2d"])
def max_pool2d(x, *, kernel_size=2, stride=2, padding=0, out=None):
    """The largest pixel under each place of a square window, as :func:`torch.nn.functional.max_pool2d` has it.

    Args:
        x: shape (B, C, H, W), float32 or float64; NumPy array or torch tensor.
        kernel_size: the window's height and width.
        stride: pixels from one place of the window to the next.
        padding: how far the window may stand out on each side, half of it at most; what is there does not count.
        out: shape (B, C, P, Q), filled and returned where given.

    Returns:
        Shape (B, C, P, Q), of the inputs' dtype and kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; an option is of another type.
        ValueError: shapes or options do not fit, or ``out`` cannot be written without harm.
    """
    if x.numel():
        out.copy_(functional.max_pool2d(x, kernel_size, stride, padding))


@boundary(OPS["avg_pool2d"])
def avg_pool2d(x, *, kernel_size=2, stride=2, padding=0, out=None):
    """The mean of the pixels under each place of a square window, as :func:`torch.nn.functional.avg_pool2d` has it.

    Args:
        x: shape (B, C, H, W), float32 or float64; NumPy array or torch tensor.
        kernel_size: the window's height and width.
        stride: pixels from one place of the window to the next.
        padding: how far the window may stand out on each side, half of it at most; zeros are there, and count.
        out: shape (B, C, P, Q), filled and returned where given.

    Returns:
        Shape (B, C, P, Q), of the inputs' dtype and kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; an option is of another type.
        ValueError: shapes or options do not fit, or ``out`` cannot be written without harm.
    """
    if x.numel():
        out.copy_(functional.avg_pool2d(x, kernel_size, stride, padding))


@boundary(OPS["max_pool2d_grad"])
def max_pool2d_grad(grad, x, *, kernel_size=2, stride=2, padding=0, out=None):
    """What a small change of each pixel does to a loss, given the gradient of the result of max_pool2d.

    Args:
        grad: shape (B, C, P, Q), the gradient of the result, float32 or float64; NumPy array or torch tensor.
        x: shape (B, C, H, W), of the same dtype and kind.
        kernel_size: the window's height and width.
        stride: pixels from one place of the window to the next.
        padding: how far the window may stand out on each side, half of it at most; what is there does not count.
        out: shape (B, C, H, W), filled and returned where given.

    Returns:
        Shape (B, C, H, W), of the inputs' dtype and kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; an option is of another type.
        ValueError: shapes or options do not fit, or ``out`` cannot be written without harm.
    """
    if x.numel():
        how = ([kernel_size] * 2, [stride] * 2, [padding] * 2, [1, 1], False)
        _, indices = torch.ops.aten.max_pool2d_with_indices(x, *how)
        out.copy_(torch.ops.aten.max_pool2d_with_indices_backward(grad, x, *how, indices))


@boundary(OPS["avg_pool2d_grad"])
def avg_pool2d_grad(grad, *, size=(), kernel_size=2, stride=2, padding=0, out=None):
    """What a small change of each pixel does to a loss, given the gradient of the result of avg_pool2d.

    Args:
        grad: shape (B, C, P, Q), the gradient of the result, float32 or float64; NumPy array or torch tensor.
        size: (H, W) of the images; () for the smallest that fits.
        kernel_size: the window's height and width.
        stride: pixels from one place of the window to the next.
        padding: how far the window may stand out on each side, half of it at most; zeros are there, and count.
        out: shape (B, C, H, W), filled and returned where given.

    Returns:
        Shape (B, C, H, W), of the inputs' dtype and kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; an option is of another type.
        ValueError: shapes or options do not fit, or ``out`` cannot be written without harm.
    """
    if grad.numel():
        how = ([kernel_size] * 2, [stride] * 2, [padding] * 2, False, True, None)
        like = grad.new_empty(1).expand(out.shape)  # only its shape counts
        out.copy_(torch.ops.aten.avg_pool2d_backward(grad, like, *how))
