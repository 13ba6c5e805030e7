"""Which channels of a model hang together, so that they can only go together.

The model is traced with torch.fx. Each output channel of a convolution and each neuron of a linear layer is a unit
with a number, and each tensor on the way carries the units of its channels. Where two tensors are added, their units
become one; a layer that reads units notes them. This is the dependency graph of Fang, Ma, Song, Mi and Wang, "DepGraph:
Towards Any Structural Pruning", CVPR 2023, section 3, kept number by number in place of layer by layer: a flattened or
concatenated tensor needs no rule for what comes after it.
"""

from collections.abc import Callable
from math import prod

import numpy as np
import torch
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from ..layers import CompressedLayer, as_dense
from .units import Channels, Flow, Use

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.PReLU)
"""Layers with numbers for each channel, which go with it."""


class _Tracer(fx.Tracer):
    def is_leaf_module(self, module, name):
        return isinstance(module, CompressedLayer) or super().is_leaf_module(module, name)


def find_channels(model: nn.Module, example) -> Channels:
    """Trace a model and tie its channels. ``example``: a tensor, or a tuple of them; the batch is axis 0.

    Raises ValueError that names the node which cannot be handled, or says why the model cannot be traced.
    """
    graph = _traced(model, example)
    walk = _Walk(graph)
    for node in graph.graph.nodes:
        walk.visit(node)
    return walk.found


def _traced(model: nn.Module, example) -> fx.GraphModule:
    try:
        graph = fx.GraphModule(model, _Tracer().trace(model))
    except Exception as error:  # the model's own code runs here
        raise ValueError(f"the model cannot be traced with torch.fx: {error}") from error
    example = tuple(map(torch.as_tensor, example if isinstance(example, tuple) else (example,)))
    with torch.no_grad():
        try:
            model(*example)  # ShapeProp would print what is raised
        except Exception as error:
            raise ValueError(f"the model cannot compute the example: {error}") from error
        ShapeProp(graph).propagate(*example)
    return graph


def _shape(node) -> tuple[int, ...] | None:
    """Of the tensor that a node gives; None where it gives something else."""
    found = node.meta.get("tensor_meta") if isinstance(node, fx.Node) else None
    return tuple(found.shape) if hasattr(found, "shape") else None


