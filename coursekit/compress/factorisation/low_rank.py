"""One layer as a product of smaller ones: linear layers by SVD, convolutions by channels, by axes, or by Tucker-2."""

import numbers
from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from torch import nn

from coursekit.measure.text import si

from ..layers import as_dense, copied, replaced, weighted_layers
from ..report import LayerChange, Report, add_report, state_bytes
from .factors import METHODS, Factors, LinearFactors, MatrixFactors, Responses, TuckerFactors

BUDGET_S = 0.3
"""Seconds for the race of one layer's ranks."""


def factorize(
    model: nn.Module,
    *,
    rank: int | Mapping[str, object] | None = None,
    energy: float | None = None,
    latency: float | str | None = None,
    method: str = "channel",
    layers: Iterable[str] | None = None,
    data=None,
    aware: bool = False,
) -> nn.Module:
    """Return a copy of a model in which layers are replaced by thinner ones, one after the other.

    A ``Linear`` becomes ``Sequential(Linear, Linear)``, a ``Conv2d`` a ``Sequential`` of two or three convolutions;
    the first ones have no bias. Everything in the result is an ordinary layer of torch: it trains, and can be pruned,
    quantised or factorised again. A layer in another form (`CompressedLayer`) is factorised as what it stands for, and
    its factors are dense float32.

    Parameters
    ----------
    model : nn.Module
        Stays as it is.
    rank : int, or dict of layer name to rank
        An int holds for each layer where the factors have fewer weights than the layer, and leaves the others. What a
        dict says is done, and nothing else. A rank of Tucker-2 is a pair (output, input channels); an int is both.
    energy : float in (0, 1]
        The smallest rank of each layer that keeps this share of its squared singular values; where the factors would
        not have fewer weights, the layer stays. For Tucker-2 the bound holds for both axes together.
    latency : "measure", or a float in (0, 1]
        The factors are timed on `data` against the layer, and stay where they are faster ("measure": beyond doubt;
        0.8: they take 80 % of its time or less). Alone, it takes the largest rank that does so, of up to six; with
        `rank` or `energy` it judges that rank.
    method : "channel", "spatial" or "tucker"
        For convolutions: kxk to fewer channels, then 1x1; kx1, then 1xk; or 1x1, kxk, 1x1.
    layers : iterable of str or None
        Names; None means all.
    data : Tensor or ndarray of inputs, or None
        A batch as the model takes it. Needed for `latency`, which times this batch, and for `aware`; with it the report
        has FLOPs, for one example.
    aware : bool
        Take the principal axes of each layer's responses to `data`, about their mean, in place of the weight's singular
        vectors, for Linear and for "channel" (Zhang, Zou, He and Sun 2016, section 3.1, the linear case). `energy` is
        then a share of the responses' variance, and the error that of the responses.

    Returns
    -------
    nn.Module
        With a report: `compress.report(new)` has rank, relative error in the Frobenius norm, and FLOPs where known.

    Raises
    ------
    TypeError
        If an argument is of a wrong type.
    ValueError
        For no or two ways to choose the rank, a rank or share out of range, an unknown method or layer, NaN in
        weights or data, empty data, data that do not reach a layer, and layers whose class is derived from Linear or
        Conv2d.
    """
    _check_choice(rank, energy, latency, method, aware, data)
    new = copied(model)
    names = list(rank) if isinstance(rank, Mapping) and layers is None else layers
    chosen = weighted_layers(new, [names] if isinstance(names, str) else names)
    _check_layers(chosen, rank)
    seen = {} if data is None else _inputs(new, chosen, data)
    changes = []
    for name, layer in chosen.items():
        wanted = rank[name] if isinstance(rank, Mapping) else rank
        factors = _factors(name, layer, method, seen.get(name) if aware else None)
        picked, note = _pick(
            name, factors, wanted, energy, latency, seen.get(name), isinstance(rank, Mapping)
        )
        changed = layer if picked is None else factors.build(picked)
        note += _flops_note(as_dense(layer), changed, seen.get(name)) if picked is not None else ""
        new = replaced(new, name, changed) if picked is not None else new
        changes.append(_change(name, layer, changed, note))
    how = _how(rank, energy, latency, aware)
    return add_report(new, Report("factorize", tuple(changes), how), before=model)


