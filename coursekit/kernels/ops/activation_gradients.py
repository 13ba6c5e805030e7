"""The gradients of bias and activation, with respect to what goes in and to the bias."""

from math import prod, sqrt

import numpy as np

from coursekit.kernels.contract import Array, Operation, Tolerance, one_of
from coursekit.kernels.ops.activation import BIAS_GELU, ROWS, normal_cdf

LARGE = 50.0
"""From here on a slope is that at infinity, but for less than 1e-20."""


def _gradients(slope):
    """A reference: ``slope(v, **options)`` gives the derivative of the activation."""

    def reference(x, bias, grad, **options):
        v, g = np.float64(x) + np.float64(bias), np.float64(grad)
        with np.errstate(invalid="ignore"):
            s = slope(v, **options)
            dx = np.where(s == 0, 0, g * s)
        return dx, dx.sum(tuple(range(dx.ndim - 1)))

    return reference


def _relu_slope(v):
    return np.where(v <= 0, 0.0, 1.0)


def _silu_slope(v):
    v = np.clip(v, -LARGE, LARGE)
    s = 1 / (1 + np.exp(-v))
    return s * (1 + v * (1 - s))


def _gelu_slope(v, approximate="none"):
    v = np.clip(v, -LARGE, LARGE)
    if approximate == "tanh":
        t = np.tanh(sqrt(2 / np.pi) * (v + 0.044715 * v**3))
        return 0.5 * (1 + t) + 0.5 * v * (1 - t**2) * sqrt(2 / np.pi) * (1 + 3 * 0.044715 * v**2)
    return normal_cdf(v) + v * np.exp(-(v**2) / 2) / sqrt(2 * np.pi)


def _operation(name, formula, slope, count, atol, **others):
    """``count(options)`` gives the FLOPs for each element."""
    return Operation(
        name=name,
        formula=formula,
        inputs=(Array("x", ("...", "N")), Array("bias", ("N",)), Array("grad", ("...", "N"))),
        outputs=(Array("x_gradient", ("...", "N")), Array("bias_gradient", ("N",))),
        inplace=("x", "grad"),
        reference=_gradients(slope),
        count=lambda s, options: count(options) * prod(s["..."]) * s["N"],
        # The bias takes a sum over rows, which has terms of both signs and errors of all of them.
        tolerance={"float32": Tolerance(1e-5, atol), "float64": Tolerance(1e-13, 1e-13)},
        **others,
    )


BIAS_RELU_GRAD = _operation(
    "bias_relu_grad",
    "dx = grad where x + bias > 0, else 0; db = Σ dx over the rows",
    _relu_slope,
    lambda options: 3,
    1e-5,
    cases=ROWS,
)
BIAS_SILU_GRAD = _operation(
    "bias_silu_grad",
    "v = x + bias, s = 1 / (1 + exp(-v)): dx = grad · s · (1 + v · (1 - s)); db = Σ dx over the rows",
    _silu_slope,
    lambda options: 11,
    1e-5,
    cases=ROWS,
)
BIAS_GELU_GRAD = _operation(
    "bias_gelu_grad",
    "v = x + bias: dx = grad · (Φ(v) + v · φ(v)), or the derivative of the form by tanh; db = Σ dx over the rows",
    _gelu_slope,
    lambda options: 20 if options["approximate"] == "tanh" else 13,
    2e-5,
    options={"approximate": one_of("none", "tanh")},
    cases=BIAS_GELU.cases,
)
