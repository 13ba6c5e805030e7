"""Channels taken out of one layer, or made zero in it.

``inputs`` and ``outputs`` say everywhere which channels stay, shape (channels,), bool; None where all do.
"""

import numpy as np
import torch
from torch import nn

from .channels import NORMS


def _own_tensors(layer: nn.Module):
    """Name, tensor and the dict it stands in, of those that have a number for each output channel."""
    for tensors in (layer._parameters, layer._buffers):
        for name, tensor in list(tensors.items()):
            if tensor is not None and tensor.ndim:
                yield name, tensor, tensors


def cut(layer: nn.Module, inputs: np.ndarray | None, outputs: np.ndarray | None) -> None:
    """Take channels out of a layer's tensors, and write the new numbers of channels down."""
    for name, tensor, tensors in _own_tensors(layer):
        rest = tensor
        if outputs is not None:
            rest = rest[torch.from_numpy(outputs)]
        if inputs is not None and name == "weight" and _has_columns(layer):
            rest = rest[:, torch.from_numpy(inputs[: tensor.shape[1]])]
        rest = rest.detach().clone()
        tensors[name] = nn.Parameter(rest, tensor.requires_grad) if tensors is layer._parameters else rest
    _rename(layer, inputs, outputs)


def zero(layer: nn.Module, inputs: np.ndarray | None, outputs: np.ndarray | None) -> None:
    """Make zero what `cut` would take out, in the parameters; means and variances stay."""
    for name, tensor, tensors in _own_tensors(layer):
        if outputs is not None and tensors is layer._parameters:
            tensor[torch.from_numpy(~outputs)] = 0
        if inputs is not None and name == "weight" and _has_columns(layer):
            tensor[:, torch.from_numpy(~inputs[: tensor.shape[1]])] = 0


def _has_columns(layer: nn.Module) -> bool:
    """Whether the weight's second axis is that of the inputs."""
    return not isinstance(layer, NORMS) and not is_depthwise(layer)


def is_depthwise(layer: nn.Module) -> bool:
    """Whether a convolution has a group for each input channel, which its outputs go with."""
    return getattr(layer, "groups", 1) > 1 and layer.groups == layer.in_channels


def _rename(layer: nn.Module, inputs: np.ndarray | None, outputs: np.ndarray | None) -> None:
    """The attributes that say how many channels there are."""
    if isinstance(layer, NORMS):
        name = "num_parameters" if isinstance(layer, nn.PReLU) else "num_features"
        return setattr(layer, name, int(outputs.sum()))
    noun = "features" if isinstance(layer, nn.Linear) else "channels"
    if inputs is not None:
        if is_depthwise(layer):
            layer.groups = int(inputs.sum())
        setattr(layer, f"in_{noun}", int(inputs.sum()))
    if outputs is not None:
        setattr(layer, f"out_{noun}", int(outputs.sum()))
