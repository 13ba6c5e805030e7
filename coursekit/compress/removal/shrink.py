"""Channels and neurons taken out of a model, so that it is smaller and faster without any special kernel."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ..layers import CompressedLayer, as_dense, copied, replaced
from ..report import LayerChange, Report, add_report, state_bytes
from .channels import NORMS, find_channels
from .cut import cut, is_depthwise, zero
from .units import Channels

ALIKE = 1e-4
"""How far the outputs of the smaller model may be from the masked one's, as a share of the largest."""


def remove_channels(
    model: nn.Module, share: float | Mapping, *, importance: str | Mapping = "magnitude", example
) -> nn.Module:
    """A copy of a model without some output channels of its convolutions and neurons of its linear layers.

    Channels that are added to each other, normalised, or led through depthwise and grouped convolutions go together
    or not at all (`channels`), and with them all that reads them. What the model takes and returns stays as it is. In
    exact arithmetic the outputs are those of `mask_channels` with the same arguments: a removed channel counts as
    zero where it is read, not as the constant that its bias or its batch norm would leave of it.

    Parameters
    ----------
    model : nn.Module
        Traced with torch.fx. It is left as it is.
    share : float, or dict of str to float or list of int
        The share, from 0 to below 1, that goes of each group of channels, ``round(share * n)`` of n, but never the
        last one. A dict has it for the groups of the layers that it names, or the numbers of their output channels
        that are to go; other groups stay whole.
    importance : "magnitude", or dict of str to array or Tensor
        What is least goes first. "magnitude": the sum of squares of all the weights, biases and numbers of batch norms
        that would go with a channel (Fang et al. 2023, section 3.3). A dict has for layers, by name, a score for each
        output channel, shape (outputs,), or one for each weight, of the weight's shape, as
        `coursekit.compress.pruning.importance` gives them: the scores of all that is tied are added up.
    example : Tensor or ndarray, or a tuple of them
        What the model takes, with the batch first: two examples will do.

    Returns
    -------
    nn.Module
        An ordinary one, of the same classes, with a report. Layers in another form become ordinary layers where they
        lose channels.

    Raises
    ------
    TypeError
        If the model is no module, or an argument is of another type.
    ValueError
        If the model cannot be traced or an operation in it is unknown, which the message names; if nothing can go,
        a layer of a dict has no channels that can, or scores do not fit; if weights hold NaN.
    """
    plan = _plan(model, share, importance, example)
    new, before = copied(model), copied(model)
    for name, use in plan.found.uses.items():
        new = _change(new, name, cut, plan.keep(use.inputs), plan.keep(use.outputs))
    _compare(_masked(model, plan), new, example)
    return add_report(new, Report("remove_channels", _changes(before, new, plan), plan.note()), before=model)


def mask_channels(
    model: nn.Module, share: float | Mapping, *, importance: str | Mapping = "magnitude", example
) -> nn.Module:
    """A copy of a model, of the same shapes, in which the channels that `remove_channels` takes out are zero.

    Zero are their rows of weights, their biases, their numbers in batch norms, and the weights that read them. It is
    what `remove_channels` can be compared with: as large and as slow as the model was. Arguments and errors as there.
    """
    plan = _plan(model, share, importance, example)
    note = plan.note()
    new = _masked(model, plan)
    return add_report(new, Report("mask_channels", _changes(model, new, plan), note), before=model)


def _masked(model: nn.Module, plan: "_Plan") -> nn.Module:
    new = copied(model)
    for name, use in plan.found.uses.items():
        new = _change(new, name, zero, plan.keep(use.inputs), plan.keep(use.outputs))
    return new


@dataclass(frozen=True)
class _Plan:
    """The channels of a model, the groups that could lose some, and the units that go."""

    found: Channels
    groups: dict[tuple[str, ...], list[int]]
    gone: frozenset[int]

    def keep(self, units: np.ndarray | None) -> np.ndarray | None:
        """Which positions stay; None where all of them do."""
        if units is None:
            return None
        keep = np.array([unit not in self.gone for unit in self.found.units.roots(units)], bool)
        return None if keep.all() else keep

    def note(self) -> str:
        of = sum(map(len, self.groups.values()))
        return f"{len(self.gone)} of {of} groups of channels that go together"


