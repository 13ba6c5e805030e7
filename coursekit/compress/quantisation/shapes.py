"""What a linear layer or a convolution is beside its weight, in plain values that a file can hold."""

import torch
import torch.nn.functional as F
from torch import nn

_CONV = ("stride", "padding", "dilation", "groups", "padding_mode")


def settings_of(layer: nn.Linear | nn.Conv2d) -> dict:
    """The shape of the weight, and of a convolution its stride, padding, dilation, groups and padding mode."""
    if not isinstance(layer, (nn.Linear, nn.Conv2d)):
        raise TypeError(f"layer must be a Linear or Conv2d layer; got {type(layer).__name__}")
    found = {"shape": tuple(layer.weight.shape)}
    if isinstance(layer, nn.Conv2d):
        found |= {name: getattr(layer, name) for name in _CONV}
    return found


def layer_of(settings: dict, weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Linear | nn.Conv2d:
    """An ordinary layer with these settings, and copies of weight and bias as its parameters."""
    shape = settings["shape"]
    if len(shape) == 2:
        layer = nn.utils.skip_init(nn.Linear, shape[1], shape[0], bias=bias is not None, device=weight.device)
    else:
        more = {name: settings[name] for name in _CONV}
        layer = nn.utils.skip_init(
            nn.Conv2d,
            shape[1] * settings["groups"],
            shape[0],
            shape[2:],
            bias=bias is not None,
            device=weight.device,
            **more,
        )
    layer.weight.data.copy_(weight.reshape(shape))
    if bias is not None:
        layer.bias.data.copy_(bias)
    return layer


def apply(settings: dict, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """What a layer with these settings, this weight and this bias makes of x; gradients pass through."""
    if len(settings["shape"]) == 2:
        return F.linear(x, weight, bias)
    padding = settings["padding"]
    if settings["padding_mode"] != "zeros":
        x, padding = _padded(settings, x), 0
    more = settings["stride"], padding, settings["dilation"], settings["groups"]
    return F.conv2d(x, weight, bias, *more)


def _padded(settings: dict, x: torch.Tensor) -> torch.Tensor:
    if isinstance(settings["padding"], str):
        reach = [d * (k - 1) for d, k in zip(settings["dilation"], settings["shape"][2:], strict=True)]
        ends = [(r // 2, r - r // 2) if settings["padding"] == "same" else (0, 0) for r in reach]
    else:
        ends = [(p, p) for p in settings["padding"]]
    return F.pad(x, [end for pair in reversed(ends) for end in pair], mode=settings["padding_mode"])


def kept(bias: torch.Tensor | None) -> torch.Tensor | None:
    """A copy of a bias in float32, for a buffer."""
    return None if bias is None else bias.detach().float().clone()
