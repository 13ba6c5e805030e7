"""What stands between the layers of integers: pooling, flattening, and what is left of a ReLU."""

import torch
from torch import nn
from torch.nn import functional

from coursekit.kernels import cpu

from ..files import storable


@storable
class IntReLU(nn.Module):
    """What is left of a ReLU: nothing, for int8, since the layer before it ends at zero; a ReLU for floats."""

    def __init__(self, top: float | None = None):
        super().__init__()
        self.top = top

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.dtype == torch.int8 else x.clamp(0, self.top)


@storable
class IntMaxPool2d(nn.Module):
    """Max pooling of int8, channels last; of floats as torch does it."""

    def __init__(self, kernel_size: int, stride: int, padding: int):
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def options(self) -> dict:
        """The options of the kernel."""
        return {"kernel_size": self.kernel_size, "stride": self.stride, "padding": self.padding}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.dtype == torch.int8:
            return cpu.int8_max_pool2d(x, **self.options())
        return functional.max_pool2d(x, **self.options())

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.options().items())


@storable
class IntFlatten(nn.Module):
    """Images as rows, in the order of channels first, which is that of the weights after it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.dtype == torch.int8 and x.dim() == 4:
            x = x.permute(0, 3, 1, 2)
        return x.flatten(1)
