"""Linear layers with weights of four bits, by torch in float32: unpacked first."""

import torch
from torch.nn import functional

from coursekit.kernels.ops import OPS
from coursekit.kernels.ops.integer import GROUP, LARGEST
from coursekit.kernels.reference.arrays import boundary


@boundary(OPS["pack_int4"])
def pack_int4(weight, *, out=None):
    """A weight in integers of four bits, with a scale for each 32 neighbours of a row.

    Args:
        weight: shape (N, K), float32, finite; NumPy array or torch tensor.
        out: a tuple of two arrays shaped as below, filled and returned where given.

    Returns:
        The integers + 8, uint8 (⌈N/16⌉, 16⌈K/32⌉, 16), the even k in the low bits; the scales, (⌈N/16⌉, ⌈K/32⌉, 16).

    Raises:
        TypeError: weight is no array, or of another dtype.
        ValueError: weight has not two dimensions, or ``out`` cannot be written without harm.
    """
    packed, scales = out
    P, G, panel = scales.shape
    if not scales.numel():
        return
    N, K = weight.shape
    padded = functional.pad(weight.double(), (0, G * GROUP - K, 0, P * panel - N))
    groups = padded.reshape(P, panel, G, GROUP).permute(0, 2, 3, 1)
    scales.copy_(groups.abs().amax(2) / LARGEST)
    divisor = torch.where(scales > 0, scales, 1).double()
    numbers = ((groups / divisor[:, :, None]).round() + 8).to(torch.uint8).reshape(P, -1, 2, panel)
    packed.copy_(numbers[:, :, 0] | numbers[:, :, 1] << 4)


def unpack_int4(packed, scales, N, K):
    """The weight (N, K) that the packed numbers and scales stand for, in the dtype of the scales."""
    P, H, panel = packed.shape
    numbers = torch.stack([packed & 15, packed >> 4], 2).reshape(P, 2 * H, panel).to(scales.dtype) - 8
    weight = numbers * scales.repeat_interleave(GROUP, 1)
    return weight.transpose(1, 2).reshape(P * panel, 2 * H)[:N, :K]


@boundary(OPS["int4_linear"])
def int4_linear(x, packed, scales, bias, *, out=None):
    """x · weightᵀ + bias, the weight being what :func:`pack_int4` gave.

    Args:
        x: shape (M, K), float32; NumPy array or torch tensor.
        packed: shape (⌈N/16⌉, 16⌈K/32⌉, 16), uint8, of the same kind.
        scales: shape (⌈N/16⌉, ⌈K/32⌉, 16), float32, of the same kind.
        bias: shape (N,), float32, of the same kind.
        out: shape (M, N), filled and returned where given; it must not share memory with the others.

    Returns:
        Shape (M, N), float32, of the inputs' kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, or ``out`` cannot be written without harm.
    """
    torch.addmm(bias, x, unpack_int4(packed, scales, len(bias), x.shape[1]).T, out=out)
