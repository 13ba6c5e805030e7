"""A whole model of integer layers, run by one compiled call for each layer, into memory that is kept between calls.

A call of a kernel through the contract checks its arguments, and a call of a torch module costs some microseconds more:
for one image, that is longer than the arithmetic. So what follows from the shape of the input is worked out once.
"""

from math import prod
from threading import get_ident

import numpy as np
import torch
from torch import nn

from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.int8_conv2d import GRAIN as PRODUCTS
from coursekit.kernels.cpu.int8_conv2d import correlate
from coursekit.kernels.cpu.int8_linear import multiply_matrix
from coursekit.kernels.cpu.int8_matmul import multiply_ready, prepare_rows
from coursekit.kernels.cpu.int8_pooling import pool_images
from coursekit.kernels.cpu.int8_sums import FORM
from coursekit.kernels.cpu.quantize_int8 import quantize_row
from coursekit.kernels.cpu.rows import grain
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.ops.convolution import places
from coursekit.kernels.ops.integer import FOUR

from ..files import storable
from .layers import IntConv2d, IntegerLayer, IntLinear, version
from .parts import IntFlatten, IntMaxPool2d, IntReLU

MOST_PLANS = 32
"""Shapes of inputs for which memory is kept."""
SILENT = (IntReLU, nn.Identity)
INTEGER = (IntegerLayer, IntMaxPool2d, IntFlatten, *SILENT)