def break_even(rows: int, columns: int) -> int:
    """The largest rank at which two factors have fewer weights than a matrix of rows x columns; 0 where none has."""
    if rows < 1 or columns < 1:
        raise ValueError(f"a matrix has at least one row and column; got {rows} and {columns}")
    return (rows * columns - 1) // (rows + columns)


def _factors(name: str, layer: nn.Module, method: str, x: torch.Tensor | None) -> Factors | None:
    dense = as_dense(layer)
    if type(dense) not in (nn.Linear, nn.Conv2d):
        raise ValueError(
            f"layer {name!r} is a {type(dense).__name__}, which may use its weight in its own way; "
            "give the names of the other layers as layers="
        )
    if dense.weight.numel() == 0:
        raise ValueError(f"layer {name!r} has no weights: its shape is {tuple(dense.weight.shape)}")
    kind = LinearFactors if isinstance(dense, nn.Linear) else METHODS[method]
    if x is None:
        return kind(dense)
    if not issubclass(kind, MatrixFactors) or (method == "spatial" and kind is not LinearFactors):
        raise ValueError(f"aware=True knows Linear layers and method 'channel'; layer {name!r} is {method!r}")
    return kind(dense, _responses(dense, x))


def _pick(name, factors: Factors, wanted, energy, latency, x, obey: bool):
    """The rank to take, or None to keep the layer, and a note."""
    if wanted is not None:
        candidates = [_as_rank(name, wanted, factors, obey)]
    else:
        candidates = [factors.for_energy(energy)] if energy is not None else factors.grid()
    if not obey:
        candidates = [rank for rank in candidates if factors.is_smaller(rank)]
    if not candidates:
        return None, "kept: its factors would not have fewer weights"
    if latency is None:
        return candidates[0], _error_note(factors, candidates[0])
    race = _race(factors, candidates, x)
    for rank in candidates:
        ratio = race.ratio(str(rank), "layer")
        if ratio.low > 1 if latency == "measure" else ratio.median * latency >= 1:
            return rank, f"{_error_note(factors, rank)}, {ratio.median:.2f} times as fast"
    return None, f"kept: no rank of {', '.join(map(str, candidates))} was fast enough"


def _race(factors: Factors, ranks: list, x: torch.Tensor):
    from coursekit.measure import compare

    runs = {"layer": partial(factors.layer, x)}
    runs |= {str(rank): partial(factors.build(rank), x) for rank in ranks}
    with torch.inference_mode():
        return compare(runs, budget_s=BUDGET_S)


def _as_rank(name: str, wanted, factors: Factors, obey: bool):
    """A rank as the factors count it: a pair for Tucker-2. One for all layers is capped at what each can have."""
    pair = isinstance(factors, TuckerFactors)
    parts = wanted if isinstance(wanted, tuple | list) else (wanted,) * (2 if pair else 1)
    if len(parts) != (2 if pair else 1) or not all(_is_whole(part) for part in parts):
        wish = "a whole number or a pair of them" if pair else "a whole number"
        raise TypeError(f"the rank of layer {name!r} must be {wish}; got {wanted!r}")
    full = factors.full if pair else (factors.full,)
    if min(parts) < 1 or (obey and any(part > most for part, most in zip(parts, full, strict=True))):
        raise ValueError(f"the rank of layer {name!r} must lie between 1 and {factors.full}; got {wanted}")
    capped = tuple(min(int(part), most) for part, most in zip(parts, full, strict=True))
    return capped if pair else capped[0]


def _is_whole(value) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _inputs(model: nn.Module, layers: Mapping[str, nn.Module], data) -> dict[str, torch.Tensor]:
    """What reaches each layer, in evaluation mode. The layer's first call counts."""
    x = _as_tensor(data)
    parameter = next(model.parameters(), None)
    x = x if parameter is None else x.to(parameter.device)
    seen: dict[str, torch.Tensor] = {}
    with _evaluating(model), torch.no_grad():
        hooks = [layer.register_forward_pre_hook(_keeper(seen, name)) for name, layer in layers.items()]
        try:
            model(x)
        finally:
            for hook in hooks:
                hook.remove()
    for name in layers:
        if name not in seen:
            raise ValueError(f"data do not reach layer {name!r}; leave it out of layers=")
    return seen


