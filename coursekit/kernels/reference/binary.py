"""Signs as bits and products of them, by torch, which has neither: the product is one of floats."""

import torch

from coursekit.kernels.ops import OPS
from coursekit.kernels.ops.binary import BITS
from coursekit.kernels.reference.arrays import boundary


@boundary(OPS["pack_signs"])
def pack_signs(x, *, out=None):
    """The signs of the rows of ``x`` as bits, 64 to a word: 1 where x ≥ 0.

    Args:
        x: shape (M, K), float32 or float64; NumPy array or torch tensor.
        out: shape (M, ⌈K/64⌉), uint64, filled and returned where given; it must not share memory with x.

    Returns:
        Shape (M, ⌈K/64⌉), uint64, of the kind of x.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, or ``out`` cannot be written without harm.
    """
    bits = x.new_zeros((*out.shape, BITS), dtype=torch.int64)
    bits.view(len(x), out.shape[1] * BITS)[:, : x.shape[1]] = x >= 0
    # Of different bits, the sum is their union; the highest one is the sign.
    out.copy_((bits << torch.arange(BITS, device=x.device)).sum(2).view(torch.uint64))


@boundary(OPS["binary_matmul"])
def binary_matmul(a, b, *, k=0, out=None):
    """The products of rows of ±1 that were packed as bits, by a product of floats, exact up to 2²⁴ entries.

    Args:
        a: shape (M, W), uint64; NumPy array or torch tensor.
        b: shape (N, W), uint64, of the same kind.
        k: how many entries a row has; 0 for 64·W.
        out: shape (M, N), int32, filled and returned where given; it must not share memory with a or b.

    Returns:
        Shape (M, N), int32, of the inputs' kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; ``k`` is no int.
        ValueError: shapes do not fit, ``k`` does not fit them, or ``out`` cannot be written without harm.
    """
    all_bits = BITS * a.shape[1]
    product = _unpacked(a) @ _unpacked(b).T
    out.copy_(product.int() + ((k or all_bits) - all_bits))


def _unpacked(words):
    """Bits as ±1 in float32."""
    shifts = torch.arange(BITS, device=words.device)
    bits = (words.contiguous().view(torch.int64)[:, :, None] >> shifts) & 1
    return (2 * bits - 1).float().reshape(len(words), words.shape[1] * BITS)
