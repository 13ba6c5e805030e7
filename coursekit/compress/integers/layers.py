"""Layers that compute with integers alone: int8 between them, int32 within, no float in between.

An activation r is scale · (q − zero) with one scale and zero point for a tensor, a weight scale · q with a scale for
each output channel. A layer's sum of products of int8 is an int32 whose unit is input scale · weight scale; its bias is
kept in the same unit; multiplier and shift take it to the unit of the output. Images are kept channels last, shape
(n, height, width, channels), as the kernels read them.
"""

from abc import abstractmethod

import numpy as np
import torch
from torch import nn

from coursekit.kernels import cpu
from coursekit.kernels.ops.quantised import HIGHEST, LOWEST

from ..files import storable
from ..layers import CompressedLayer
from .scale import multiplier_and_shift

LARGEST = 127
"""Weights use the integers from -127 to 127, so that both signs reach equally far."""
HEADER = np.dtype(
    [("scales", "<f4", 2), ("zeros", "i1", 2), ("ends", "i1", 2)]
)  # scales and zeros of the input and the output, and the output's ends
LONGEST = 2**15
"""Products in a sum: with a bias of up to 2³⁰ their sum stays within int32."""


class IntegerLayer(CompressedLayer):
    """What a linear layer and a convolution of integers share.

    All that is saved is one buffer of bytes, ``state``, since each tensor of a file costs some 250 bytes beside its
    own, and the file 1,300: that, and 8 bytes for each output, is why a model of 18,378 numbers becomes 3.6 times
    smaller, and one of 266,610 3.9 times. In the buffer: both
    scales and zero points, a weight scale and a bias for each output, and the weights. They can be read as attributes.

    Attributes
    ----------
    weight : torch.Tensor
        int8, of the shape of the layer it was made of.
    scale : torch.Tensor
        float32, shape (outputs,): what a weight's unit is worth.
    bias : torch.Tensor
        int32, shape (outputs,), in units of input_scale · scale.
    input_scale, output_scale : float
        What a unit of an activation is worth; an output scale of 0 says that the layer returns floats.
    input_zero, output_zero : int
        The integers that stand for 0.
    low, high : int
        The ends of the results; a ReLU is a ``low`` of ``output_zero``.
    """

    _ready = None

    def __init__(self, shape: tuple[int, ...], has_bias: bool):
        super().__init__()
        self.shape, self.has_bias = tuple(shape), bool(has_bias)
        size = HEADER.itemsize + 8 * shape[0] + int(np.prod(shape))
        self.register_buffer("state", torch.zeros(size, dtype=torch.uint8))

    def _parts(self) -> tuple[np.ndarray, ...]:
        """Header, scales, biases and weights, as views of the state."""
        raw, n, start = self.state.numpy(), self.shape[0], HEADER.itemsize
        return (
            raw[:start].view(HEADER)[0],
            raw[start : start + 4 * n].view(np.float32),
            raw[start + 4 * n : start + 8 * n].view(np.int32),
            raw[start + 8 * n :].view(np.int8).reshape(self.shape),
        )

    @property
    def weight(self) -> torch.Tensor:
        return torch.from_numpy(self._parts()[3])

    @property
    def scale(self) -> torch.Tensor:
        return torch.from_numpy(self._parts()[1])

    @property
    def bias(self) -> torch.Tensor:
        return torch.from_numpy(self._parts()[2])

    input_scale = property(lambda self: float(self._parts()[0]["scales"][0]))
    output_scale = property(lambda self: float(self._parts()[0]["scales"][1]))
    input_zero = property(lambda self: int(self._parts()[0]["zeros"][0]))
    output_zero = property(lambda self: int(self._parts()[0]["zeros"][1]))
    low = property(lambda self: int(self._parts()[0]["ends"][0]))
    high = property(lambda self: int(self._parts()[0]["ends"][1]))

    def _fill(self, layer, source, target, relu, top):
        """Quantise a layer's numbers; ``source`` and ``target`` are (scale, zero), the latter None for floats."""
        header, scale, bias, weight = self._parts()
        real = layer.weight.detach().double().numpy()
        offset = np.zeros(len(real)) if layer.bias is None else layer.bias.detach().double().numpy()
        flat = np.abs(real.reshape(len(real), -1))
        # A bias of more than 2³⁰ units, or one without weights, takes a coarser unit.
        step = np.maximum(flat.max(1, initial=0) / LARGEST, np.abs(offset) / (float(source[0]) * 2**30))
        scale[:] = np.where(step > 0, step, 1)
        shape = (-1, *[1] * (real.ndim - 1))
        weight[...] = np.clip(np.rint(real / np.float64(scale).reshape(shape)), -LARGEST, LARGEST)
        bias[:] = np.clip(np.rint(offset / (np.float64(source[0]) * scale)), -(2**30), 2**30)
        header["scales"][0], header["zeros"][0] = source
        header["ends"] = LOWEST, HIGHEST
        if target is None:
            return
        least = np.float32(4.0001 * float(source[0]) * scale.max(initial=0))
        out_scale, out_zero = target if target[0] >= least else (least, _moved(target, least))
        header["scales"][1], header["zeros"][1] = out_scale, out_zero
        if relu:
            header["ends"][0] = out_zero
        if top is not None:
            header["ends"][1] = min(HIGHEST, round(top / float(out_scale)) + out_zero)

    @abstractmethod
    def _wide_weight(self) -> np.ndarray:
        """The weights as the kernels take them, int8."""

    @abstractmethod
    def _pack(self, weight: np.ndarray) -> np.ndarray: ...

    def ready(self, order=None) -> tuple[np.ndarray, ...]:
        """What the kernels read: panels, bias, multiplier and shift (or unit), made anew where the state has changed.

        ``order`` puts the weights' columns into another order.
        """
        key = (id(self.state), version(self.state), None if order is None else order.tobytes())
        if self._ready is None or self._ready[0] != key:
            self._ready = key, self._prepare(order)
        return self._ready[1]

    def _prepare(self, order):
        header, scale, bias, _ = self._parts()
        weight = self._wide_weight()
        sums = weight.reshape(len(weight), -1).sum(1, dtype=np.int64)
        bias = (bias - int(header["zeros"][0]) * sums).astype(np.int32)
        panels = self._pack(weight if order is None else np.ascontiguousarray(weight[:, order]))
        unit = np.float64(header["scales"][0]) * np.float64(scale)
        if not header["scales"][1]:
            return panels, bias, unit.astype(np.float32)
        return panels, bias, *multiplier_and_shift(unit / np.float64(header["scales"][1]))

    def target(self) -> dict[str, int]:
        """The options of the kernels that say what comes out."""
        return {"zero": self.output_zero, "low": self.low, "high": self.high}

    def quantized(self, x: torch.Tensor) -> np.ndarray:
        """An input as int8: what is float is quantised, images are put channels last."""
        if x.dtype == torch.int8:
            return x.numpy()
        x = x.detach().float()
        x = x.permute(0, 2, 3, 1) if x.dim() == 4 else x
        return cpu.quantize_int8(x.contiguous().numpy(), scale=self.input_scale, zero=self.input_zero)

    def dequantized(self, x: torch.Tensor) -> torch.Tensor:
        """Results of this layer, or what pooling made of them, as floats with the channels first."""
        x = (x.float() - self.output_zero) * self.output_scale
        return x.permute(0, 3, 1, 2).contiguous() if x.dim() == 4 else x

    def _same(self, layer, other):
        """``other``, a new layer of this kind, with the numbers of ``layer`` and this one's scales of activations."""
        relu = self.low == self.output_zero and self.low > LOWEST
        target = (np.float32(self.output_scale), self.output_zero) if self.output_scale else None
        other._fill(layer, (np.float32(self.input_scale), self.input_zero), target, relu, None)
        if target is not None and other.output_scale == self.output_scale:
            other._parts()[0]["ends"] = self.low, self.high
        return other

    def _dense_bias(self) -> torch.Tensor | None:
        return self.bias * (self.scale.double() * self.input_scale) if self.has_bias else None

    def __getstate__(self):
        return {name: value for name, value in self.__dict__.items() if name != "_ready"}


