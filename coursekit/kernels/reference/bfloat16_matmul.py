"""Products of bfloat16, by torch in float32; its own product of bfloat16 would round each result to 16 bits."""

import torch

from coursekit.kernels.ops import OPS
from coursekit.kernels.reference.arrays import boundary


@boundary(OPS["bfloat16_matmul"])
def bfloat16_matmul(a, b, *, out=None):
    """The matrix product of bfloat16, given by their bits, summed in float32.

    Args:
        a: shape (M, K), uint16; NumPy array as :func:`coursekit.kernels.bfloat16.to_bfloat16` gives it, or torch
            tensor: ``x.view(torch.uint16)`` of one of bfloat16.
        b: shape (K, N), uint16, of the same kind.
        out: shape (M, N), float32, filled and returned where given; it must not share memory with a or b.

    Returns:
        Shape (M, N), float32, of the inputs' kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, or ``out`` cannot be written without harm.
    """
    torch.mm(a.view(torch.bfloat16).float(), b.view(torch.bfloat16).float(), out=out)
