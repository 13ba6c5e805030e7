"""How often values occur, and a step of k-means on a line, by torch."""

import torch

from coursekit.kernels.ops import OPS
from coursekit.kernels.reference.arrays import boundary


@boundary(OPS["histogram"])
def histogram(x, *, bins=256, low=0.0, high=1.0, out=None):
    """How many numbers fall into each of ``bins`` equal parts of the range from ``low`` to ``high``.

    torch.histc rounds in another order, so that a number beside a border may fall on its other side.

    Args:
        x: any shape, float32 or float64; NumPy array or torch tensor.
        bins: how many, 1 to 65536.
        low, high: the range; ``high`` itself belongs to the last bin.
        out: shape (bins,), int64, filled and returned where given; it must not share memory with x.

    Returns:
        Shape (bins,), int64, of the kind of x.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; an option is no number.
        ValueError: ``bins`` is out of range, ``low`` not below ``high`` or either not finite, or ``out`` cannot be
            written without harm.
    """
    start, end, scale = (
        torch.tensor(v, dtype=x.dtype, device=x.device) for v in (low, high, bins / (high - low))
    )
    x = x[(x >= start) & (x <= end)]
    out.copy_(torch.bincount(((x - start) * scale).clamp(max=bins - 1).long(), minlength=bins))


@boundary(OPS["kmeans_step"])
def kmeans_step(x, centres, *, out=None):
    """One step of Lloyd's algorithm for numbers.

    Args:
        x: shape (N,), float32 or float64; NumPy array or torch tensor.
        centres: shape (C,), of the same dtype and kind, one or more, in any order.
        out: a tuple of two arrays as below, filled and returned where given.

    Returns:
        The number of the nearest centre of each x, (N,) int32, -1 for nan; and the means of those that have the same
        one, (C,), of the dtype of x. A centre that is nobody's nearest stays where it is.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, there is no centre, or ``out`` cannot be written without harm.
    """
    ordered, order = centres.sort(stable=True)
    borders = ordered[:-1] * 0.5 + ordered[1:] * 0.5
    nearest = order[torch.bucketize(x.contiguous(), borders, right=True).clamp_(max=len(centres) - 1)]
    # A cell more, for nan.
    nearest = torch.where(x.isnan(), len(centres), nearest)
    counts = torch.bincount(nearest, minlength=len(centres) + 1)[:-1]
    sums = x.new_zeros(len(centres) + 1, dtype=torch.float64).index_add_(0, nearest, x.double())[:-1]
    assignment, means = out
    assignment.copy_(torch.where(x.isnan(), -1, nearest))
    means.copy_(torch.where(counts > 0, sums / counts.clamp(min=1), centres))