def _moved(target, scale) -> int:
    """The zero point of a range with a coarser step: where it began stays where it is."""
    return int(np.clip(np.rint(LOWEST + (target[1] - LOWEST) * target[0] / scale), LOWEST, HIGHEST))


def version(tensor: torch.Tensor) -> int:
    """How often a tensor was written to; of those made in inference mode nobody counts it."""
    return 0 if tensor.is_inference() else tensor._version


def _long_sum(terms: int) -> None:
    if terms > LONGEST:
        raise ValueError(f"a sum of {terms} products may exceed int32; at most {LONGEST} are allowed")


@storable
class IntLinear(IntegerLayer):
    """A linear layer of integers: int8 of shape (n, inputs) to int8, or to floats where it is a model's last.

    Made by `to_integer`. Floats are quantised by its own scale first.
    """

    def __init__(self, in_features: int, out_features: int, has_bias: bool = True):
        _long_sum(in_features)
        super().__init__((out_features, in_features), has_bias)

    @classmethod
    def of(cls, layer: nn.Linear, source, target=None, *, relu=False, top=None) -> "IntLinear":
        """A layer's numbers as integers; see `IntegerLayer._fill`."""
        new = cls(layer.in_features, layer.out_features, layer.bias is not None)
        new._fill(layer, source, target, relu, top)
        return new

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.quantized(x)
        if x.ndim != 2 or x.shape[1] != self.shape[1]:
            raise ValueError(f"input must have shape (n, {self.shape[1]}); got {x.shape}")
        panels, bias, *how = self.ready()
        if not self.output_scale:
            total = cpu.int8_matmul_packed(x, panels, columns=self.shape[0]) + bias
            return torch.from_numpy(total.astype(np.float32) * how[0])
        return torch.from_numpy(cpu.int8_linear(x, panels, bias, *how, **self.target()))

    def _wide_weight(self):
        return self._parts()[3]

    def _pack(self, weight):
        return cpu.pack_int8(np.ascontiguousarray(weight.T))

    def dense(self) -> nn.Linear:
        layer = nn.Linear(self.shape[1], self.shape[0], bias=self.has_bias)
        layer.weight.data = (self.weight.double() * self.scale.double()[:, None]).float()
        if self.has_bias:
            layer.bias.data = self._dense_bias().float()
        return layer

    def like(self, layer: nn.Linear) -> "IntLinear":
        return self._same(layer, IntLinear(layer.in_features, layer.out_features, layer.bias is not None))

    def extra_repr(self) -> str:
        return f"{self.shape[1]}, {self.shape[0]}"


