"""What a weight is worth: one score for each weight, by its size, its gradient, its information, or its input.

Every function returns a dict from a layer's name to a tensor of the shape of its weight, with scores of at least 0; a
weight that is zero scores 0. What is removed first is what scores least. Layers that are stored in another form
(`CompressedLayer`) are taken as the ordinary layers that they stand for. The model stays as it was.

With the loss :math:`L`, and :math:`g_n` the gradient of example n's loss by a weight w:

===============  =============================  ===============================================================
function         score                          source
===============  =============================  ===============================================================
``magnitude``    |w|                            Han, Pool, Tran and Dally 2015, section 3
``taylor``       mean over batches of |w g|     Molchanov et al. 2017, eq. 7; 2019, eq. 8: the change of L to
                                                first order, batch by batch so that signs do not cancel
``fisher``       w² / 2 · mean of g_n²          LeCun, Denker and Solla 1990, eq. 5, with the empirical Fisher
                                                information in place of the Hessian: Theis et al. 2018, eq. 5
``activation``   |w| · sqrt(sum of x²)          Sun et al. 2024 (Wanda), eq. 1: x is what w multiplies
===============  =============================  ===============================================================
"""

import copy
from collections.abc import Callable, Iterable, Mapping

import torch
import torch.nn.functional as F
from torch import nn

from ...data import batches
from ..layers import as_dense, check_model, copied, replaced, weighted_layers
from .zeros import free_zeros

Scores = dict[str, torch.Tensor]
BATCH = 50
"""Examples at a time: `fisher` holds the gradients of so many at once."""


def magnitude(model: nn.Module, layers: Iterable[str] | None = None) -> Scores:
    """The size of each weight. `layers` as in `weighted_layers`, here and below; raises as it does."""
    check_model(model)
    return {name: weight.abs() for name, weight in _weights(model, layers).items()}


@torch.enable_grad()
def taylor(model: nn.Module, x, y, layers: Iterable[str] | None = None) -> Scores:
    """Size of weight times gradient: what the loss changes, to first order, when the weight becomes zero.

    Parameters
    ----------
    x, y : ndarray or Tensor, shapes (n, …) and (n,)
        Examples and classes; the loss is the cross-entropy. The model is in evaluation mode.
    layers : iterable of str or None
        Only these; None means all.

    Raises
    ------
    ValueError
        If there are no examples, not as many of both, a gradient that is not finite, or no such layer.
    """
    model, weights = _differentiable(model, layers)
    totals = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for images, labels, share in _examples(x, y):
        gradients = torch.autograd.grad(F.cross_entropy(model(images), labels), _live(model, weights))
        for name, gradient in zip(totals, gradients, strict=True):
            totals[name] += share * (weights[name] * gradient).abs()
    return _finite(totals)


def fisher(model: nn.Module, x, y, layers: Iterable[str] | None = None) -> Scores:
    """Half the squared weight times its Fisher information: what the loss changes, to second order.

    The information is the empirical one: the mean over the examples of the squared gradient of each one's loss, at
    the labels that are given. Arguments and errors are those of `taylor`.
    """
    model, weights = _differentiable(model, layers)
    paths = {f"{name}.weight".removeprefix("."): name for name in weights}
    live = dict(model.named_parameters())
    totals = {name: torch.zeros_like(weight) for name, weight in weights.items()}

    def loss(chosen, image, label):
        return F.cross_entropy(_call(model, live | chosen, image[None]), label[None])

    gradient_of_each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0), randomness="same")
    for images, labels, share in _examples(x, y):
        gradients = gradient_of_each({path: live[path].detach() for path in paths}, images, labels)
        for path, name in paths.items():
            totals[name] += share * gradients[path].square().mean(0)
    return _finite({name: weights[name].square() * total / 2 for name, total in totals.items()})


def activation(model: nn.Module, x, layers: Iterable[str] | None = None) -> Scores:
    """Size of the weight times the norm, over examples and positions, of the inputs that it multiplies.

    Parameters
    ----------
    x : ndarray or Tensor, shape (n, …)
        Examples; no labels are needed.

    Raises
    ------
    ValueError
        If there are no examples, or no such layer.
    """
    model, weights = _differentiable(model, layers)
    squares = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for name, layer in weighted_layers(model, weights).items():
        _collect(layer, copy.deepcopy(layer), squares[name])
    for images, _, _ in _examples(x, torch.zeros(len(x))):
        with torch.no_grad():
            model(images)
    return _finite({name: weight.abs() * squares[name].sqrt() for name, weight in weights.items()})