class _Walk:
    """Goes through the nodes in order; ``flows`` holds what each gave."""

    def __init__(self, graph: fx.GraphModule):
        self.graph, self.found = graph, Channels()
        self.units = self.found.units
        self.flows: dict[fx.Node, Flow | None] = {}

    def visit(self, node: fx.Node) -> None:
        rule = self._rule(node)
        if all(self.flows.get(n) is None for n in node.all_input_nodes) and rule is not _Walk._layer:
            self.flows[node] = None  # nothing that could go comes in
        elif rule is None:
            raise ValueError(
                f"node {self._name(node)} cannot be handled: its effect on channels is not known"
            )
        else:
            self.flows[node] = rule(self, node)

    def _rule(self, node: fx.Node) -> Callable | None:
        if node.op == "output":
            return _Walk._hold
        if node.op == "call_module":
            module = self.graph.get_submodule(node.target)
            return next((rule for kinds, rule in _MODULES if isinstance(module, kinds)), None)
        if node.op in ("call_function", "call_method"):
            if "tensor_meta" not in node.meta:  # x.size(0)
                return _Walk._nothing
            name = node.target if isinstance(node.target, str) else node.target.__name__
            return next((rule for names, rule in _FUNCTIONS if name in names), None)
        return None

    def _name(self, node: fx.Node) -> str:
        if node.op == "call_module":
            return f"{node.target!r} ({type(self.graph.get_submodule(node.target)).__name__})"
        return f"{node.name!r} ({getattr(node.target, '__name__', node.target)})"

    def _only(self, node: fx.Node) -> Flow:
        """The flow of the one input that has units."""
        flows = [self.flows[n] for n in node.all_input_nodes if self.flows.get(n) is not None]
        if len(flows) > 1:
            raise ValueError(
                f"node {self._name(node)} cannot be handled: it joins tensors in a way not known"
            )
        return flows[0]

    def _nothing(self, node: fx.Node) -> None:
        return None

    def _same(self, node: fx.Node) -> Flow:
        return self._only(node)

    def _hold(self, node: fx.Node) -> None:
        """What mixes all channels, or shows them to the outside: they stay."""
        for flow in filter(None, (self.flows[n] for n in node.all_input_nodes)):
            self.units.hold(flow.units)

    def _layer(self, node: fx.Node) -> Flow | None:
        layer = as_dense(self.graph.get_submodule(node.target))
        flow = self.flows[node.args[0] if node.args else node.all_input_nodes[0]]
        last = len(_shape(node)) - 1
        axis = last if isinstance(layer, nn.Linear) else last - len(layer.kernel_size)
        if flow is not None and flow.axis != axis:
            raise ValueError(
                f"node {self._name(node)} cannot be handled: it does not read the axis of channels"
            )
        outputs = self._made(layer, flow)
        return Flow(axis, self._note(node.target, flow and flow.units, outputs).outputs)

    def _made(self, layer: nn.Module, flow: Flow | None) -> np.ndarray:
        """The units of a layer's outputs. Groups stay as many, and equally large; those of one input go with it."""
        groups, outputs = getattr(layer, "groups", 1), layer.weight.shape[0]
        if groups == 1:
            return self.units.new(outputs)
        inputs = layer.in_channels
        if groups == inputs and flow is not None:
            return np.repeat(flow.units, outputs // inputs)
        if flow is not None:
            of_groups = flow.units.reshape(groups, -1)
            self.units.tie(of_groups[:-1].ravel(), of_groups[1:].ravel())
        return np.tile(self.units.new(outputs // groups), groups)

    def _note(self, name: str, inputs: np.ndarray | None, outputs: np.ndarray) -> Use:
        """Write down a layer's use of units; one that is called again has to lose the same channels."""
        before = self.found.uses.setdefault(name, Use(inputs, outputs))
        for old, new in ((before.inputs, inputs), (before.outputs, outputs)):
            if old is None or new is None:
                for units in (old, new):
                    if units is not None:
                        self.units.hold(units)
            elif old is not new:
                self.units.tie(old, new)
        return before

    def _norm(self, node: fx.Node) -> Flow:
        flow, layer = self._only(node), self.graph.get_submodule(node.target)
        if isinstance(layer, nn.PReLU) and layer.num_parameters == 1:
            return flow
        if flow.axis != 1:
            raise ValueError(
                f"node {self._name(node)} cannot be handled: it does not read the axis of channels"
            )
        self._note(node.target, flow.units, flow.units)
        return flow

    def _join(self, node: fx.Node) -> Flow:
        """Two tensors become one, number by number: channels that meet are tied."""
        shape, result = _shape(node), None
        for other in node.all_input_nodes:
            flow, own = self.flows[other], _shape(other)
            place = None if flow is None else flow.axis - len(own)
            if flow is None or own[place] != shape[place]:  # or one channel for all
                continue
            if result is None:
                result = Flow(place + len(shape), flow.units)
            elif result.axis == place + len(shape):
                self.units.tie(result.units, flow.units)
            else:
                raise ValueError(
                    f"node {self._name(node)} cannot be handled: channels meet along different axes"
                )
        for other in node.all_input_nodes if result else ():
            self._hold_against(self.flows[other], _shape(other), result, len(shape))
        if result is None:
            self._hold(node)
        return result

    def _hold_against(self, flow: Flow | None, own: tuple | None, result: Flow, ndim: int) -> None:
        """A tensor without units has one number for each channel: they stay."""
        place = result.axis - ndim
        if flow is None and own is not None and len(own) >= -place and own[place] != 1:
            self.units.hold(result.units)

    def _concatenate(self, node: fx.Node) -> Flow:
        tensors, axis = node.args[0], _argument(node, 1, "dim", 0)
        axis %= len(_shape(node))
        flows = [self.flows[tensor] for tensor in tensors]
        for i, tensor in enumerate(tensors):
            if flows[i] is None:  # its channels stay, but the others' may go
                along = next(flow.axis for flow in flows if flow is not None)
                flows[i] = Flow(along, self.units.new(_shape(tensor)[along]))
                self.units.hold(flows[i].units)
        if len({flow.axis for flow in flows}) > 1:
            raise ValueError(f"node {self._name(node)} cannot be handled: channels meet along different axes")
        if flows[0].axis == axis:
            return Flow(axis, np.concatenate([flow.units for flow in flows]))
        for flow in flows[1:]:
            self.units.tie(flows[0].units, flow.units)
        return flows[0]

    def _flatten(self, node: fx.Node) -> Flow:
        shape, flow = _shape(node.all_input_nodes[0]), self._only(node)
        if node.op == "call_module":
            layer = self.graph.get_submodule(node.target)
            start, end = layer.start_dim, layer.end_dim
        else:
            start, end = _argument(node, 1, "start_dim", 0), _argument(node, 2, "end_dim", -1)
        start, end = start % len(shape), end % len(shape)
        if start == 0 < end:
            raise ValueError(f"node {self._name(node)} cannot be handled: it flattens the batch, too")
        if not start <= flow.axis <= end:
            return Flow(flow.axis - (end - start if flow.axis > end else 0), flow.units)
        inner, outer = prod(shape[flow.axis + 1 : end + 1]), prod(shape[start : flow.axis])
        return Flow(start, np.tile(np.repeat(flow.units, inner), outer))

    def _reshape(self, node: fx.Node) -> Flow:
        """What is a flattening from the axis of channels on, or leaves that axis as it is."""
        old, new, flow = _shape(node.all_input_nodes[0]), _shape(node), self._only(node)
        sizes = (
            node.args[1] if len(node.args) == 2 and isinstance(node.args[1], tuple | list) else node.args[1:]
        )
        axis, fits = flow.axis, old[: flow.axis] == new[: flow.axis]
        inner = [
            prod(old[axis + 1 : end])
            for end in range(axis + 1, len(old) + 1)
            if new[axis : axis + 1] == (prod(old[axis:end]),)
        ]
        if not fits or not inner:
            raise ValueError(f"node {self._name(node)} cannot be handled: channels do not stay together")
        if len(sizes) > axis and isinstance(sizes[axis], int) and sizes[axis] >= 0:
            raise ValueError(
                f"node {self._name(node)} cannot be handled: it wants {sizes[axis]} numbers, channels or not; "
                "write flatten(1), or -1 in its place"
            )
        return Flow(axis, np.repeat(flow.units, inner[0]))

    def _reduce(self, node: fx.Node) -> Flow | None:
        """A mean or sum over other axes; over that of channels it holds them."""
        flow, ndim = self._only(node), len(_shape(node.all_input_nodes[0]))
        axes = _argument(node, 1, "dim", None)
        axes = range(ndim) if axes is None else [axes] if isinstance(axes, int) else axes
        axes = {axis % ndim for axis in axes}
        if flow.axis in axes:
            return self._hold(node)
        if len(_shape(node)) == ndim:
            return flow
        return Flow(flow.axis - sum(axis < flow.axis for axis in axes), flow.units)


def _argument(node: fx.Node, place: int, name: str, default):
    return node.args[place] if len(node.args) > place else node.kwargs.get(name, default)


_ELEMENTWISE = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Sigmoid, nn.Tanh, nn.Softplus,
    nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d,
)  # fmt: skip
_SPATIAL = (
    nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d, nn.Upsample, nn.ZeroPad2d,
)  # fmt: skip
_MIXING = (nn.Softmax, nn.LogSoftmax, nn.LayerNorm, nn.GroupNorm)

_MODULES = (
    ((nn.Linear, nn.Conv1d, nn.Conv2d, CompressedLayer), _Walk._layer),
    (NORMS, _Walk._norm),
    ((*_ELEMENTWISE, *_SPATIAL), _Walk._same),
    (nn.Flatten, _Walk._flatten),
    (_MIXING, _Walk._hold),
)
_SAME = (
    "relu", "relu_", "relu6", "leaky_relu", "elu", "gelu", "silu", "sigmoid", "tanh", "hardswish", "hardsigmoid",
    "hardtanh", "softplus", "neg", "abs", "exp", "clamp", "dropout", "dropout2d", "contiguous", "clone", "detach",
    "float", "double", "max_pool1d", "max_pool2d", "avg_pool1d", "avg_pool2d", "adaptive_avg_pool1d",
    "adaptive_avg_pool2d", "adaptive_max_pool2d", "interpolate",
)  # fmt: skip
_JOINING = (
    "add", "sub", "mul", "truediv", "div", "iadd", "isub", "imul", "add_", "sub_", "mul_", "maximum", "minimum",
)  # fmt: skip
_FUNCTIONS = (
    (_SAME, _Walk._same),
    (_JOINING, _Walk._join),
    (("cat", "concat", "concatenate"), _Walk._concatenate),
    (("flatten",), _Walk._flatten),
    (("view", "reshape"), _Walk._reshape),
    (("mean", "sum", "amax"), _Walk._reduce),
    (("softmax", "log_softmax", "layer_norm", "group_norm"), _Walk._hold),
)
