"""Weights set to exactly zero: by what score, in what pattern, at once or step by step, and back to where they began.

A pruned model is an ordinary one. Its zeros are its masks, and they stay zero when it is trained on
(:mod:`~coursekit.compress.pruning.zeros`). It is neither smaller nor faster yet:
`to_sparse` and `remove_channels` see to that.
"""

from collections.abc import Callable, Iterable

import torch
from torch import nn

from ..layers import as_dense, check_model, copied, replaced, weighted_layers
from ..report import LayerChange, Report, add_report, state_bytes
from .importance import scores
from .patterns import Masks, blocks, n_of_m, read_pattern, single
from .zeros import keep_zeros

SCOPES = ("global", "layer")


def prune(
    model: nn.Module,
    sparsity: float,
    *,
    importance: str | Callable = "magnitude",
    scope: str = "global",
    pattern: str = "single",
    data: tuple | None = None,
    layers: Iterable[str] | None = None,
) -> nn.Module:
    """Return a copy of a model with a share of its weights set to zero: those that score least.

    Weights of ``nn.Linear`` and ``nn.Conv2d``; biases stay. The zeros stay zero in training (see `zeros`). What is zero
    already counts as gone, and goes first: pruning a pruned model to the same share changes nothing.

    Parameters
    ----------
    model : nn.Module
        Left as it was.
    sparsity : float
        The share of all weights of the layers that is zero afterwards, from 0 to 1: exactly
        ``round(sparsity * n)`` of n weights in the pattern "single", as near as whole blocks come in "block",
        and 1 - N/M in "N:M".
    importance : str or callable
        "magnitude", "taylor", "fisher" or "activation", or a function: see `importance.scores`.
    scope : str
        "global" ranks the weights of all layers together, "layer" takes the share from each.
    pattern : str
        "single"; "N:M", N left of each M neighbours in a row, such as "2:4" (Mishra et al. 2021); or "block", eight
        outputs by one input, as ``block_sparse_matmul`` takes them. Rows are those of the weight, flattened
        behind its first axis.
    data : pair or None
        Examples and classes (x, y), where the importance needs them.
    layers : iterable of str or None
        Names; None means all with weights.

    Returns
    -------
    nn.Module
        With a report.

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these, a weight or a score is not finite, a layer does not fit the pattern, or
        data are missing or empty.
    """
    check_model(model)
    kind, n, m = read_pattern(pattern)
    _check(sparsity, scope, kind, n, m)
    layers = list(weighted_layers(model, layers))
    masks = _masks(_ranked(model, scores(model, importance, data, layers)), sparsity, scope, kind, n, m)
    how = importance if isinstance(importance, str) else getattr(importance, "__name__", "own scores")
    words = [scope, how] if kind == "single" else [scope, how, pattern]
    return _masked(model, masks, f"{' '.join(words)}, {100 * sparsity:.4g} % asked for")


def prune_gradually(
    model: nn.Module,
    sparsity: float,
    tune: Callable[[nn.Module], object],
    *,
    steps: int = 5,
    **how,
) -> nn.Module:
    """Prune a share in several steps and train after each.

    Parameters
    ----------
    sparsity : float
        The share that is zero in the end.
    tune : callable
        Trains a model in place: ``lambda m: train(m, split, epochs=1, batch_size=64, lr=3e-3)``.
    steps : int
        At least 1; their shares are those of `cubic`, from the model's own on.
    how
        Goes to `prune`.

    Returns
    -------
    nn.Module
        Trained after the last step. Its last report says what the last step did.

    Raises
    ------
    TypeError, ValueError
        As `prune`; or if steps is not positive, or tune cannot be called.
    """
    if not callable(tune):
        raise TypeError(f"tune must be a function that trains a model in place; got {type(tune).__name__}")
    start = min(sparsity_of(model, how.get("layers")), sparsity)
    for share in cubic(sparsity, steps, start):
        model = prune(model, share, **how)
        tune(model)
    return model


