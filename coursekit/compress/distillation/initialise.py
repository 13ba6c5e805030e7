"""A student that begins with parameters of its teacher: some of its layers, or some neurons of a layer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from ..layers import as_dense, check_model, copied
from ..report import LayerChange, Report, add_report, state_bytes


@dataclass(frozen=True)
class Part:
    """Some neurons or channels of a teacher's layer.

    Attributes
    ----------
    layer : str
        Its name in the teacher.
    outputs, inputs : sequence of int or None
        Which of its output and input neurons (channels of a convolution), in this order; None means all. What follows
        a layer has as inputs what the layer has as outputs.
    """

    layer: str
    outputs: Sequence[int] | None = None
    inputs: Sequence[int] | None = None


def initialise_from(student: nn.Module, teacher: nn.Module, mapping: Mapping[str, "str | Part"]) -> nn.Module:
    """A copy of the student with parameters of the teacher in some of its layers.

    A subset of layers: V. Sanh et al., DistilBERT, arXiv:1910.01108, 2019, section 3.

    Parameters
    ----------
    student, teacher : nn.Module
        Both stay as they were.
    mapping : mapping of str to str or Part
        Name of a layer of the student -> name of the layer of the teacher, or a `Part` of it. A layer with layers
        inside may be named, too, where no part of it is chosen. The student's other layers keep what they have.

    Returns
    -------
    nn.Module
        With a report. It is not trained yet: hand it to `distill` or `models.train`.

    Raises
    ------
    ValueError
        If the mapping is empty, names a layer or a neuron that is not there, or the shapes do not fit.
    """
    check_model(teacher)
    new = copied(student)
    if not mapping:
        raise ValueError("mapping is empty; name at least one layer of the student and the teacher's for it")
    changes = [_fill(new, teacher, name, source) for name, source in mapping.items()]
    return add_report(new, Report("initialise_from", tuple(changes), f"{len(changes)} layers of the teacher"))


def _fill(student: nn.Module, teacher: nn.Module, name: str, source: str | Part) -> LayerChange:
    part = source if isinstance(source, Part) else Part(source)
    layer, given = _layer(student, name, "student"), as_dense(_layer(teacher, part.layer, "teacher"))
    chosen = {key: _chosen(f"{part.layer}.{key}", value, part) for key, value in given.state_dict().items()}
    for key, tensor in layer.state_dict().items():
        if key not in chosen:
            raise ValueError(f"the teacher's {part.layer} has no {key}, but the student's {name} has")
        if tensor.shape != chosen[key].shape:
            raise ValueError(
                f"{name}.{key} of the student has shape {tuple(tensor.shape)}, what was chosen of the teacher's "
                f"{part.layer} {tuple(chosen[key].shape)}; choose other layers, or as many outputs and inputs in a Part"
            )
    layer.load_state_dict({key: chosen[key] for key in layer.state_dict()})
    weights = [tensor for tensor in layer.parameters() if tensor.ndim > 1]
    size = state_bytes(layer)
    return LayerChange(
        name,
        type(layer).__name__,
        sum(tensor.numel() for tensor in weights),
        sum(int(torch.count_nonzero(tensor)) for tensor in weights),
        size,
        size,
        _note(part),
    )


def _layer(model: nn.Module, name: str, whose: str) -> nn.Module:
    names = [known for known, _ in model.named_modules() if known]
    if name not in names:
        raise ValueError(f"the {whose} has no layer {name!r}; it has {', '.join(names) or 'none'}")
    return model.get_submodule(name)


def _chosen(name: str, tensor: torch.Tensor, part: Part) -> torch.Tensor:
    """The rows and columns of a tensor of the teacher that a part names."""
    for axis, indices in enumerate((part.outputs, part.inputs)):
        if indices is not None and tensor.ndim > axis:
            tensor = tensor.index_select(axis, _indices(name, indices, tensor.shape[axis], tensor.device))
    return tensor


def _indices(name: str, indices: Sequence[int], size: int, device) -> torch.Tensor:
    rows = torch.as_tensor(indices, device=device).reshape(-1)
    if len(rows) == 0 or rows.is_floating_point() or rows.dtype == torch.bool:
        raise ValueError(f"the part of {name} must be a list of whole numbers, at least one; got {indices!r}")
    if rows.min() < 0 or rows.max() >= size:
        raise ValueError(
            f"the part of {name} goes from {rows.min()} to {rows.max()}; there are 0 to {size - 1}"
        )
    return rows.long()


def _note(part: Part) -> str:
    counts = {"outputs": part.outputs, "inputs": part.inputs}
    chosen = [f"{len(indices)} {what}" for what, indices in counts.items() if indices is not None]
    return f"from the teacher's {part.layer}" + (f": {', '.join(chosen)}" if chosen else "")
