"""A model as a chain of operations that have a form in integers, found by following its forward pass."""

from dataclasses import dataclass, field

import torch
from torch import fx, nn
from torch.nn import functional

from ..layers import WEIGHTED, as_dense, copied, replaced, weighted_layers
from .fold import fold_batch_norm, traced

INPUT = "input"
"""The name of the model's input among the activations."""


@dataclass
class Step:
    """One operation of the chain: its name, what it does, and with what."""

    name: str
    kind: str
    layer: nn.Module | None = None
    options: dict = field(default_factory=dict)


def name_of(node: fx.Node) -> str:
    """A module's own name, or the one that torch.fx gives a function's call."""
    return node.target if node.op == "call_module" else node.name


def chain(model: nn.Module) -> tuple[nn.Module, list[Step]]:
    """A copy in floats with batch norm folded, and its operations one after the other."""
    model = copied(model).eval()
    for name, layer in weighted_layers(model).items():
        model = replaced(model, name, as_dense(layer))
    model = fold_batch_norm(model)
    if isinstance(model, WEIGHTED):
        model = nn.Sequential(model)
    steps, previous = [], None
    for node in traced(model).nodes:
        if node.op in ("placeholder", "output"):
            previous = node if node.op == "placeholder" and previous is None else previous
            continue
        step = _step(model, node)
        inputs = node.all_input_nodes
        if inputs != [previous]:
            raise ValueError(
                f"{name_of(node)} does not follow on {name_of(previous)} alone: only chains of layers are supported"
            )
        steps.append(step)
        previous = node
    names = [step.name for step in steps]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice} is used more than once; give each place a layer of its own")
    return model, steps


FUNCTIONS = {
    functional.relu: "relu",
    torch.relu: "relu",
    functional.relu6: "relu6",
    torch.flatten: "flatten",
    functional.max_pool2d: "pool",
    torch.max_pool2d: "pool",
}
METHODS = {"relu": "relu", "relu_": "relu", "flatten": "flatten", "contiguous": "nothing"}
MODULES = {
    nn.ReLU: "relu",
    nn.ReLU6: "relu6",
    nn.MaxPool2d: "pool",
    nn.Flatten: "flatten",
    nn.Identity: "nothing",
    nn.Dropout: "nothing",
    nn.Dropout2d: "nothing",
    nn.Linear: "linear",
    nn.Conv2d: "conv",
}


def _step(model: nn.Module, node: fx.Node) -> Step:
    if node.op == "call_module":
        module = model.get_submodule(node.target)
        kind = MODULES.get(type(module))
        if kind is None:
            raise unsupported(f"{node.target} ({type(module).__name__})")
        options = {name: getattr(module, name) for name in OPTIONS.get(kind, ()) if hasattr(module, name)}
        return Step(node.target, kind, module if kind in ("linear", "conv") else None, options)
    table = {"call_function": FUNCTIONS, "call_method": METHODS}.get(node.op, {})
    kind = table.get(node.target)
    if kind is None:
        raise unsupported(f"{node.name} ({node.op} {getattr(node.target, '__name__', node.target)})")
    given = dict(zip(OPTIONS.get(kind, ()), node.args[1:], strict=False))
    return Step(node.name, kind, None, {**given, **node.kwargs})


OPTIONS = {
    "pool": ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices"),
    "flatten": ("start_dim", "end_dim"),
}


def unsupported(what: str) -> ValueError:
    return ValueError(
        f"{what} has no integer form; supported are Linear, Conv2d, batch norm after them, ReLU, ReLU6, MaxPool2d, "
        "Flatten, Dropout and Identity"
    )


def relu_of(steps: list[Step], i: int) -> Step | None:
    """The ReLU that the layer at i can do itself: what lies between keeps the order of numbers."""
    for step in steps[i + 1 :]:
        if step.kind in ("relu", "relu6"):
            return step
        if step.layer is not None:
            return None
    return None


def output_name(steps: list[Step], i: int) -> str:
    relu = relu_of(steps, i)
    return relu.name if relu else steps[i].name


def returns_floats(steps: list[Step], i: int) -> bool:
    return steps[i].kind == "linear" and all(step.kind == "nothing" for step in steps[i + 1 :])


def activations(steps: list[Step]) -> list[str]:
    _check_start(steps)
    outputs = [
        output_name(steps, i)
        for i, step in enumerate(steps)
        if step.layer is not None and not returns_floats(steps, i)
    ]
    return [INPUT, *outputs]


def _check_start(steps):
    """A ReLU of the input has no layer before it that could end at zero."""
    for step in steps:
        if step.layer is not None:
            return
        if step.kind in ("relu", "relu6"):
            raise unsupported(f"{step.name}, a ReLU before all layers,")
