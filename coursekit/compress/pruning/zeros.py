"""Zeros that stay zeros when a pruned model is trained on.

There is no mask beside the weights that could disagree with them: **a weight that is exactly zero is masked**. So a
pruned layer is an ordinary ``nn.Linear`` or ``nn.Conv2d`` with an ordinary state dict, and what is loaded into it,
copied from it or stored carries its mask in its zeros. (So a weight that training brings to exactly zero stays there,
too. That hardly ever happens.)

Two things keep a zero in place. The gradient of a masked weight is made zero on its way back, so that momentum, weight
decay and the clipping of gradients see nothing of it. And after each step of an optimiser it is set to zero again, in
case that optimiser still had momentum from a time when the weight was not zero.
"""

import torch
from torch import nn
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook
from torch.utils.weak import WeakIdKeyDictionary

from ..files import storable

_KEY = "coursekit: zeros stay zero"
_masks = WeakIdKeyDictionary()  # parameter -> where it was zero when its gradient came, or None before that


@storable
class KeepZeros:
    """A forward pre-hook: from the next backward pass on, zeros of the layer's weight have no gradient.

    It goes with the layer into copies and files, which the hook of a tensor does not.
    """

    def __call__(self, layer: nn.Module, inputs) -> None:
        weight = layer.weight
        if weight.requires_grad and torch.is_grad_enabled() and not torch.compiler.is_exporting():
            _guard(weight)


def keep_zeros(layer: nn.Module) -> nn.Module:
    """Let the zeros of a layer's weight stay zero in training; return the layer."""
    # A number, as register_forward_pre_hook gives, would be given again in a process that loads the layer.
    layer._forward_pre_hooks[_KEY] = KeepZeros()
    return layer


def free_zeros(layer: nn.Module) -> nn.Module:
    """Let the zeros of a layer's weight be trained again; return the layer."""
    layer._forward_pre_hooks.pop(_KEY, None)
    _masks.pop(layer.weight, None)
    return layer


def zeros_are_kept(layer: nn.Module) -> bool:
    """Whether `keep_zeros` was called on this layer, or on the one it is a copy of."""
    return _KEY in layer._forward_pre_hooks


def _guard(weight: nn.Parameter) -> None:
    if weight not in _masks:
        _masks[weight] = None
        weight.register_hook(_Masked(weight))


class _Masked:
    """The gradient of a weight without its entries where the weight is zero."""

    def __init__(self, weight: nn.Parameter):
        self.of = torch.utils.weak.WeakIdRef(weight)

    def __call__(self, gradient: torch.Tensor) -> torch.Tensor:
        weight = self.of()
        if weight is None or weight not in _masks:
            return gradient
        _masks[weight] = weight.detach() == 0
        return gradient.masked_fill(_masks[weight], 0)


def _zero_again(optimizer: Optimizer, args, kwargs) -> None:
    with torch.no_grad():
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                mask = _masks.get(parameter)
                if mask is not None:
                    parameter.masked_fill_(mask, 0)


register_optimizer_step_post_hook(_zero_again)
