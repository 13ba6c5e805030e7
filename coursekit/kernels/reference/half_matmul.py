"""Products of float16, by torch in float32; its own product of float16 would round each result to 16 bits."""

import torch

from coursekit.kernels.ops import OPS
from coursekit.kernels.reference.arrays import boundary


@boundary(OPS["half_matmul"])
def half_matmul(a, b, *, out=None):
    """The matrix product of float16, summed in float32.

    Args:
        a: shape (M, K), float16; NumPy array or torch tensor.
        b: shape (K, N), float16, of the same kind.
        out: shape (M, N), float32, filled and returned where given; it must not share memory with a or b.

    Returns:
        Shape (M, N), float32, of the inputs' kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, or ``out`` cannot be written without harm.
    """
    torch.mm(a.float(), b.float(), out=out)