def _plan(model: nn.Module, share, importance, example) -> _Plan:
    _check_share(share)
    traced = copied(model).eval()
    found = find_channels(traced, example)
    groups = _groups(traced, found)
    if not groups:
        raise ValueError(
            "no channels can go: all are the model's inputs or outputs, or are mixed with all others"
        )
    scores = _magnitudes(traced, found) if importance == "magnitude" else None
    if scores is None:
        scores = _given(traced, found, importance)
    gone: set[int] = set()
    for layers, units in groups.items():
        gone |= _least(found, layers, units, _asked(found, layers, units, share, groups), scores)
    return _Plan(found, groups, frozenset(gone))


def _check_share(share) -> None:
    """TypeError or ValueError unless it is a share, or a dict of shares and lists of channels."""
    if isinstance(share, Mapping):
        for name, value in share.items():
            if isinstance(value, bool | Mapping | str) or not isinstance(name, str):
                raise TypeError(f"share[{name!r}] must be a number or a list of channels; got {value!r}")
            if np.ndim(value) == 0:
                _check_share(value)
    elif isinstance(share, bool) or not isinstance(share, int | float | np.number):
        raise TypeError(f"share must be a number or a dict; got {type(share).__name__}")
    elif not 0 <= share < 1:
        raise ValueError(f"share must be from 0 to below 1, as the last channel stays; got {share}")


def _groups(model: nn.Module, found: Channels) -> dict[tuple[str, ...], list[int]]:
    """The units that can go, by the layers that make them; each unit stands for all that are tied to it."""
    makers: dict[int, list[str]] = {}
    for name, use in found.uses.items():
        if use.outputs is not None and not isinstance(model.get_submodule(name), NORMS):
            for unit in dict.fromkeys(found.units.roots(use.outputs).tolist()):
                makers.setdefault(unit, []).append(name)
    groups: dict[tuple[str, ...], list[int]] = {}
    held = found.units.held()
    for unit, names in makers.items():
        if unit not in held:
            groups.setdefault(tuple(names), []).append(unit)
    return groups


def _asked(found, layers, units, share, groups) -> int | set[int]:
    """How many units of a group are to go, or which."""
    if not isinstance(share, Mapping):
        return round(share * len(units))
    _check_names(share, groups)
    wanted = {name: share[name] for name in layers if name in share}
    found_ = [
        round(value * len(units)) if np.ndim(value) == 0 else _numbered(found, name, value, units, groups)
        for name, value in wanted.items()
    ]
    if any(one != found_[0] for one in found_):
        raise ValueError(f"{' and '.join(wanted)} lose the same channels; share asks for different ones")
    return found_[0] if found_ else 0


def _check_names(share: Mapping, groups: dict) -> None:
    known = list(dict.fromkeys(name for layers in groups for name in layers))
    for name in share:
        if name not in known:
            raise ValueError(f"no channels of {name!r} can go; those of {', '.join(map(repr, known))} can")


def _numbered(found, name, numbers, units, groups) -> set[int]:
    """The units of a group that are a layer's output channels of these numbers."""
    roots, numbers = found.units.roots(found.uses[name].outputs), np.asarray(numbers)
    if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
        raise TypeError(f"share[{name!r}] must be a list of whole numbers; got {numbers!r}")
    for number in numbers.tolist():
        if not 0 <= number < len(roots):
            raise ValueError(f"share[{name!r}] must hold numbers from 0 to {len(roots) - 1}; got {number}")
        if not any(roots[number] in others for others in groups.values()):
            raise ValueError(f"channel {number} of {name!r} cannot go: it is tied to one that has to stay")
    asked = {int(roots[number]) for number in numbers.tolist()} & set(units)
    if len(asked) == len(units):
        raise ValueError(f"share[{name!r}] names all channels of the layer; one has to stay")
    return asked


def _least(found, layers, units, asked, scores) -> set[int]:
    """The units that go: those asked for, or the least important ones."""
    if isinstance(asked, set):
        return asked
    if not asked:
        return set()
    missing = [unit for unit in units if unit not in scores]
    if missing:
        raise ValueError(f"importance has no scores for {' and '.join(layers)}, or a layer tied to it")
    ranked = sorted(units, key=scores.__getitem__)
    return set(ranked[: min(asked, len(units) - 1)])


def _magnitudes(model: nn.Module, found: Channels) -> dict[int, float]:
    """Of each unit, the sum of squares of all that would go with it."""
    scores: dict[int, float] = {}
    for name, use in found.uses.items():
        layer = as_dense(model.get_submodule(name))
        for parameter in layer.parameters(recurse=False):
            _add(scores, found, use.outputs, _of_outputs(parameter))
        if use.inputs is not None and not isinstance(layer, NORMS) and not is_depthwise(layer):
            _add(scores, found, use.inputs, _of_inputs(layer))
    return scores