def _collect(layer: nn.Module, twin: nn.Module, squares: torch.Tensor) -> None:
    """Whenever `layer` is called, add up what it sees; its `twin` has no hooks that would call themselves."""
    layer.register_forward_pre_hook(lambda _, inputs: _add(squares, _squares_seen(twin, inputs[0])))


def _add(total: torch.Tensor, more: torch.Tensor) -> None:
    total += more


def _squares_seen(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """For each weight the sum of the squares of what it multiplies.

    The sum of a linear function of x² has these sums for its gradient, whatever stride, padding and groups are.
    """
    with torch.enable_grad():
        weight = layer.weight.detach().requires_grad_()
        total = torch.func.functional_call(layer, {"weight": weight}, (x.detach().square(),)).sum()
        return torch.autograd.grad(total, weight)[0]


BY_NAME: Mapping[str, Callable] = {
    "magnitude": lambda model, x, y, layers: magnitude(model, layers),
    "taylor": taylor,
    "fisher": fisher,
    "activation": lambda model, x, y, layers: activation(model, x, layers),
}
"""The ways that `prune` knows by name."""


def scores(model: nn.Module, importance, data=None, layers: Iterable[str] | None = None) -> Scores:
    """The scores by a way that is named, or by a function of one's own.

    Parameters
    ----------
    importance : str or callable
        "magnitude", "taylor", "fisher" or "activation"; or a function that takes the model and `data` and returns a
        dict from each layer's name to its scores (arrays of the weight's shape, finite).
    data : pair or None
        (x, y); the first and the last of the four do without y and without both.

    Raises
    ------
    TypeError, ValueError
        If the importance is unknown, data are needed and missing, or a function's scores do not fit the weights.
    """
    if callable(importance):
        return _checked(importance(model, data), _weights(model, layers))
    if importance not in BY_NAME:
        raise ValueError(f"importance must be a function or one of {', '.join(BY_NAME)}; got {importance!r}")
    if data is None and importance != "magnitude":
        raise ValueError(f"importance {importance!r} needs data=(x, y); got none")
    x, y = (None, None) if data is None else _pair(data)
    return BY_NAME[importance](model, x, y, layers)


def _pair(data):
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise TypeError(f"data must be a pair (x, y); got {type(data).__name__}")
    return data


def _checked(given, weights: Scores) -> Scores:
    if not isinstance(given, Mapping) or not set(weights) <= set(given):
        got = list(given) if isinstance(given, Mapping) else type(given).__name__
        raise ValueError(f"importance must return scores of the layers {list(weights)}; got {got}")
    found = {name: torch.as_tensor(given[name]).detach().double() for name in weights}
    for name, weight in weights.items():
        if found[name].shape != weight.shape:
            raise ValueError(
                f"the scores of {name!r} must have its weight's shape {tuple(weight.shape)}; "
                f"got {tuple(found[name].shape)}"
            )
    return _finite(found)


def _weights(model: nn.Module, layers) -> Scores:
    return {
        name: as_dense(layer).weight.detach().clone()
        for name, layer in weighted_layers(model, layers).items()
    }


def _differentiable(model: nn.Module, layers) -> tuple[nn.Module, Scores]:
    """A copy in evaluation mode, with ordinary layers, and the weights to score."""
    weights = _weights(model, layers)
    model = copied(model)
    for name, layer in weighted_layers(model).items():
        model = replaced(model, name, free_zeros(as_dense(layer)))  # gradients as they are
    return model.eval().requires_grad_(True), weights


def _live(model: nn.Module, weights: Scores) -> list[torch.Tensor]:
    return [layer.weight for layer in weighted_layers(model, weights).values()]


def _call(model: nn.Module, parameters, images):
    return torch.func.functional_call(model, parameters, (images,))


def _examples(x, y):
    """Batches, and each one's share of all examples."""
    if y is None:
        raise ValueError("this importance needs labels: data=(x, y); got None for y")
    if len(x) == 0 or len(x) != len(y):
        raise ValueError(
            f"data have {len(x)} examples and {len(y)} labels; wanted as many of both, at least 1"
        )
    for images, labels in batches(x, y, BATCH):
        yield images, labels, len(images) / len(x)


def _finite(found: Scores) -> Scores:
    for name, score in found.items():
        if not torch.isfinite(score).all():
            raise ValueError(
                f"the scores of {name!r} hold NaN or infinity; look at the data and at the model's output"
            )
    return found