def cubic(sparsity: float, steps: int, start: float = 0.0) -> tuple[float, ...]:
    """The shares after each step of the schedule of Zhu and Gupta 2017, eq. 1: fast at first, slow at the end.

    Raises ValueError where steps is not positive.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}; pruning takes at least 1")
    return tuple(sparsity + (start - sparsity) * (1 - t / steps) ** 3 for t in range(1, steps + 1))


def rewind(pruned: nn.Module, early: nn.Module) -> nn.Module:
    """The lottery ticket of Frankle and Carbin 2019: an early state of the model with the zeros of the pruned one.

    Parameters
    ----------
    pruned : nn.Module
        Its layers' zeros are taken.
    early : nn.Module
        The same architecture at its start, or after a few steps (Frankle et al. 2020); weights and all else of it
        are taken.

    Returns
    -------
    nn.Module
        A new model, whose zeros stay zero. Train it as the early one was trained.

    Raises
    ------
    ValueError
        If the layers of both differ in names or shapes.
    """
    masks = {name: as_dense(layer).weight != 0 for name, layer in weighted_layers(pruned).items()}
    others = {name: as_dense(layer).weight.shape for name, layer in weighted_layers(early).items()}
    if others != {name: mask.shape for name, mask in masks.items()}:
        raise ValueError(f"pruned and early must have the same layers; got {_shapes(masks)} and {others}")
    return _masked(early, masks, "rewound to an early state", technique="rewind")


def sparsity_of(model: nn.Module, layers: Iterable[str] | None = None) -> float:
    """The share of a model's weights (of Linear and Conv2d, or of those named) that is zero, from 0 to 1."""
    weights = [as_dense(layer).weight for layer in weighted_layers(model, layers).values()]
    return sum(int((weight == 0).sum()) for weight in weights) / sum(map(torch.numel, weights))


def _check(sparsity, scope, kind, n, m) -> None:
    if isinstance(sparsity, bool) or not isinstance(sparsity, int | float):
        raise TypeError(f"sparsity must be a number from 0 to 1; got {type(sparsity).__name__}")
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity must be a share from 0 to 1; got {sparsity}")
    if scope not in SCOPES:
        raise ValueError(f"scope must be one of {', '.join(map(repr, SCOPES))}; got {scope!r}")
    if kind == "n:m" and abs(sparsity - (1 - n / m)) > 1e-9:
        raise ValueError(
            f"pattern {n}:{m} makes {1 - n / m:.4g} of the weights zero; got sparsity {sparsity}"
        )


def _ranked(model: nn.Module, found: dict) -> dict:
    """The scores, with minus infinity where a weight is zero already."""
    weights = {name: as_dense(layer).weight for name, layer in weighted_layers(model, found).items()}
    return {name: score.masked_fill(weights[name] == 0, -torch.inf) for name, score in found.items()}


def _masks(ranked: dict, sparsity: float, scope: str, kind: str, n: int, m: int) -> Masks:
    if kind == "n:m":
        return n_of_m(ranked, n, m)
    choose = {"single": single, "block": blocks}[kind]
    if scope == "global":
        return choose(ranked, sparsity)
    return {name: choose({name: score}, sparsity)[name] for name, score in ranked.items()}


def _masked(model: nn.Module, masks: Masks, note: str, technique: str = "prune") -> nn.Module:
    new, changes = copied(model), []
    for name, mask in masks.items():
        old = new.get_submodule(name)
        dense = as_dense(old)
        with torch.no_grad():
            dense.weight.masked_fill_(~mask, 0)
        layer = dense if dense is old else old.like(dense)
        before = state_bytes(old)
        if dense is old:
            keep_zeros(layer)
        else:
            new = replaced(new, name, layer)
        changes.append(_change(name, layer, before))
    return add_report(new, Report(technique, tuple(changes), note), before=model)


def _change(name: str, layer: nn.Module, before: int) -> LayerChange:
    weight = as_dense(layer).weight
    zeros = int((weight == 0).sum())
    share = f"{zeros / max(weight.numel(), 1):.1%} zero"
    note = f"{share}: nothing is left of it" if zeros == weight.numel() else share
    after = state_bytes(layer)
    return LayerChange(
        name, type(layer).__name__, weight.numel(), weight.numel() - zeros, before, after, note
    )


def _shapes(masks: Masks) -> dict:
    return {name: tuple(mask.shape) for name, mask in masks.items()}
