"""Batch norm folded into the layer before it, as nothing but a scale and a shift of that layer's results is left of it.

In evaluation mode batch norm computes γ · (y − μ) / √(σ² + ε) + β of y = Wx + b with constants for all but y. So
γ / √(σ² + ε) times W and b − μ, with β added, give the same result in one layer. Jacob et al., "Quantization and
training of neural networks for efficient integer-arithmetic-only inference", CVPR 2018, section 3.2.
"""

import torch
from torch import fx, nn

from ..layers import WEIGHTED, CompressedLayer, as_dense, copied, replaced

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


class _Tracer(fx.Tracer):
    """Stops at whole layers, those in a compressed form among them."""

    def is_leaf_module(self, module, name):
        return isinstance(module, CompressedLayer) or super().is_leaf_module(module, name)


def traced(model: nn.Module) -> fx.Graph:
    """The operations of a model's forward pass, with modules of torch and compressed ones left whole.

    Raises ValueError where its forward pass cannot be traced.
    """
    try:
        return _Tracer().trace(model)
    except Exception as error:  # a forward pass may do anything
        raise ValueError(
            f"the forward pass of {type(model).__name__} cannot be followed ({error}); "
            "it has to be the same for all inputs, without questions about their values"
        ) from error


def fold_batch_norm(model: nn.Module) -> nn.Module:
    """Fold each BatchNorm1d and BatchNorm2d into the Linear or Conv2d, or the CompressedLayer, before it.

    Batch norms become nn.Identity, so that all other layers keep their names. One is left where it is if what is before
    it is no such layer, or if that layer's result or weights are used elsewhere, too.

    Parameters
    ----------
    model : nn.Module
        Left as it is. One whose forward pass asks nothing about values, since it is traced (torch.fx).

    Returns
    -------
    nn.Module
        A copy in evaluation mode, with the same results as `model` in evaluation mode, up to rounding.

    Raises
    ------
    ValueError
        If a batch norm has no running statistics, if a tensor holds NaN or infinity, or if the model cannot be traced.
    TypeError
        If model is no module.
    """
    model = copied(model).eval()
    if not any(isinstance(part, NORMS) for part in model.modules()):
        return model
    if isinstance(model, (*NORMS, *WEIGHTED, CompressedLayer)):
        return model
    graph = traced(model)
    for node in list(graph.nodes):
        if pair := _pair(model, graph, node):
            _fold(model, *pair)
    return model


def _pair(model: nn.Module, graph: fx.Graph, node: fx.Node) -> tuple[str, str] | None:
    """The names of a layer and the batch norm that alone reads its result, the latter being ``node``."""
    if node.op != "call_module" or not isinstance(model.get_submodule(node.target), NORMS):
        return None
    before = node.args[0] if node.args else None
    if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) > 1:
        return None
    layer = model.get_submodule(before.target)
    shared = [_calls(model, graph, name) > 1 for name in (before.target, node.target)]
    if any(shared) or not isinstance(layer, (*WEIGHTED, CompressedLayer)):
        return None
    fits = len(as_dense(layer).weight) == model.get_submodule(node.target).num_features
    return (before.target, node.target) if fits else None


def _calls(model: nn.Module, graph: fx.Graph, name: str) -> int:
    """How often a module is used, under whatever name."""
    module = model.get_submodule(name)
    used = [node for node in graph.nodes if node.op == "call_module"]
    return sum(model.get_submodule(node.target) is module for node in used)


def _fold(model: nn.Module, name: str, norm: str) -> None:
    layer, batch_norm = model.get_submodule(name), model.get_submodule(norm)
    if batch_norm.running_mean is None:
        raise ValueError(
            f"{norm} has no running statistics, so that its results depend on the batch; "
            "make it with track_running_stats=True and train again"
        )
    dense = as_dense(layer)
    folded = _folded(dense, batch_norm)
    keeps = isinstance(layer, CompressedLayer) and dense.bias is not None
    replaced(model, name, layer.like(folded) if keeps else folded)
    replaced(model, norm, nn.Identity())


@torch.no_grad()
def _folded(layer: nn.Linear | nn.Conv2d, norm: nn.Module) -> nn.Linear | nn.Conv2d:
    """One layer that does what both do, computed in float64."""
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.affine:
        scale = scale * norm.weight.double()
    shift = norm.bias.double() if norm.affine else 0
    bias = 0 if layer.bias is None else layer.bias.double()
    dtype, weight = layer.weight.dtype, layer.weight
    layer.weight = nn.Parameter(
        (weight.double() * scale.reshape(-1, *[1] * (weight.dim() - 1))).to(dtype),
        requires_grad=weight.requires_grad,
    )
    layer.bias = nn.Parameter(((bias - norm.running_mean.double()) * scale + shift).to(dtype))
    return layer