@storable
class IntConv2d(IntegerLayer):
    """A convolution of integers: int8 of shape (n, height, width, channels) to int8.

    Made by `to_integer`. Floats, channels first, are quantised by its own scale first. Groups and dilation are kept
    in the weights that are saved, and filled up with zeros in those that the kernel reads.
    """

    def __init__(self, in_channels, out_channels, kernel_size, stride, padding, dilation, groups, has_bias):
        self_shape = (out_channels, in_channels // groups, *kernel_size)
        _long_sum(int(np.prod(self_shape[1:])))
        super().__init__(self_shape, has_bias)
        self.in_channels, self.stride, self.padding = in_channels, stride, padding
        self.dilation, self.groups = tuple(dilation), groups

    @classmethod
    def of(cls, layer: nn.Conv2d, source, target, *, relu=False, top=None) -> "IntConv2d":
        """A layer's numbers as integers; see `IntegerLayer._fill`."""
        new = cls._empty(layer)
        new._fill(layer, source, target, relu, top)
        return new

    @classmethod
    def _empty(cls, layer: nn.Conv2d) -> "IntConv2d":
        stride, padding = one_number("stride", layer.stride), _padding(layer)
        if layer.padding_mode != "zeros":
            raise ValueError(f"padding_mode must be 'zeros'; got {layer.padding_mode!r}")
        sizes = (layer.in_channels, layer.out_channels, layer.kernel_size, stride, padding)
        return cls(*sizes, layer.dilation, layer.groups, layer.bias is not None)

    @property
    def taps(self) -> tuple[int, int]:
        """Height and width of the filters as the kernel sees them."""
        return tuple(d * (n - 1) + 1 for d, n in zip(self.dilation, self.shape[2:], strict=True))

    def options(self) -> dict:
        """The options of the kernel."""
        geometry = {
            "taps": self.taps,
            "stride": self.stride,
            "padding": self.padding,
            "fill": self.input_zero,
        }
        return {**geometry, **self.target()}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.quantized(x)
        if x.ndim != 4 or x.shape[3] != self.in_channels:
            raise ValueError(
                f"input must have shape (n, height, width, {self.in_channels}), channels last; got {x.shape}"
            )
        return torch.from_numpy(cpu.int8_conv2d(x, *self.ready(), **self.options()))

    def _wide_weight(self):
        K, D, *_ = self.shape
        weight = np.zeros((K, self.in_channels, *self.taps), np.int8)
        each = K // self.groups
        for g in range(self.groups):
            part = weight[g * each : (g + 1) * each, g * D : (g + 1) * D]
            part[:, :, :: self.dilation[0], :: self.dilation[1]] = self._parts()[3][g * each : (g + 1) * each]
        return weight

    def _pack(self, weight):
        return cpu.pack_int8_filters(weight)

    def dense(self) -> nn.Conv2d:
        layer = nn.Conv2d(
            self.in_channels,
            self.shape[0],
            self.shape[2:],
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
            self.has_bias,
        )
        layer.weight.data = (self.weight.double() * self.scale.double()[:, None, None, None]).float()
        if self.has_bias:
            layer.bias.data = self._dense_bias().float()
        return layer

    def like(self, layer: nn.Conv2d) -> "IntConv2d":
        return self._same(layer, IntConv2d._empty(layer))

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.shape[0]}, kernel_size={self.shape[2:]}, stride={self.stride}"


def one_number(name: str, value) -> int:
    """A setting that a layer may have for each direction, where both are the same; ValueError otherwise."""
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(set(pair)) != 1:
        raise ValueError(f"{name} must be the same in both directions; got {value}")
    return int(pair[0])


def _padding(layer: nn.Conv2d) -> int:
    if layer.padding == "valid":
        return 0
    if layer.padding != "same":
        return one_number("padding", layer.padding)
    total = [d * (n - 1) for d, n in zip(layer.dilation, layer.kernel_size, strict=True)]
    if total[0] != total[1] or total[0] % 2:
        raise ValueError(f"padding 'same' needs square filters of odd size; got {layer.kernel_size}")
    return total[0] // 2
