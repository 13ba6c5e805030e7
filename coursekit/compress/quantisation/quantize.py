"""One call for each way to make a model's numbers smaller after it was trained."""

from dataclasses import replace

import torch
from torch import nn

from ..integers.build import record_activations, to_integer
from ..layers import as_dense, copied, replaced, weighted_layers
from ..report import Report, add_report, report
from .binary import BinaryLinear
from .calibrate import METHODS, as_images, find_range, observe, thinned
from .codebook import Codebook
from .int4 import Int4Linear
from .int8_dynamic import Int8Dynamic
from .qat import _linear, change, threshold_of
from .weight_only import WeightOnly

SCHEMES = ("int8", "int8_dynamic", "int8_weights", "int4", "codebook", "binary")
_NEED_DATA = ("int8", "binary")


def quantize(
    model: nn.Module,
    scheme: str = "int8",
    *,
    data=None,
    calibration: str | None = None,
    bits: int | None = None,
    group: int | None = None,
    layers=None,
) -> nn.Module:
    """A copy of a model with its weights, and where the scheme says so its inputs, in fewer bits.

    ================  ===============================================================  ==============================
    scheme            what becomes of a layer                                          what computes
    ================  ===============================================================  ==============================
    "int8"            weights, inputs and results int8, with ranges from `data`        integers alone
    "int8_dynamic"    Linear: weights int8, inputs int8 by row at each call;           integers, then one product with
                      Conv2d: as "int8_weights"                                        the scales; floats
    "int8_weights"    weights in `bits` bits (8), inputs as they were                  floats
    "int4"            Linear: four bits, a scale for each `group` (64) of a row;       floats, unpacked in registers;
                      Conv2d: four bits, a scale for each channel                      floats
    "codebook"        places in a book of 2^`bits` (4) numbers by k-means              floats
    "binary"          Linear: signs of weights and inputs (`data` says where to cut)   XOR and counts of ones
    ================  ===============================================================  ==============================

    Parameters
    ----------
    model : nn.Module
        Stays as it is.
    scheme : str
    data : ndarray or Tensor, shape (n, …), or None
        Training images to calibrate with; needed by "int8" and "binary", and refused by the others.
    calibration : str or None
        How ranges are found, one of `calibrate.METHODS`; None means "mse" for int4, else "minmax". With "int8" it is
        for the activations. "codebook" and "binary" have none.
    bits : int or None
        Of "int8_weights", 2 to 8; of "codebook", 1 to 8.
    group : int or None
        Of "int4", a multiple of 32.
    layers : iterable of str or None
        Names of the layers to change; None means all. "int8" always takes the whole model.

    Returns
    -------
    nn.Module
        In evaluation mode, with a report (`coursekit.compress.report`).

    Raises
    ------
    TypeError
        If model is no module.
    ValueError
        If an argument is wrong or has no meaning for the scheme, weights or data hold NaN, the calibration set is
        empty, or a layer cannot be quantised in this way; the message names it.
    """
    _check(scheme, data=data, calibration=calibration, bits=bits, group=group, layers=layers)
    if scheme == "int8":
        return _integers(copied(model), as_images(data), calibration or "minmax")
    new = copied(model)
    parts = weighted_layers(new, layers)
    seen = observe(new, data, parts) if scheme == "binary" else {}
    changes = []
    for name, part in parts.items():
        made, note = _layer(scheme, name, part, calibration, bits, group, seen)
        new = replaced(new, name, made)
        changes.append(change(name, part, made, note))
    return add_report(new, Report("quantize", tuple(changes), scheme), before=model).eval()


def _check(scheme, *, data, calibration, bits, group, layers) -> None:
    if scheme not in SCHEMES:
        raise ValueError(f"scheme must be one of {', '.join(SCHEMES)}; got {scheme!r}")
    if calibration is not None and calibration not in METHODS:
        raise ValueError(f"calibration must be one of {', '.join(METHODS)}; got {calibration!r}")
    if scheme in _NEED_DATA:
        as_images(data)
    meaningless = {
        "data": data is not None and scheme not in _NEED_DATA,
        "calibration": calibration is not None and scheme in ("codebook", "binary"),
        "bits": bits is not None and scheme not in ("int8_weights", "codebook"),
        "group": group is not None and scheme != "int4",
        "layers": layers is not None and scheme == "int8",
    }
    for name, given in meaningless.items():
        if given:
            raise ValueError(f"{name} means nothing with scheme={scheme!r}; leave it out")


def _layer(scheme, name, part, calibration, bits, group, seen):
    """The layer in its new form, and the report's note on it."""
    layer = as_dense(part)
    if scheme == "binary":
        return BinaryLinear(_linear(name, part), **threshold_of(name, seen)), "signs"
    if scheme == "codebook":
        made = Codebook(layer, 4 if bits is None else bits)
        return made, f"a book of {len(made.book)}"
    if scheme == "int4":
        how, group = calibration or "mse", 64 if group is None else group
        if isinstance(layer, nn.Linear):
            return Int4Linear(layer, group=group, calibration=how), f"groups of {group}"
        return WeightOnly(layer, 4, calibration=how), "by channel; computes in float32"
    if scheme == "int8_dynamic" and isinstance(layer, nn.Linear):
        return Int8Dynamic(layer, calibration=calibration or "minmax"), "inputs by row"
    made = WeightOnly(layer, 8 if bits is None else bits, calibration=calibration or "minmax")
    return made, f"{made.bits} bits, computes in float32"


def _integers(model: nn.Module, data, calibration: str) -> nn.Module:
    seen: dict[str, list[torch.Tensor]] = {}
    record_activations(
        model, data, lambda name, x: seen.setdefault(name, []).append(x.detach().float().reshape(-1).clone())
    )
    found = {name: find_range(thinned(torch.cat(parts)), calibration) for name, parts in seen.items()}
    new = to_integer(model, data, ranges=found)
    return add_report(new, replace(report(new), technique="quantize"), before=model)
