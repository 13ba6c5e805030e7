"""Linear layers of signs: weights and inputs become +1 or -1, 64 to a word, and a product is XOR and a count of ones.

Rastegari, Ordonez, Redmon and Farhadi, "XNOR-Net", ECCV 2016: with the scale mean |w| for each channel, signs are the
nearest to the weights that signs can be (section 3.1). Training: Courbariaux et al., "Binarized neural networks",
arXiv:1602.02830: gradients pass the sign where its argument lies between -1 and 1.
"""

import torch
import torch.nn.functional as F
from torch import nn

from coursekit.kernels import cpu

from ..files import storable
from ..layers import CompressedLayer
from .affine import pack_bits, unpack_bits
from .packed import PackedLayer
from .shapes import layer_of, settings_of


class Sign(torch.autograd.Function):
    """+1 from 0 on, else -1; the gradient passes where the argument lies between -1 and 1, and is 0 elsewhere."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient * (x.abs() <= 1)


@storable
class BinaryLinear(PackedLayer):
    """y = scale · (signs of the weight) · sign(x - threshold) + bias, by `coursekit.kernels.cpu.binary_matmul`.

    Attributes
    ----------
    packed : Tensor, uint8, (⌈N · K / 8⌉,)
        Bits, 1 for a weight of at least 0.
    scale : Tensor, float32, (N,)
        mean |w| of the channel, times the mean distance of the inputs from the threshold.
    threshold : Tensor, float32, 0-dimensional
    spread : Tensor, float32, 0-dimensional
        That mean distance.
    bias : Tensor, float32, (N,)
    """

    def __init__(self, layer: nn.Linear, *, threshold: float = 0.0, spread: float = 1.0):
        super().__init__()
        if not isinstance(layer, nn.Linear):
            raise ValueError(f"BinaryLinear is for Linear layers; got {type(layer).__name__}")
        weight = layer.weight.detach().float()
        if weight.numel() and not weight.all():
            raise ValueError(
                "a weight is exactly zero, and signs have no zero; "
                "do not prune what becomes binary, or leave this layer out"
            )
        self.settings = settings_of(layer)
        bias = torch.zeros(len(weight)) if layer.bias is None else layer.bias.detach().float()
        means = weight.abs().mean(1) if weight.shape[1] else torch.zeros(len(weight))
        self.register_buffer("packed", pack_bits((weight >= 0).int(), 1))
        self.register_buffer("scale", means * spread)
        self.register_buffer("threshold", torch.tensor(float(threshold)))
        self.register_buffer("spread", torch.tensor(float(spread)))
        # x is about threshold + spread · sign: the constant part of the product goes into the bias.
        self.register_buffer("bias", bias + float(threshold) * weight.sum(1))

    def signs(self) -> torch.Tensor:
        """The weight's signs as float32, (N, K)."""
        N, K = self.settings["shape"]
        return (2 * unpack_bits(self.packed, 1, N * K) - 1).float().reshape(N, K).to(self.scale.device)

    def _make_panels(self):
        return cpu.pack_signs(self.signs())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.integers(x):
            return F.linear(Sign.apply(x - self.threshold), self.signs() * self.scale[:, None], self.bias)
        rows = x.reshape(-1, x.shape[-1])
        product = cpu.binary_matmul(cpu.pack_signs(rows - self.threshold), self.panels(), k=rows.shape[1])
        return torch.addcmul(self.bias, product, self.scale).reshape(*x.shape[:-1], len(self.bias))

    def dense(self) -> nn.Linear:
        """The layer with the weight scale · signs, before its inputs were made signs."""
        weight = self.signs() * (self.scale / self.spread)[:, None]
        return layer_of(self.settings, weight, self.bias - self.threshold * weight.sum(1))

    def like(self, layer: nn.Linear) -> "BinaryLinear":
        return BinaryLinear(layer, threshold=self.threshold.item(), spread=self.spread.item())

    def extra_repr(self) -> str:
        return f"{'x'.join(map(str, self.settings['shape']))}"


@storable
class BinaryTraining(CompressedLayer):
    """What is trained to become a `BinaryLinear`: latent float weights whose signs compute, with `Sign`'s gradient.

    Batch norm has no part in it: a threshold for the inputs and a scale for each channel are trained instead. They
    begin where the layer would be quantised without training.

    Attributes
    ----------
    latent : Parameter, float32, (N, K)
        The original weights over their channel's mean size: 1 is an ordinary weight.
    scale : Parameter, (N,); threshold : Parameter, 0-dimensional; bias : Parameter, (N,)
    """

    def __init__(self, layer: nn.Linear, *, threshold: float = 0.0, spread: float = 1.0):
        super().__init__()
        start = BinaryLinear(layer, threshold=threshold, spread=spread)
        self.settings = start.settings
        weight = layer.weight.detach().float()
        self.latent = nn.Parameter(weight / weight.abs().mean(1, keepdim=True))
        self.scale, self.bias = nn.Parameter(start.scale.clone()), nn.Parameter(start.bias.clone())
        self.threshold = nn.Parameter(start.threshold.clone())
        self.register_buffer("spread", start.spread.clone())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        signs = Sign.apply(x - self.threshold)
        return F.linear(signs, Sign.apply(self.latent) * self.scale[:, None], self.bias)

    def finished(self) -> BinaryLinear:
        """The packed layer that computes the same."""
        weight = torch.where(self.latent >= 0, 1.0, -1.0) * torch.ones_like(self.latent)
        new = BinaryLinear(layer_of(self.settings, weight.detach(), None))
        for name in ("scale", "threshold", "spread", "bias"):
            getattr(new, name).copy_(getattr(self, name).detach())
        return new

    def dense(self) -> nn.Linear:
        return self.finished().dense()

    def like(self, layer: nn.Linear) -> "BinaryTraining":
        return BinaryTraining(layer, threshold=self.threshold.item(), spread=self.spread.item())
