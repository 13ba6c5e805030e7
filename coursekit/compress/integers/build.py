"""True integer inference: a trained model of floats made into one whose layers compute with integers alone.

Activations are int8, products are summed in int32 and brought back to int8 by an integer multiplication and a shift;
batch norm is folded, a bias is an int32. Jacob et al., "Quantization and training of neural networks for efficient
integer-arithmetic-only inference", CVPR 2018, section 2.
"""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import torch
from torch import fx, nn

from ..layers import weighted_layers
from ..report import LayerChange, Report, add_report, state_bytes
from .chain import INPUT, Step, activations, chain, name_of, output_name, relu_of, returns_floats
from .fold import traced
from .layers import IntConv2d, IntLinear, one_number
from .parts import IntFlatten, IntMaxPool2d, IntReLU
from .run import IntegerModel
from .scale import scale_and_zero

BATCH = 256


def to_integer(
    model: nn.Module,
    calibration_data: torch.Tensor | np.ndarray | Iterable[torch.Tensor],
    *,
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> IntegerModel:
    """Make a model whose layers compute with integers, and which takes and returns floats as the old one did.

    Images are quantised at the entrance; the last layer, where it is linear, returns its sums in int32 times what a
    unit is worth. Weights are symmetric with a scale for each output channel, activations have one scale and zero point
    for a tensor. Results are rounded to the nearest, halves away from zero, and what is beyond int8 becomes its end.

    Parameters
    ----------
    model : nn.Module
        A chain of Linear, Conv2d (or compressed ones), batch norm, ReLU, ReLU6, MaxPool2d, Flatten, Dropout and
        Identity; left as it is.
    calibration_data : torch.Tensor, np.ndarray or iterable of torch.Tensor
        Images, shape (n, ...), float, like those the model will see; or batches of them, alone or first in a pair. Only
        looked at where a range is not given.
    ranges : mapping of str to (float, float), or None
        The lowest and the highest value of each activation that `activation_names` lists; None means those that occur
        in the calibration data. A range is widened to hold 0, and where an output's step would be less than four of the
        units of the layer's sums, to that. Names of other layers may be there, too.

    Returns
    -------
    IntegerModel
        An ordinary module without parameters, in evaluation mode.

    Raises
    ------
    TypeError
        If model is no module.
    ValueError
        If a layer is not supported, the calibration set is empty, a number is NaN or infinite, or a range is missing
        or out of order.
    """
    folded, steps = chain(model)
    names = activations(steps)
    if ranges is None:
        ranges = _observed(folded, names, calibration_data)
    else:
        _check_ranges(ranges, names, model)
    scales = {name: _scale(name, ranges[name]) for name in names}
    result = IntegerModel()
    source = scales[INPUT]
    for i, step in enumerate(steps):
        layer = _made(step, source, *_what_follows(steps, i, scales))
        source = scales.get(output_name(steps, i), source) if step.layer is not None else source
        result.add_module(step.name.replace(".", "_"), layer)
    return _reported(result.eval(), model)


def activation_names(model: nn.Module) -> tuple[str, ...]:
    """The activations whose ranges `to_integer` needs, in order: "input", and for each layer the name of its output.

    That is the ReLU's name where one follows, else the batch norm's or the layer's own. Pooling and flattening keep the
    range of what they are given, and a linear layer at the end returns floats: they need none. Functions that are no
    modules have the names that torch.fx gives them. Raises as `to_integer` does.
    """
    return tuple(activations(chain(model)[1]))


def record_activations(
    model: nn.Module,
    calibration_data: torch.Tensor | np.ndarray | Iterable[torch.Tensor],
    see: Callable[[str, torch.Tensor], None],
) -> None:
    """Run a model on calibration data, and show each activation that `activation_names` lists, a batch at a time.

    ``see(name, tensor)`` is called in the model's order for each batch of up to 256 examples.
    Raises as `to_integer` does.
    """
    folded, steps = chain(model)
    _record(folded, activations(steps), calibration_data, see)


def _record(folded, names, data, see):
    runner = _Recorder(folded, set(names), see)
    seen = 0
    with torch.no_grad():
        for batch in _batches(data):
            if not torch.isfinite(batch).all():
                raise ValueError("the calibration data hold NaN or infinity")
            seen += len(batch)
            see(INPUT, batch)
            runner.run(batch)
    if not seen:
        raise ValueError("the calibration set is empty; give at least one image")


class _Recorder(fx.Interpreter):
    """Runs a traced model and shows the results of nodes with certain names."""

    def __init__(self, model, names, see):
        super().__init__(fx.GraphModule(model, traced(model)))
        self.names, self.see = names, see

    def run_node(self, node):
        value = super().run_node(node)
        if name_of(node) in self.names and node.op != "placeholder":
            self.see(name_of(node), value)
        return value


def _batches(data):
    """Float tensors of up to BATCH examples; of what a loader of pairs gives, the first."""
    if isinstance(data, (torch.Tensor, np.ndarray)):
        data = torch.as_tensor(data).split(BATCH) if len(data) else ()
    for batch in data:
        yield torch.as_tensor(batch[0] if isinstance(batch, (tuple, list)) else batch).float()


def _observed(folded, names, data) -> dict[str, tuple[float, float]]:
    found = {}

    def see(name, tensor):
        if name in names and tensor.numel():
            low, high = found.get(name, (torch.inf, -torch.inf))
            found[name] = min(low, tensor.min().item()), max(high, tensor.max().item())

    _record(folded, names, data, see)
    return found


def _check_ranges(ranges, names, model):
    missing = [name for name in names if name not in ranges]
    if missing:
        raise ValueError(f"ranges lacks {missing[0]!r}; wanted {', '.join(map(repr, names))}")
    known = {INPUT, *names, *dict(model.named_modules())}
    for name in ranges:
        if name not in known:
            raise ValueError(f"ranges has {name!r}, which is no layer; wanted {', '.join(map(repr, names))}")


def _scale(name, range_):
    try:
        low, high = range_
        return scale_and_zero(float(low), float(high))
    except (TypeError, ValueError) as error:
        raise ValueError(f"the range of {name!r}: {error}") from None


def _what_follows(steps, i, scales):
    """The layer's target, whether a ReLU is part of it, and where that ends."""
    if steps[i].layer is None or returns_floats(steps, i):
        return None, False, None
    relu = relu_of(steps, i)
    return scales[output_name(steps, i)], relu is not None, 6.0 if relu and relu.kind == "relu6" else None


def _made(step: Step, source, target, relu, top) -> nn.Module:
    try:
        if step.kind == "linear":
            return IntLinear.of(step.layer, source, target, relu=relu, top=top)
        if step.kind == "conv":
            return IntConv2d.of(step.layer, source, target, relu=relu, top=top)
        return {"relu": _relu, "relu6": _relu, "pool": _pool, "flatten": _flatten, "nothing": _nothing}[
            step.kind
        ](step)
    except ValueError as error:
        raise ValueError(f"{step.name}: {error}") from None


def _nothing(step):
    return nn.Identity()


def _relu(step):
    return IntReLU(6.0 if step.kind == "relu6" else None)


def _flatten(step):
    start, end = step.options.get("start_dim", 0), step.options.get("end_dim", -1)
    if start != 1 or end != -1:
        raise ValueError(
            f"only flattening all but the first dimension is supported; got start_dim {start}, end_dim {end}"
        )
    return IntFlatten()


def _pool(step):
    options = step.options
    if (
        options.get("ceil_mode")
        or options.get("return_indices")
        or one_number("dilation", options.get("dilation", 1)) != 1
    ):
        raise ValueError("pooling with ceil_mode, return_indices or dilation is not supported")
    size = one_number("kernel_size", options["kernel_size"])
    stride = options.get("stride")
    return IntMaxPool2d(
        size,
        size if stride is None else one_number("stride", stride),
        one_number("padding", options.get("padding", 0)),
    )


def _reported(result: IntegerModel, model: nn.Module) -> IntegerModel:
    before = {name.replace(".", "_"): layer for name, layer in weighted_layers(model).items()}
    changes = [
        LayerChange(
            name,
            type(part).__name__,
            part.weight.numel(),
            int((part.weight != 0).sum()),
            state_bytes(before.get(name, part)),
            state_bytes(part),
            f"int8 in steps of {part.input_scale:.3g} in, "
            + (f"{part.output_scale:.3g} out" if part.output_scale else "floats out"),
        )
        for name, part in result.named_children()
        if hasattr(part, "state")
    ]
    return add_report(result, Report("to_integer", tuple(changes), "int8 with sums in int32"), before=model)
