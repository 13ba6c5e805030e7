"""Uniform quantisation: real = scale · (q - zero), for a tensor, each channel, or each group of a weight's row.

Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only inference",
CVPR 2018, section 2.1; Krishnamoorthi, "Quantizing deep convolutional networks", arXiv:1806.08342, section 2.
"""

from dataclasses import dataclass

import numpy as np
import torch

GRANULARITIES = ("tensor", "channel", "group")


@dataclass(frozen=True)
class Grid:
    """The numbers scale · (q - zero), for whole q from `low` to `high`.

    Attributes
    ----------
    scale : Tensor, float32
        Step between neighbours, above 0; of a shape that broadcasts with what is quantised.
    zero : Tensor, float32, of the same shape
        The whole number that stands for 0, which is therefore on the grid exactly.
    low, high : int
        The least and the largest q.
    """

    scale: torch.Tensor
    zero: torch.Tensor
    low: int
    high: int

    def quantise(self, x: torch.Tensor) -> torch.Tensor:
        """The nearest q of each number, ties to even; what lies beyond the ends goes to the end. int32."""
        return (torch.round(x / self.scale) + self.zero).clamp(self.low, self.high).to(torch.int32)

    def dequantise(self, q: torch.Tensor) -> torch.Tensor:
        """The numbers that whole q stand for, float32."""
        return (q - self.zero) * self.scale

    def project(self, x: torch.Tensor) -> torch.Tensor:
        """The nearest numbers of the grid: quantised and back ("fake quantisation")."""
        return self.dequantise(self.quantise(x))


def limits(bits: int, *, signed: bool) -> tuple[int, int]:
    """The least and the largest whole number: of 8 bits -127 and 127 where signed, else 0 and 255.

    Signed ones leave out the lowest, so that both signs reach equally far. ValueError unless bits is 2 to 16.
    """
    if isinstance(bits, bool) or not isinstance(bits, int) or not 2 <= bits <= 16:
        raise ValueError(f"bits must be a whole number from 2 to 16; got {bits!r}")
    most = 2 ** (bits - 1) - 1
    return (-most, most) if signed else (0, 2**bits - 1)


def grid(low, high, bits: int = 8, *, symmetric: bool = False) -> Grid:
    """The grid for numbers from `low` to `high`, which is widened to hold 0.

    Parameters
    ----------
    low, high : float or Tensor
        The ends of the range; tensors give a grid for each element.
    bits : int
        2 to 16.
    symmetric : bool
        True puts zero = 0 in the middle of signed integers. False uses all unsigned ones from `low` to `high`.

    Raises
    ------
    ValueError
        If an end is NaN or infinite, if low is above high, or for other bits.
    """
    low, high = (torch.as_tensor(end, dtype=torch.float32) for end in (low, high))
    if not (torch.isfinite(low).all() and torch.isfinite(high).all()):
        raise ValueError(f"a range must be finite; got {low} to {high}")
    if (low > high).any():
        raise ValueError(f"low must not be above high; got {low} and {high}")
    low, high = low.clamp(max=0), high.clamp(min=0)
    least, most = limits(bits, signed=symmetric)
    if symmetric:
        return Grid(_step(torch.maximum(-low, high), most), torch.zeros_like(low), least, most)
    scale = _step(high - low, most)
    return Grid(scale, torch.round(-low / scale).clamp(least, most), least, most)


def _step(width: torch.Tensor, steps: int) -> torch.Tensor:
    """width / steps, as a normal float32; 1 where the width is 0, as for a channel of zeros."""
    step = (width / steps).clamp(min=torch.finfo(torch.float32).tiny)
    return torch.where(width > 0, step, torch.ones_like(step))


def rows_of(weight: torch.Tensor, granularity: str = "channel", group: int = 64) -> torch.Tensor:
    """A weight as rows, one for each scale: shape (1, all), (channels, rest) or (channels · groups, group).

    Groups are neighbours within a channel; the last one of a channel is filled up with zeros.
    Raises ValueError for another granularity or a group below 1.
    """
    if granularity not in GRANULARITIES:
        raise ValueError(f"granularity must be one of {', '.join(GRANULARITIES)}; got {granularity!r}")
    if granularity == "tensor":
        return weight.reshape(1, -1)
    rows = weight.flatten(1)
    if granularity == "channel":
        return rows
    if isinstance(group, bool) or not isinstance(group, int) or group < 1:
        raise ValueError(f"group must be a whole number from 1; got {group!r}")
    return torch.nn.functional.pad(rows, (0, -rows.shape[1] % group)).reshape(-1, group)


def weight_of(rows: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """What `rows_of` was given: the rows joined again, without what filled them up."""
    if not len(shape) or rows.numel() == 0:
        return rows.reshape(shape)
    flat = rows.reshape(shape[0], -1) if rows.numel() % shape[0] == 0 else rows
    return flat[:, : int(np.prod(shape[1:]))].reshape(shape)


def pack_bits(codes: torch.Tensor, bits: int) -> torch.Tensor:
    """Whole numbers from 0 to 2^bits - 1, one behind the other without gaps, as bytes: uint8, (⌈n · bits / 8⌉,)."""
    places = np.arange(bits, dtype=np.uint16)
    stream = codes.reshape(-1, 1).cpu().numpy().astype(np.uint16) >> places & 1
    return torch.from_numpy(np.packbits(stream.astype(np.uint8).reshape(-1), bitorder="little"))


def unpack_bits(packed: torch.Tensor, bits: int, count: int) -> torch.Tensor:
    """The first `count` numbers that `pack_bits` packed, int32, (count,)."""
    if 8 % bits == 0:
        places = torch.arange(0, 8, bits, dtype=torch.uint8)
        codes = packed.cpu() if bits == 8 else packed.cpu()[:, None] >> places & 2**bits - 1
        return codes.reshape(-1)[:count].to(torch.int32)
    stream = np.unpackbits(packed.cpu().numpy(), count=count * bits, bitorder="little")
    places = np.arange(bits, dtype=np.int32)
    return torch.from_numpy((stream.reshape(count, bits).astype(np.int32) << places).sum(1, dtype=np.int32))
