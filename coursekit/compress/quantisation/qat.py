"""Training with the rounding in place: what is computed is on the grid, and gradients pass as if it were not.

The straight-through estimator: Bengio, Léonard and Courville, arXiv:1308.3432, section 4. The learned step size: Esser
et al., "Learned step size quantization", ICLR 2020, equations 1 to 3 and section 2.2.
"""

import torch
from torch import nn

from ..files import storable
from ..layers import CompressedLayer, as_dense, copied, replaced, weighted_layers
from ..report import LayerChange, Report, add_report, state_bytes
from .affine import Grid, limits, rows_of, weight_of
from .binary import BinaryTraining
from .calibrate import find_range, observe
from .shapes import apply, kept, layer_of, settings_of
from .weight_only import WeightOnly, weight_grid


class StraightThrough(torch.autograd.Function):
    """scale · clip(round(x / scale)); the gradient passes to x where nothing was clipped, and is 0 elsewhere."""

    @staticmethod
    def forward(ctx, x, scale, low, high):
        q = x / scale
        ctx.save_for_backward((q >= low) & (q <= high))
        return torch.round(q).clamp(low, high) * scale

    @staticmethod
    def backward(ctx, gradient):
        (inside,) = ctx.saved_tensors
        return gradient * inside, None, None, None


class LearnedStep(torch.autograd.Function):
    """As `StraightThrough`, and the step learns, too: Esser et al. 2020, equation 3.

    Its derivative is round(x/s) - x/s within the ends and the end itself beyond. `share` scales it: section 2.2 takes
    1/√(numbers · largest integer), so that a step learns about as fast as the weights that share it.
    """

    @staticmethod
    def forward(ctx, x, step, low, high, share):
        q = x / step
        inside, rounded = (q >= low) & (q <= high), torch.round(q).clamp(low, high)
        ctx.save_for_backward(torch.where(inside, rounded - q, rounded), inside)
        ctx.shape, ctx.share = step.shape, share
        return rounded * step

    @staticmethod
    def backward(ctx, gradient):
        slope, inside = ctx.saved_tensors
        step = (gradient * slope).sum_to_size(ctx.shape) * ctx.share
        return gradient * inside, step, None, None, None


