"""Convolution of images, by torch: oneDNN on a CPU."""

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
