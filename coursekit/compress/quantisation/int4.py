"""Linear layers whose weight has four bits for each number, two numbers to a byte, multiplied as they are."""

import torch
from torch import nn

from coursekit.kernels import cpu
from coursekit.kernels.ops.integer import GROUP, LARGEST
from coursekit.kernels.ops.linear import PANEL

from ..files import storable
from .affine import Grid, limits, pack_bits, rows_of, unpack_bits, weight_of
from .calibrate import find_ranges
from .packed import PackedLayer
from .shapes import apply, kept, layer_of, settings_of

BITS = 4
MIDDLE = 8
"""A number q is stored as q + 8, so that 0 is 8, as `coursekit.kernels.cpu.int4_linear` reads it."""


@storable
class Int4Linear(PackedLayer):
    """A linear layer in four bits: neighbours of a row share a scale, which is stored as bfloat16.

    `coursekit.kernels.cpu.int4_linear` unpacks numbers in registers and multiplies float32 inputs by them: weights are
    read from memory at an eighth of their size, which is what a product of one row waits for. On another device than
    the CPU, and where a gradient has to pass, the weight is made float32 first.

    Attributes
    ----------
    packed : Tensor, uint8
        Integers from -7 to 7, plus 8, row after row, the first of two in the low bits.
    scale : Tensor, bfloat16, (N · ⌈K/group⌉,)
        Half the bytes of float32, and all of its range. Numbers are rounded to the grid of the stored scale.
    bias : Tensor, float32, (N,), or None
    """

    def __init__(self, layer: nn.Linear, *, group: int = 64, calibration: str = "mse"):
        super().__init__()
        if not isinstance(layer, nn.Linear):
            raise ValueError(f"Int4Linear is for Linear layers; got {type(layer).__name__}")
        if isinstance(group, bool) or not isinstance(group, int) or group < GROUP or group % GROUP:
            raise ValueError(f"group must be a multiple of {GROUP}; got {group!r}")
        self.settings, self.group, self.calibration = settings_of(layer), group, calibration
        rows = rows_of(layer.weight.detach().float(), "group", group)
        low, high = (
            find_ranges(rows, calibration, bits=BITS, symmetric=True) if rows.numel() else [rows[:, 0]] * 2
        )
        scale = (torch.maximum(-low, high) / LARGEST).to(torch.bfloat16)
        codes = self._grid(torch.where(scale > 0, scale, 1)).quantise(rows) + MIDDLE
        self.register_buffer("packed", pack_bits(weight_of(codes, self.settings["shape"]), BITS))
        self.register_buffer("scale", scale)
        self.register_buffer("bias", kept(layer.bias))

    def _grid(self, scale) -> Grid:
        scale = scale.float()[:, None]
        return Grid(scale, torch.zeros_like(scale), *limits(BITS, signed=True))

    def _codes(self) -> torch.Tensor:
        """q + 8, in groups, int32 (N · groups, group); what fills the last group of a row is 8, a zero."""
        N, K = self.settings["shape"]
        codes = unpack_bits(self.packed, BITS, N * K).reshape(N, K) - MIDDLE
        return rows_of(codes, "group", self.group) + MIDDLE

    def _weight(self) -> torch.Tensor:
        codes = (self._codes() - MIDDLE).to(self.scale.device)
        return weight_of(self._grid(self.scale).dequantise(codes), self.settings["shape"])

    def _make_panels(self):
        """What `pack_int4` would give: panels of 16 rows, two neighbours along k to a byte, scales by 32 of k."""
        N, K = self.settings["shape"]
        P, G = -(-N // PANEL), -(-K // GROUP)
        numbers = torch.full((P * PANEL, G * GROUP), MIDDLE, dtype=torch.uint8)
        numbers[:N] = self._codes().reshape(N, -1)[:, : G * GROUP]
        pairs = numbers.reshape(P, PANEL, G * GROUP // 2, 2).permute(0, 2, 3, 1)
        scales = torch.zeros(P * PANEL, G)
        scales[:N] = self.scale.float().reshape(N, -1).repeat_interleave(self.group // GROUP, 1)[:, :G]
        scales = scales.reshape(P, PANEL, G).permute(0, 2, 1)
        bias = torch.zeros(N) if self.bias is None else self.bias
        return (pairs[:, :, 0] | pairs[:, :, 1] << 4).contiguous(), scales.contiguous(), bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.integers(x):
            return apply(self.settings, x, self._weight(), self.bias)
        out = cpu.int4_linear(x.reshape(-1, x.shape[-1]), *self.panels())
        return out.reshape(*x.shape[:-1], self.settings["shape"][0])

    def dense(self) -> nn.Linear:
        return layer_of(self.settings, self._weight(), self.bias)

    def like(self, layer: nn.Linear) -> "Int4Linear":
        return Int4Linear(layer, group=self.group, calibration=self.calibration)

    def extra_repr(self) -> str:
        return f"{'x'.join(map(str, self.settings['shape']))}, groups of {self.group}"