@storable
class QuantisedTraining(CompressedLayer):
    """A linear layer or a convolution whose weight, and whose inputs where `input_bits` says so, are on a grid.

    Attributes
    ----------
    latent, bias : Parameter
        In float32; what computes is the latent weight, rounded.
    step : Tensor, (channels, 1)
        Of the weight's grid: a parameter where `learned`, else a buffer.
    input_step : Tensor, 0-dimensional, or None
        Of the inputs' grid, the same.
    """

    def __init__(
        self,
        layer: nn.Linear | nn.Conv2d,
        bits: int,
        *,
        input_range: tuple[float, float] | None = None,
        input_bits: int | None = None,
        learned: bool = True,
        calibration: str = "mse",
    ):
        super().__init__()
        self.settings, self.bits, self.learned = settings_of(layer), bits, learned
        self.calibration, self.input_bits = calibration, input_bits
        self.input_signed = input_range is not None and input_range[0] < 0
        self.latent = nn.Parameter(layer.weight.detach().float().clone())
        self.bias = None if layer.bias is None else nn.Parameter(kept(layer.bias))
        self._keep("step", weight_grid(layer.weight, bits, calibration=calibration).scale)
        self._keep("input_step", None if input_range is None else self._input_step(*input_range))

    def _input_step(self, low: float, high: float) -> torch.Tensor:
        most = limits(self.input_bits, signed=self.input_signed)[1]
        return torch.tensor(max(-low, high) / most or 1.0)

    def _keep(self, name: str, value: torch.Tensor | None) -> None:
        if self.learned and value is not None:
            setattr(self, name, nn.Parameter(value.clone()))
        else:
            self.register_buffer(name, value)

    def _on_grid(self, x, step, low, high):
        if not self.learned:
            return StraightThrough.apply(x, step, low, high)
        share = (max(x.numel() // max(step.numel(), 1), 1) * high) ** -0.5
        return LearnedStep.apply(x, step.abs() + torch.finfo(step.dtype).tiny, low, high, share)

    def weight(self) -> torch.Tensor:
        """The weight on its grid, in its shape; gradients pass to the latent one."""
        ends = limits(self.bits, signed=True)
        rows = self._on_grid(rows_of(self.latent), self.step, *ends)
        return weight_of(rows, self.settings["shape"])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.input_step is not None:
            x = self._on_grid(x, self.input_step, *limits(self.input_bits, signed=self.input_signed))
        return apply(self.settings, x, self.weight(), self.bias)

    def finished(self) -> WeightOnly:
        """The packed layer that computes the same."""
        zeros = torch.zeros_like(self.step)
        grid = Grid(_positive(self.step), zeros, *limits(self.bits, signed=True))
        layer = layer_of(self.settings, self.latent.detach(), self.bias)
        new = WeightOnly(layer, self.bits, calibration=self.calibration, weight_grid_=grid)
        if self.input_step is not None:
            new.with_input_grid(_positive(self.input_step), self.input_bits, signed=self.input_signed)
        return new

    def dense(self) -> nn.Linear | nn.Conv2d:
        return layer_of(self.settings, self.weight().detach(), self.bias)

    def like(self, layer: nn.Linear | nn.Conv2d) -> "QuantisedTraining":
        form = {"input_bits": self.input_bits, "learned": self.learned, "calibration": self.calibration}
        new = QuantisedTraining(layer, self.bits, **form)
        new.input_signed = self.input_signed
        new._keep("input_step", None if self.input_step is None else self.input_step.detach())
        return new

    def extra_repr(self) -> str:
        inputs = "" if self.input_bits is None else f", inputs {self.input_bits} bits"
        return f"{'x'.join(map(str, self.settings['shape']))}, {self.bits} bits{inputs}"


def _positive(step: torch.Tensor) -> torch.Tensor:
    return step.detach().abs() + torch.finfo(step.dtype).tiny


def prepare_qat(
    model: nn.Module,
    bits: int = 8,
    *,
    input_bits: int | None = None,
    data=None,
    learned: bool = True,
    calibration: str = "mse",
    layers=None,
) -> nn.Module:
    """A copy whose layers compute with weights on a grid, and can be trained like any other model.

    Untrained it is the model quantised after training; train it (``models.train``), and `convert_qat` packs it.

    Parameters
    ----------
    bits : int
        Of the weights, 2 to 8, symmetric by channel; 1 makes weights and inputs signs (`BinaryTraining`).
    input_bits : int or None
        Of the layers' inputs, 2 to 8; None leaves them in float32. Inputs that are never negative use unsigned numbers.
    data : ndarray or Tensor, shape (n, …)
        Calibration images for the inputs' ranges; needed where inputs are quantised.
    learned : bool
        True trains the steps as well (LSQ); False leaves them where calibration put them.
    calibration : str
        One of `calibrate.METHODS`, for weights and inputs.
    layers : iterable of str or None
        Names of the layers to change; None means all.

    Raises
    ------
    TypeError, ValueError
        As `quantize`.
    """
    _check_bits(bits, input_bits)
    new = copied(model)
    parts = weighted_layers(new, layers)
    seen = observe(new, data, parts) if bits == 1 or input_bits is not None else {}
    changes = []
    for name, part in parts.items():
        if bits == 1:
            made = BinaryTraining(_linear(name, part), **threshold_of(name, seen))
        else:
            made = QuantisedTraining(
                as_dense(part),
                bits,
                input_range=None if input_bits is None else _input_range(name, seen, input_bits, calibration),
                input_bits=input_bits,
                learned=learned,
                calibration=calibration,
            )
        new = replaced(new, name, made)
        changes.append(change(name, part, made, f"{bits} bits in training"))
    return add_report(new, Report("prepare_qat", tuple(changes)), before=model)


def _check_bits(bits, input_bits) -> None:
    if bits != 1:
        limits(bits, signed=True)
    if input_bits is not None:
        limits(input_bits, signed=False)
    if max(bits, input_bits or 2) > 8:
        raise ValueError(f"bits and input_bits must be at most 8; got {bits} and {input_bits}")
    if bits == 1 and input_bits is not None:
        raise ValueError("with bits=1 the inputs become signs, too; leave out input_bits")


def convert_qat(model: nn.Module) -> nn.Module:
    """A copy of a model from `prepare_qat`, packed; it computes the same. ValueError where it has no such layer."""
    new = copied(model)
    parts = {
        n: p for n, p in weighted_layers(new).items() if isinstance(p, (QuantisedTraining, BinaryTraining))
    }
    if not parts:
        raise ValueError("no layer of this model was made by prepare_qat")
    changes = []
    for name, part in parts.items():
        made = part.finished()
        new = replaced(new, name, made)
        changes.append(change(name, part, made, "packed"))
    return add_report(new, Report("convert_qat", tuple(changes)), before=model)


def change(name: str, before: nn.Module, after: CompressedLayer, note: str) -> LayerChange:
    """The line of a report for one layer."""
    weight = after.dense().weight
    sizes = state_bytes(before), state_bytes(after)
    return LayerChange(name, type(after).__name__, weight.numel(), int((weight != 0).sum()), *sizes, note)


def threshold_of(name: str, seen: dict[str, torch.Tensor]) -> dict[str, float]:
    """Where the inputs of a binary layer are cut, and how far they lie from there: the mean, the mean distance."""
    x = _seen(name, seen)
    middle = x.mean()
    return {"threshold": float(middle), "spread": float((x - middle).abs().mean())}


def _input_range(name, seen, bits, calibration) -> tuple[float, float]:
    x = _seen(name, seen)
    return find_range(x, calibration, bits=bits, symmetric=bool((x < 0).any()))


def _seen(name, seen):
    if name not in seen:
        raise ValueError(
            f"layer {name!r} was not called with the calibration data, so its inputs have no range"
        )
    return seen[name]


def _linear(name: str, part: nn.Module) -> nn.Linear:
    layer = as_dense(part)
    if not isinstance(layer, nn.Linear):
        raise ValueError(
            f"layer {name!r} is a {type(layer).__name__}; only Linear layers become binary or int4 "
            "(leave it out with layers=[...])"
        )
    return layer
