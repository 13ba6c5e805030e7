"""Layers whose weight is stored in few bits and computed with in float32."""

import torch
from torch import nn

from ..files import storable
from ..layers import CompressedLayer
from .affine import Grid, grid, limits, pack_bits, rows_of, unpack_bits, weight_of
from .calibrate import find_ranges
from .shapes import apply, kept, layer_of, settings_of


def weight_grid(
    weight: torch.Tensor,
    bits: int,
    *,
    granularity: str = "channel",
    group: int = 64,
    symmetric: bool = True,
    calibration: str = "minmax",
) -> Grid:
    """A grid for each row of `rows_of(weight, ...)`, of shape (rows, 1), from the weights themselves."""
    rows = rows_of(weight.detach().float(), granularity, group)
    low, high = find_ranges(rows, calibration, bits=bits, symmetric=symmetric)
    return grid(low[:, None], high[:, None], bits, symmetric=symmetric)


@storable
class WeightOnly(CompressedLayer):
    """A linear layer or a convolution whose weight is integers of 2 to 8 bits, packed without gaps.

    The product is one of floats: the weight is unpacked at each call. So it is small, and not fast. Where `prepare_qat`
    quantised the inputs as well, they are rounded to their grid first, and back to float32 ("fake quantisation").

    Attributes
    ----------
    packed : Tensor, uint8
    scale : Tensor, float32
        One for the tensor, for each channel, or for each group.
    zero : Tensor, uint8, or None
        None where the grid is symmetric.
    bias : Tensor, float32, or None
    input_scale : Tensor, float32, 0-dimensional, or None
    """

    def __init__(
        self,
        layer: nn.Linear | nn.Conv2d,
        bits: int = 8,
        *,
        granularity: str = "channel",
        group: int = 64,
        symmetric: bool = True,
        calibration: str = "minmax",
        weight_grid_: Grid | None = None,
    ):
        super().__init__()
        if bits > 8:
            raise ValueError(f"bits must be from 2 to 8; got {bits}")
        self.settings = settings_of(layer)
        self.bits, self.granularity, self.group = bits, granularity, group
        self.symmetric, self.calibration = symmetric, calibration
        self.input_bits, self.input_signed = None, False
        form = {"granularity": granularity, "group": group}
        rows = rows_of(layer.weight.detach().float(), **form)
        found = weight_grid_ or weight_grid(
            layer.weight, bits, symmetric=symmetric, calibration=calibration, **form
        )
        codes = weight_of(found.quantise(rows) - found.low, tuple(layer.weight.shape))
        self.register_buffer("packed", pack_bits(codes, bits))
        self.register_buffer("scale", found.scale.detach().reshape(-1).clone())
        self.register_buffer("zero", None if symmetric else found.zero.reshape(-1).to(torch.uint8))
        self.register_buffer("bias", kept(layer.bias))
        self.register_buffer("input_scale", None)

    def with_input_grid(self, scale: torch.Tensor, bits: int, *, signed: bool) -> "WeightOnly":
        """Round the inputs to this grid from now on; returns the layer."""
        self.input_scale = scale.detach().float().reshape(()).clone()
        self.input_bits, self.input_signed = bits, signed
        return self

    def _grid(self) -> Grid:
        low, high = limits(self.bits, signed=self.symmetric)
        scale = self.scale[:, None]
        zero = torch.zeros_like(scale) if self.zero is None else self.zero[:, None].float()
        return Grid(scale, zero, low, high)

    def weight(self) -> torch.Tensor:
        """The weight in float32, in its shape."""
        shape, grid_ = self.settings["shape"], self._grid()
        codes = unpack_bits(self.packed, self.bits, _count(shape)).to(self.scale.device)
        rows = rows_of(codes.reshape(shape) + grid_.low, self.granularity, self.group)
        return weight_of(grid_.dequantise(rows), shape)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return apply(self.settings, self._rounded(x), self.weight(), self.bias)

    def _rounded(self, x):
        if self.input_scale is None:
            return x
        ends = limits(self.input_bits, signed=self.input_signed)
        return Grid(self.input_scale, torch.zeros_like(self.input_scale), *ends).project(x)

    def dense(self) -> nn.Linear | nn.Conv2d:
        return layer_of(self.settings, self.weight(), self.bias)

    def like(self, layer: nn.Linear | nn.Conv2d) -> "WeightOnly":
        form = {"granularity": self.granularity, "group": self.group, "symmetric": self.symmetric}
        new = WeightOnly(layer, self.bits, calibration=self.calibration, **form)
        if self.input_scale is not None:
            new.with_input_grid(self.input_scale, self.input_bits, signed=self.input_signed)
        return new

    def extra_repr(self) -> str:
        inputs = "" if self.input_bits is None else f", inputs {self.input_bits} bits"
        return f"{'x'.join(map(str, self.settings['shape']))}, {self.bits} bits, {self.granularity}{inputs}"


def _count(shape) -> int:
    total = 1
    for n in shape:
        total *= n
    return total
