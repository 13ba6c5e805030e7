"""Convolution of images and its gradients, by torch: oneDNN on a CPU."""

import torch
from torch.nn import functional

from coursekit.kernels.ops import OPS
from coursekit.kernels.reference.arrays import boundary


@boundary(OPS["conv2d"])
def conv2d(x, weight, bias=None, *, stride=1, padding=0, dilation=1, groups=1, out=None):
    """The cross-correlation of images with filters, as :func:`torch.nn.functional.conv2d` has it.

    torch has no version that writes to ``out``, so its result is copied there.

    Args:
        x: shape (B, C, H, W), float32 or float64; NumPy array or torch tensor.
        weight: shape (K, C/groups, R, S), of the same dtype and kind.
        bias: shape (K,), or None for none.
        stride: pixels from one place of the filter to the next.
        padding: pixels of zeros on all four sides.
        dilation: pixels from one tap to the next.
        groups: the channels, and the filters, are cut into so many parts that know nothing of each other.
        out: shape (B, K, P, Q), filled and returned where given.

    Returns:
        Shape (B, K, P, Q) with P = (H + 2·padding − dilation·(R − 1) − 1) // stride + 1, and Q likewise.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; an option is no int.
        ValueError: shapes do not fit, or ``out`` cannot be written without harm.
    """
    if out.numel() and x.numel() and weight.numel():
        out.copy_(functional.conv2d(x, weight, bias, stride, padding, dilation, groups))
    else:  # torch refuses sums of nothing
        out.copy_(torch.zeros(()) if bias is None else bias[:, None, None])


@boundary(OPS["conv2d_grad_input"])
def conv2d_grad_input(grad, weight, *, size=(), stride=1, padding=0, dilation=1, groups=1, out=None):
    """What a small change of each pixel of conv2d's x does to a loss, given the gradient of its result.

    Args:
        grad: shape (B, K, P, Q), the gradient of the convolution's result, float32 or float64;
            NumPy array or torch tensor.
        weight: shape (K, C/groups, R, S), of the same dtype and kind.
        size: (H, W) of the images; () for the smallest that fits.
        stride: pixels from one place of the filter to the next.
        padding: pixels of zeros on all four sides.
        dilation: pixels from one tap to the next.
        groups: the channels, and the filters, are cut into so many parts that know nothing of each other.
        out: shape (B, C, H, W), filled and returned where given.

    Returns:
        Shape (B, C, H, W), of the inputs' dtype and kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; an option is of another type.
        ValueError: shapes or ``size`` do not fit, or ``out`` cannot be written without harm.
    """
    if grad.numel() and weight.numel():
        shape, ways = out.shape, (stride, padding, dilation, groups)
        out.copy_(torch.nn.grad.conv2d_input(shape, weight, grad, *ways))
    else:
        out.zero_()


@boundary(OPS["conv2d_grad_weight"])
def conv2d_grad_weight(grad, x, *, size=(), stride=1, padding=0, dilation=1, groups=1, out=None):
    """What a small change of each weight of conv2d does to a loss, given the gradient of its result.

    Args:
        grad: shape (B, K, P, Q), the gradient of the convolution's result, float32 or float64;
            NumPy array or torch tensor.
        x: shape (B, C, H, W), of the same dtype and kind.
        size: (R, S) of the filters; () for the smallest that fits.
        stride: pixels from one place of the filter to the next.
        padding: pixels of zeros on all four sides.
        dilation: pixels from one tap to the next.
        groups: the channels, and the filters, are cut into so many parts that know nothing of each other.
        out: shape (K, C/groups, R, S), filled and returned where given.

    Returns:
        Shape (K, C/groups, R, S), of the inputs' dtype and kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; an option is of another type.
        ValueError: shapes or ``size`` do not fit, or ``out`` cannot be written without harm.
    """
    if grad.numel() and x.numel():
        shape, ways = out.shape, (stride, padding, dilation, groups)
        out.copy_(torch.nn.grad.conv2d_weight(x, shape, grad, *ways))
    else:
        out.zero_()
