"""Linear layers with int8 weights whose inputs become int8 at each call: an integer product, nothing to calibrate."""

import torch
from torch import nn

from coursekit.kernels import cpu

from ..files import storable
from ..layers import CompressedLayer
from .affine import weight_of
from .packed import PackedLayer
from .shapes import apply, kept, layer_of, settings_of
from .weight_only import weight_grid

LARGEST = 127


@storable
class Int8Dynamic(PackedLayer):
    """A linear layer: each row of the input is scaled to -127 to 127 by its own largest number, and rounded.

    The product is int8 by int8, summed in int32 by `coursekit.kernels.cpu.int8_matmul_packed`, and scaled back to
    float32 by the row's scale times the channel's. On another device than the CPU, and where a gradient has to pass,
    the weight is made float32 and the product is one of floats; the inputs are then left as they are.

    Attributes
    ----------
    weight : Tensor, int8, (N, K)
    scale : Tensor, float32, (N,)
    bias : Tensor, float32, (N,), or None
    """

    def __init__(self, layer: nn.Linear, *, calibration: str = "minmax"):
        super().__init__()
        if not isinstance(layer, nn.Linear):
            raise ValueError(f"Int8Dynamic is for Linear layers; got {type(layer).__name__}")
        self.settings, self.calibration = settings_of(layer), calibration
        found = weight_grid(layer.weight, 8, calibration=calibration)
        self.register_buffer("weight", found.quantise(layer.weight.detach().float()).to(torch.int8))
        self.register_buffer("scale", found.scale.reshape(-1).clone())
        self.register_buffer("bias", kept(layer.bias))

    def _make_panels(self):
        return cpu.pack_int8(self.weight.T.contiguous())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.integers(x):
            return apply(self.settings, x, self._floats(), self.bias)
        rows = x.reshape(-1, x.shape[-1])
        q, step = quantise_rows(rows)
        product = cpu.int8_matmul_packed(q, self.panels(), columns=len(self.scale))
        out = product.to(torch.float32).mul_(step).mul_(self.scale)
        if self.bias is not None:
            out.add_(self.bias)
        return out.reshape(*x.shape[:-1], len(self.scale))

    def _floats(self) -> torch.Tensor:
        return weight_of(self.weight * self.scale[:, None], self.settings["shape"])

    def dense(self) -> nn.Linear:
        return layer_of(self.settings, self._floats(), self.bias)

    def like(self, layer: nn.Linear) -> CompressedLayer:
        return Int8Dynamic(layer, calibration=self.calibration)

    def extra_repr(self) -> str:
        return f"{'x'.join(map(str, self.settings['shape']))}"


def quantise_rows(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Each row by its own symmetric grid of 8 bits: int8 of the same shape, and the steps, (rows, 1).

    A row of zeros has the step 0, a row with NaN or infinity such a step: its results are NaN.
    """
    step = (
        torch.linalg.vector_norm(x, torch.inf, 1, keepdim=True) / LARGEST
        if x.shape[1]
        else x.new_zeros(len(x), 1)
    )
    # What is divided by a step of 0, NaN or infinity is put aside; its step then tells the product.
    q = (x / step).nan_to_num_(0).round_().clamp_(-LARGEST, LARGEST)
    return q.to(torch.int8), step
