"""What makes one number of each row, by torch."""

import torch

from coursekit.kernels.ops import OPS
from coursekit.kernels.reference.arrays import boundary


@boundary(OPS["log_sum_exp"])
def log_sum_exp(x, *, out=None):
    """log Σ exp(x) along the last axis.

    Args:
        x: shape (..., N), float32 or float64; NumPy array or torch tensor.
        out: shape (...), filled and returned where given; it must not share memory with x.

    Returns:
        Shape (...), of the dtype and kind of x. A row of -inf, or of nothing, gives -inf.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: x has no dimension, or ``out`` cannot be written without harm.
    """
    torch.logsumexp(x, -1, out=out)


@boundary(OPS["reduce"])
def reduce(x, *, by="sum", out=None):
    """The sum, mean or maximum along the last axis.

    Args:
        x: shape (..., N), float32 or float64; NumPy array or torch tensor.
        by: ``"sum"``, ``"mean"`` or ``"max"``.
        out: shape (...), filled and returned where given; it must not share memory with x.

    Returns:
        Shape (...), of the dtype and kind of x. Of no numbers the sum is 0, the mean nan and the maximum -inf.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: x has no dimension, ``by`` is none of the three, or ``out`` cannot be written without harm.
    """
    if by != "max":
        (torch.sum if by == "sum" else torch.mean)(x, -1, out=out)
    elif x.shape[-1]:
        torch.amax(x, -1, out=out)
    else:
        out.fill_(-torch.inf)
