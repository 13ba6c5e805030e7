"""What all techniques share: checks of a model, its layers by name, and layers that are stored in another form."""

import copy
from abc import abstractmethod
from collections.abc import Iterable

import torch
from torch import nn

WEIGHTED = (nn.Linear, nn.Conv2d)
"""The layers that every technique knows."""


class CompressedLayer(nn.Module):
    """A layer that stores its weight in another form than float32: integers, codes, or what is not zero.

    Any technique can go on from it: it takes `dense`, changes that, and where the form allows asks for `like`.
    """

    @abstractmethod
    def dense(self) -> nn.Linear | nn.Conv2d:
        """An ordinary layer in float32 with the same weight, as far as float32 can hold it; a new object."""

    @abstractmethod
    def like(self, layer: nn.Linear | nn.Conv2d) -> "CompressedLayer":
        """`layer`, whose shapes are those of `dense()`, in this form and with this one's settings.

        A weight of zero stays exactly zero.
        """


def check_model(model: nn.Module) -> None:
    """Raise TypeError where `model` is no module, ValueError that names the first tensor with NaN or infinity."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module; got {type(model).__name__}")
    for name, tensor in model.state_dict().items():
        if torch.is_tensor(tensor) and tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ValueError(
                f"{name} holds NaN or infinity; train the model again, or load weights that are finite"
            )


def copied(model: nn.Module) -> nn.Module:
    """A checked copy, so that a technique never changes the model it was given."""
    check_model(model)
    return copy.deepcopy(model)


def weighted_layers(model: nn.Module, names: Iterable[str] | None = None) -> dict[str, nn.Module]:
    """The layers with weights that techniques know, by name and in the model's order.

    Parameters
    ----------
    names : iterable of str or None
        Only these; None means all.

    Returns
    -------
    dict of str to nn.Linear, nn.Conv2d or CompressedLayer

    Raises
    ------
    ValueError
        If a name is of no such layer, or if there are none.
    """
    known = {
        name: part for name, part in model.named_modules() if isinstance(part, (*WEIGHTED, CompressedLayer))
    }
    known = {
        name: part for name, part in known.items() if not any(_is_inside(name, outer) for outer in known)
    }
    if not known:
        found = sorted({type(part).__name__ for part in model.modules() if not list(part.children())})
        raise ValueError(
            f"the model has no Linear or Conv2d layer; its layers are {', '.join(found) or 'none'}"
        )
    if names is None:
        return known
    names = list(names)
    for name in names:
        if name not in known:
            raise ValueError(
                f"no layer {name!r} that can be compressed; there are {', '.join(map(repr, known))}"
            )
    return {name: part for name, part in known.items() if name in names}


def _is_inside(name: str, outer: str) -> bool:
    return name != outer and (outer == "" or name.startswith(f"{outer}."))


def as_dense(layer: nn.Module) -> nn.Linear | nn.Conv2d:
    """An ordinary layer in float32: the layer itself, or what a CompressedLayer stands for."""
    return layer.dense() if isinstance(layer, CompressedLayer) else layer


def replaced(model: nn.Module, name: str, layer: nn.Module) -> nn.Module:
    """Put `layer` in the place of the one called `name`, in place; the empty name is the model itself.

    Returns the model, or `layer` where it is the model. The new layer trains or not as the old one did.
    """
    layer.train((model.get_submodule(name) if name else model).training)
    if not name:
        return layer
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, layer)
    return model