def _of_outputs(parameter: torch.Tensor) -> np.ndarray:
    """Σ p² for each output channel."""
    return parameter.detach().double().square().reshape(len(parameter), -1).sum(1).cpu().numpy()


def _of_inputs(layer: nn.Module) -> np.ndarray:
    """Σ w² for each input channel, over the outputs of its group."""
    weight, groups = layer.weight.detach().double().square(), getattr(layer, "groups", 1)
    of_groups = weight.reshape(groups, len(weight) // groups, weight.shape[1], -1)
    return of_groups.sum((1, 3)).flatten().cpu().numpy()


def _add(scores: dict, found: Channels, units: np.ndarray | None, values: np.ndarray) -> None:
    if units is not None:
        for unit, value in zip(found.units.roots(units).tolist(), values.tolist(), strict=True):
            scores[unit] = scores.get(unit, 0.0) + value


def _given(model: nn.Module, found: Channels, importance) -> dict[int, float]:
    """The scores of a dict, added up over what is tied."""
    if not isinstance(importance, Mapping):
        raise TypeError(f"importance must be 'magnitude' or a dict of scores; got {importance!r}")
    scores: dict[int, float] = {}
    for name, given in importance.items():
        if name not in found.uses:
            raise ValueError(
                f"importance has scores of {name!r}; there are {', '.join(map(repr, found.uses))}"
            )
        weight = as_dense(model.get_submodule(name)).weight
        values = torch.as_tensor(given).detach().cpu().double()
        if values.shape not in (weight.shape[:1], weight.shape):
            raise ValueError(
                f"importance[{name!r}] must have shape {tuple(weight.shape[:1])} or {tuple(weight.shape)}; "
                f"got {tuple(values.shape)}"
            )
        if not torch.isfinite(values).all():
            raise ValueError(f"importance[{name!r}] holds NaN or infinity")
        _add(scores, found, found.uses[name].outputs, values.reshape(len(values), -1).sum(1).numpy())
    return scores


def _change(model: nn.Module, name: str, how, inputs, outputs) -> nn.Module:
    """Cut or mask one layer, where it loses anything."""
    if inputs is None and outputs is None:
        return model
    old = model.get_submodule(name)
    layer = as_dense(old)
    if "weight" not in layer._parameters and getattr(layer, "weight", None) is not None:
        raise ValueError(
            f"{name}.weight is computed from other tensors; make the parametrization permanent first"
        )
    with torch.no_grad():
        how(layer, inputs, outputs)
    return replaced(model, name, layer) if isinstance(old, CompressedLayer) else model


def _compare(masked: nn.Module, small: nn.Module, example) -> None:
    """ValueError where the two differ, so that nothing that the trace did not see goes wrong in silence."""
    example = tuple(map(torch.as_tensor, example if isinstance(example, tuple) else (example,)))
    states = [(part, part.training) for part in small.modules()]
    with torch.no_grad():
        try:
            wanted, got = masked.eval()(*example), small.eval()(*example)
        except (RuntimeError, ValueError, IndexError) as error:
            raise ValueError(
                f"the model needs all of its channels in a way that the trace does not show: {error}"
            ) from error
        finally:
            for part, training in states:
                part.training = training
    if not torch.is_tensor(wanted) or not wanted.numel():
        return
    if not torch.allclose(got, wanted, rtol=0, atol=ALIKE * float(wanted.abs().max())):
        raise ValueError(
            "the smaller model computes something else: it uses channels in a way the trace does not show"
        )


def _changes(before: nn.Module, after: nn.Module, plan: _Plan) -> tuple[LayerChange, ...]:
    rows = []
    for name, use in plan.found.uses.items():
        old, new = before.get_submodule(name), after.get_submodule(name)
        if isinstance(new, NORMS):
            continue
        sizes = [
            f"{units.size} → {units.size if (keep := plan.keep(units)) is None else keep.sum()} {what}"
            for units, what in ((use.inputs, "inputs"), (use.outputs, "outputs"))
            if units is not None and plan.keep(units) is not None
        ]
        weight = as_dense(new).weight
        numbers = weight.numel(), int(torch.count_nonzero(weight)), state_bytes(old), state_bytes(new)
        rows.append(LayerChange(name, type(new).__name__, *numbers, ", ".join(sizes) or "as it was"))
    return tuple(rows)
