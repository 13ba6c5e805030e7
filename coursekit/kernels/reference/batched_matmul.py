"""Products of many pairs of matrices, by torch."""

import torch

from coursekit.kernels.ops import OPS
from coursekit.kernels.reference.arrays import boundary


@boundary(OPS["batched_matmul"])
def batched_matmul(a, b, *, out=None):
    """The matrix product of each pair of matrices.

    Args:
        a: shape (..., M, K), float32 or float64; NumPy array or torch tensor.
        b: shape (..., K, N), of the same leading dimensions, dtype and kind.
        out: shape (..., M, N), filled and returned where given; it must not share memory with a or b.

    Returns:
        Shape (..., M, N), of the inputs' dtype and kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, or ``out`` cannot be written without harm.
    """
    torch.matmul(a, b, out=out)