def _keeper(seen: dict, name: str):
    def keep(module, args):
        seen.setdefault(name, args[0].detach())

    return keep


def _as_tensor(data) -> torch.Tensor:
    if not isinstance(data, torch.Tensor | np.ndarray):
        raise TypeError(f"data must be a tensor or an array of inputs; got {type(data).__name__}")
    x = torch.as_tensor(data)
    if x.ndim == 0 or x.numel() == 0:
        raise ValueError(f"data is empty: its shape is {tuple(x.shape)}; give at least one example")
    if x.is_floating_point() and not torch.isfinite(x).all():
        raise ValueError("data holds NaN or infinity; clean it first")
    return x


def _responses(layer: nn.Linear | nn.Conv2d, x: torch.Tensor) -> Responses:
    """The layer's answers to x, of each example and place, with their bias."""
    groups = getattr(layer, "groups", 1)
    sums = Responses(groups)
    with torch.no_grad():
        for part in x.split(256):
            y = layer(part)
            sums.add(y.movedim(-3, -1).flatten(0, -2) if isinstance(layer, nn.Conv2d) else y.flatten(0, -2))
    return sums


@contextmanager
def _evaluating(model: nn.Module):
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def _error_note(factors: Factors, rank) -> str:
    return f"{factors.parts} {rank} of {factors.full}, relative error {factors.error(rank):.2g}"


def _flops_note(layer: nn.Module, factors: nn.Module, x: torch.Tensor | None) -> str:
    """FLOPs of one example before and after, where it is known what reaches the layer."""
    if x is None:
        return ""
    from coursekit.measure import count

    before, after = (count(part, x[:1]).flops for part in (layer, factors))
    return f", {si(before, 'FLOP')} to {si(after, 'FLOP')}"


def _change(name: str, before: nn.Module, after: nn.Module, note: str) -> LayerChange:
    parts = [as_dense(after)] if not isinstance(after, nn.Sequential) else list(after)
    weights = [part.weight.detach() for part in parts]
    kind = " + ".join(type(part).__name__ for part in parts) if len(parts) > 1 else type(after).__name__
    sizes = sum(weight.numel() for weight in weights), sum(int(weight.count_nonzero()) for weight in weights)
    return LayerChange(name, kind, *sizes, state_bytes(before), state_bytes(after), note)


def _how(rank, energy, latency, aware: bool) -> str:
    """The arguments in a few words."""
    words = [f"rank {rank}"] if _is_whole(rank) else ["ranks as given"] if rank is not None else []
    words += [f"energy {energy:g}"] if energy is not None else []
    words += [f"latency {latency}"] if latency is not None else []
    return ", ".join([*words, *(["axes of the responses"] if aware else [])])


def _check_choice(rank, energy, latency, method, aware, data) -> None:
    if rank is None and energy is None and latency is None:
        raise ValueError("say how to choose ranks: rank=16, energy=0.9 or latency='measure'")
    if rank is not None and energy is not None:
        raise ValueError("rank and energy both choose the rank; give one of them")
    if rank is not None and not isinstance(rank, Mapping) and not _is_whole(rank):
        raise TypeError(f"rank must be a whole number or a dict of layer names to ranks; got {rank!r}")
    for what, share in (("energy", energy), ("latency", latency)):
        if share is None or (what == "latency" and share == "measure"):
            continue
        if isinstance(share, bool) or not isinstance(share, numbers.Real):
            raise TypeError(f"{what} must be a number in (0, 1]; got {share!r}")
        if not 0 < share <= 1:
            raise ValueError(f"{what} must lie in (0, 1]; got {share}")
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}; got {method!r}")
    if data is None and (latency is not None or aware):
        raise ValueError(
            f"{'latency' if latency is not None else 'aware'} needs data: a batch as the model takes it"
        )


def _check_layers(chosen: Mapping[str, nn.Module], rank) -> None:
    if isinstance(rank, Mapping) and set(rank) != set(chosen):
        odd = sorted(set(rank) ^ set(chosen))
        raise ValueError(f"rank and layers must name the same layers; only one of them names {odd}")