@compiled
def logits(x, panels, bias, unit, out):
    """The last layer: sums in int32, and what they are worth in float32."""
    M, K = x.shape
    ready = np.empty((M, -(-K // FOUR) * FOUR), FORM)
    prepare_rows(x, ready)
    total = np.empty(out.shape, np.int32)
    multiply_ready(ready, panels, total, 0, out.shape[1])
    for m in range(M):
        for n in range(bias.size):
            out[m, n] = np.float32(np.int32(total[m, n] + bias[n])) * unit[n]


@storable
class IntegerModel(nn.Sequential):
    """A chain of integer layers that takes floats and returns floats; made by `to_integer`.

    Its layers have the names of the model's that it was made of (with dots as underscores), and can be called one by
    one. Where all of them are integer layers without hooks, a call goes past torch's modules. Other layers may take
    their places: they get floats, and what they return is quantised again.
    """

    _plans = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of float images: float32, shape (n, classes)."""
        if self._plans is None or not self._holds():
            self._watch()
        if not self._whole:
            return self._one_by_one(x)
        key = (x.shape, get_ident())  # two threads have memory of their own
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= MOST_PLANS:
                self._plans.clear()
            plan = self._plans[key] = Plan(self, tuple(x.shape))
        return torch.from_numpy(plan(_as_array(x)))

    def _watch(self) -> None:
        """Remember what plans are made of, so that a change is seen."""
        self._plans = {}
        self._parts = list(self._modules.values())
        layers = [part for part in self._parts if isinstance(part, IntegerLayer)]
        self._states = [(part._buffers, part.state, version(part.state)) for part in layers]
        self._hooks = [
            hooks for part in self._parts for hooks in (part._forward_hooks, part._forward_pre_hooks)
        ]
        ends = bool(layers) and all(part.output_scale for part in layers[:-1])
        self._hooked = any(self._hooks)
        self._whole = ends and all(isinstance(part, INTEGER) for part in self._parts) and not self._hooked

    def _holds(self) -> bool:
        for buffers, state, count in self._states:
            if buffers["state"] is not state or version(state) != count:
                return False
        return any(self._hooks) == self._hooked and list(self._modules.values()) == self._parts

    def _one_by_one(self, x: torch.Tensor) -> torch.Tensor:
        last = None
        for part in self:
            if x.dtype == torch.int8 and not isinstance(part, INTEGER):
                x = last.dequantized(x)
            x = part(x)
            last = part if isinstance(part, IntegerLayer) else last
        return last.dequantized(x) if x.dtype == torch.int8 else x

    def __getstate__(self):
        private = ("_plans", "_parts", "_states", "_hooks", "_hooked", "_whole")
        return {name: value for name, value in self.__dict__.items() if name not in private}


def _as_array(x: torch.Tensor) -> np.ndarray:
    if x.dtype != torch.float32 or not x.is_contiguous():
        x = x.float().contiguous()
    return x.numpy() if not x.requires_grad else x.detach().numpy()


def _halves(part: nn.Module | None) -> bool:
    """Whether this is the pooling that a convolution does itself, before its sums are requantised."""
    return isinstance(part, IntMaxPool2d) and (part.kernel_size, part.stride, part.padding) == (2, 2, 0)


class Plan:
    """The calls for inputs of one shape; each fills memory that the next one reads."""

    def __init__(self, model: IntegerModel, shape: tuple[int, ...]):
        first = next(part for part in model if isinstance(part, IntegerLayer))
        self.steps, self.order, self.shape = [], None, shape
        self._quantise(first, shape)
        parts = [(name, part) for name, part in model.named_children() if not isinstance(part, SILENT)]
        pools = [part for _, part in parts[1:]] + [None]
        done = None
        for (name, part), later in zip(parts, pools, strict=True):
            if part is done:
                continue
            self.pool = 2 if isinstance(part, IntConv2d) and _halves(later) else 1
            done = later if self.pool == 2 else None
            self._add(name, part)
        if self.now.dtype == np.int8:
            self._leave([part for part in model if isinstance(part, IntegerLayer)][-1])

    def __call__(self, x: np.ndarray) -> np.ndarray:
        self.enter(x)
        for step in self.steps:
            step()
        return self.leave()

    def _quantise(self, layer, shape):
        """To steps of int8, and images with more than one channel to channels last."""
        scale, zero = np.float32(layer.input_scale), np.float32(layer.input_zero)
        first = np.empty(shape, np.int8)
        flat = first.reshape(-1)
        self.enter = lambda x: quantize_row(x.reshape(-1), scale, zero, flat)
        if len(shape) != 4:
            self.now = first
        elif shape[1] == 1:
            self.now = first.reshape(shape[0], *shape[2:], 1)
        else:
            turned = first.transpose(0, 2, 3, 1)
            self.now = np.empty(turned.shape, np.int8)
            self.steps.append(lambda now=self.now: np.copyto(now, turned))

    def _add(self, name, part):
        kinds = {IntConv2d: self._convolve, IntMaxPool2d: self._pool, IntFlatten: self._flatten}
        kinds[IntLinear] = self._multiply
        wanted = {IntConv2d: 4, IntMaxPool2d: 4, IntLinear: 2}.get(type(part), 0)
        if wanted and self.now.ndim != wanted:
            raise ValueError(
                f"{name} wants {wanted} dimensions; got {self.now.ndim} for an input of shape {self.shape}"
            )
        kinds[type(part)](name, part)

    def _convolve(self, name, layer):
        x, (R, S) = self.now, layer.taps
        B, H, W, C = x.shape
        geometry = {"stride": layer.stride, "padding": layer.padding, "dilation": 1}
        P, Q = places(H, R, geometry), places(W, S, geometry)
        if layer.in_channels != C or min(P, Q) < 1:
            raise ValueError(
                f"{name} wants images of {layer.in_channels} channels and at least {R} x {S} pixels; "
                f"got {C} of {H} x {W} for an input of shape {self.shape}"
            )
        self.now = out = np.empty((B, P // self.pool, Q // self.pool, layer.shape[0]), np.int8)
        numbers = (R, S, layer.stride, layer.padding, np.int8(layer.input_zero), self.pool)
        how = (*layer.ready(), *numbers, layer.output_zero, layer.low, layer.high)
        each = PRODUCTS // max(P * Q * layer.shape[0] * C * R * S, 1) + 1
        self.steps.append(lambda: split(lambda i, j: correlate(x, *how, i, j, out), B, each))

    def _pool(self, name, part):
        x, how = self.now, (part.kernel_size, part.stride, part.padding)
        sides = [
            places(n, how[0], {"stride": how[1], "padding": how[2], "dilation": 1}) for n in x.shape[1:3]
        ]
        if min(sides) < 1:
            raise ValueError(f"{name} does not fit into {x.shape[1]} x {x.shape[2]} pixels")
        self.now = out = np.empty((len(x), *sides, x.shape[3]), np.int8)
        each = grain(*x.shape[1:])
        self.steps.append(lambda: split(lambda i, j: pool_images(x, *how, i, j, out), len(x), each))

    def _flatten(self, name, part):
        """Nothing moves: the next layer's weights are put into the order of channels last."""
        if self.now.ndim == 4:
            _, H, W, C = self.now.shape
            self.order = np.arange(C * H * W).reshape(C, H, W).transpose(1, 2, 0).reshape(-1).copy()
        self.now = self.now.reshape(len(self.now), prod(self.now.shape[1:]))

    def _multiply(self, name, layer):
        x, N = self.now, layer.shape[0]
        if x.shape[1] != layer.shape[1]:
            raise ValueError(
                f"{name} wants {layer.shape[1]} numbers; got {x.shape[1]} for an input of shape {self.shape}"
            )
        ready = layer._prepare(self.order) if self.order is not None else layer.ready()
        self.order = None
        if not layer.output_scale:
            self.now = np.empty((len(x), N), np.float32)

            def leave():
                out = np.empty((len(x), N), np.float32)
                logits(x, *ready, out)
                return out

            self.leave = leave
            return
        self.now = out = np.empty((len(x), N), np.int8)
        how = (*ready, layer.output_zero, layer.low, layer.high)
        each = (PRODUCTS // max(x.size, 1) // 16 + 1) * 16
        self.steps.append(lambda: split(lambda i, j: multiply_matrix(x, *how, i, j, out), N, each))

    def _leave(self, last):
        """Floats of what the last layer with weights left as int8."""
        out, order = self.now, self.order
        turn = out.ndim == 4
        scale, zero = np.float32(last.output_scale), last.output_zero

        def leave():
            real = (out.astype(np.float32) - zero) * scale
            real = real if order is None else real[:, np.argsort(order)]
            return np.ascontiguousarray(real.transpose(0, 3, 1, 2)) if turn else real

        self.leave = leave
