"""Matrix product, by torch: MKL or OpenBLAS on a CPU."""

import torch

from coursekit.kernels.ops import OPS
from coursekit.kernels.reference.arrays import boundary


@boundary(OPS["matmul"])
def matmul(a, b, *, out=None):
    """The matrix product of ``a`` and ``b``.

    Args:
        a: shape (M, K), float32 or float64; NumPy array or torch tensor.
        b: shape (K, N), of the same dtype and kind.
        out: shape (M, N), filled and returned where given; it must not share memory with a or b.

    Returns:
        Shape (M, N), of the inputs' dtype and kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, or ``out`` cannot be written without harm.
    """
    torch.mm(a, b, out=out)
