"""Softmax, by torch."""

import torch

from coursekit.kernels.ops import OPS
from coursekit.kernels.reference.arrays import boundary


@boundary(OPS["softmax"])
def softmax(x, *, axis=-1, out=None):
    """exp(x) / Σ exp(x) along an axis, safe for large and infinite entries.

    Args:
        x: any shape of one dimension or more, float32 or float64; NumPy array or torch tensor.
        axis: the dimension whose entries sum to 1 in the result.
        out: shape of x, filled and returned where given; it may be x itself.

    Returns:
        The shape, dtype and kind of x. A row of nothing but -inf gives nan.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; ``axis`` is no int.
        ValueError: ``axis`` is out of range, or ``out`` does not fit or cannot be written without harm.
    """
    torch.softmax(x, axis, out=out)
