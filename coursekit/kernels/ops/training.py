"""What training needs beside the layers: gradients, the step of an optimiser, and the look-up of embeddings."""

from dataclasses import replace
from math import prod

import numpy as np

from coursekit.kernels.contract import Array, Case, Operation, Option, Tolerance, axis_of, standard_normal
from coursekit.kernels.ops.normalisation import AT_LEAST_0, NORM_CASES, SOFTMAX
from coursekit.kernels.ops.reduction import LOG_SUM_EXP


def _adam(parameter, gradient, first, second, rate=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, step=1):
    p, g, m, v = map(np.float64, (parameter, gradient, first, second))
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    p = p - rate * (m / (1 - beta1**step)) / (np.sqrt(v / (1 - beta2**step)) + eps)
    return p, m, v


def _with_squares(rng, op, sizes, dtype):
    """The second moment is a mean of squares."""
    p, g, m, v = standard_normal(rng, op, sizes, dtype)
    return p, g, m, np.asarray(v**2)


def _share(default):
    return Option(default, lambda value, shapes: "" if 0 <= value < 1 else "from 0 to below 1")


_POSITIVE = Option(1, lambda value, shapes: "" if value > 0 else "positive")

ADAM_STEP = Operation(
    name="adam_step",
    formula="m = β₁m + (1-β₁)g; v = β₂v + (1-β₂)g²; p = p - rate · m/(1-β₁ᵗ) / (√(v/(1-β₂ᵗ)) + eps)",
    inputs=tuple(Array(name, ("...",)) for name in ("parameter", "gradient", "first", "second")),
    outputs=tuple(Array(name, ("...",)) for name in ("new_parameter", "new_first", "new_second")),
    options={
        "rate": Option(1e-3),
        "beta1": _share(0.9),
        "beta2": _share(0.999),
        "eps": Option(1e-8, AT_LEAST_0.wanted),
        "step": _POSITIVE,
    },
    inplace=("parameter", "first", "second"),
    reference=_adam,
    count=lambda s, options: 14 * prod(s["..."]),
    # A moment may be a difference of two numbers of one unit each.
    tolerance={"float32": Tolerance(1e-6, 1e-6), "float64": Tolerance(1e-14, 1e-14)},
    sample=_with_squares,
    cases=(
        Case("256 KB", "benchmark", {"...": (2**16,)}, {"step": 10}),
        Case("32 MB", "benchmark", {"...": (8192, 1024)}, {"step": 10}),
        Case("vector", "test", {"...": (1001,)}),
        Case("matrix", "test", {"...": (37, 29)}, {"step": 100, "rate": 0.1}),
        Case("other averages", "test", {"...": (3, 2, 16)}, {"beta1": 0.0, "beta2": 0.5, "eps": 1e-3}),
        Case("one", "test", {"...": ()}),
        Case("none", "test", {"...": (0, 3)}),
        Case("tiny", "tiny", {"...": (2, 5)}),
        Case("tiny vector", "tiny", {"...": (70,)}),
    ),
)


def _embedding(indices, weight):
    return np.float64(weight)[indices]


def _in_range(rng, op, sizes, dtype):
    indices = rng.integers(0, max(sizes["V"], 1), sizes["..."], np.int64)
    return indices, rng.standard_normal((sizes["V"], sizes["D"])).astype(dtype)


EMBEDDING = Operation(
    name="embedding",
    formula="out[i] = weight[indices[i]]",
    inputs=(Array("indices", ("...",), "int64"), Array("weight", ("V", "D"))),
    outputs=(Array("out", ("...", "D")),),
    reference=_embedding,
    count=lambda s, options: 0,
    traffic=lambda s, options, dtype: prod(s["..."]) * (8 + 2 * s["D"] * np.dtype(dtype).itemsize),
    tolerance={"float32": Tolerance(0, 0), "float64": Tolerance(0, 0)},
    sample=_in_range,
    cases=(
        Case("128 of 1000x256", "benchmark", {"...": (128,), "V": 1000, "D": 256}),
        Case("8x1024 of 30000x768", "benchmark", {"...": (8, 1024), "V": 30000, "D": 768}),
        Case("a sentence", "test", {"...": (37,), "V": 101, "D": 19}),
        Case("sentences", "test", {"...": (3, 17), "V": 50, "D": 64}),
        Case("one word", "test", {"...": (), "V": 5, "D": 33}),
        Case("nothing of one", "test", {"...": (4,), "V": 3, "D": 0}),
        Case("no words", "test", {"...": (0,), "V": 3, "D": 5}),
        Case("no words, no rows", "test", {"...": (0,), "V": 0, "D": 5}),
        Case("tiny", "tiny", {"...": (2, 3), "V": 4, "D": 5}),
        Case("tiny fours", "tiny", {"...": (2, 3), "V": 4, "D": 12}),
    ),
)


def _softmax_grad(probabilities, gradient, axis=-1):
    y, g = np.float64(probabilities), np.float64(gradient)
    return y * (g - (y * g).sum(axis, keepdims=True))


def _probabilities(rng, op, sizes, dtype):
    x, gradient = standard_normal(rng, op, sizes, dtype)
    return SOFTMAX.reference(x).astype(dtype), gradient


SOFTMAX_GRAD = Operation(
    name="softmax_grad",
    formula="out = y · (g - Σ y · g), y being the probabilities and g the gradient with respect to them",
    inputs=(Array("probabilities", ("...",)), Array("gradient", ("...",))),
    outputs=(Array("out", ("...",)),),
    options={"axis": axis_of("probabilities")},
    inplace=("probabilities", "gradient"),
    reference=_softmax_grad,
    count=lambda s, options: 4 * prod(s["..."]),
    tolerance={"float32": Tolerance(1e-5, 2e-5), "float64": Tolerance(1e-13, 2e-14)},
    sample=_probabilities,
    cases=SOFTMAX.cases,
)


def _layer_norm_grad(x, weight, gradient, eps=1e-5):
    x, w, g = map(np.float64, (x, weight, gradient))
    N, over = max(x.shape[-1], 1), tuple(range(x.ndim - 1))
    distance = x - x.sum(-1, keepdims=True) / N
    scale = 1 / np.sqrt((distance**2).sum(-1, keepdims=True) / N + eps)
    z, wg = distance * scale, w * g
    means = wg.sum(-1, keepdims=True) / N, (wg * z).sum(-1, keepdims=True) / N
    return scale * (wg - means[0] - z * means[1]), (g * z).sum(over), g.sum(over)


def _rms_norm_grad(x, weight, gradient, eps=1e-6):
    x, w, g = map(np.float64, (x, weight, gradient))
    N, over = max(x.shape[-1], 1), tuple(range(x.ndim - 1))
    scale = 1 / np.sqrt((x**2).sum(-1, keepdims=True) / N + eps)
    mean = (w * g * x).sum(-1, keepdims=True) / N
    return scale * (w * g - x * mean * scale**2), (g * x * scale).sum(over)


RMS_NORM_GRAD = Operation(
    name="rms_norm_grad",
    formula="r = 1 / √(mean x² + eps), h = g·w: dx = r · (h - x · mean(h·x) · r²); dw = Σ g·x·r",
    inputs=(Array("x", ("...", "N")), Array("weight", ("N",)), Array("gradient", ("...", "N"))),
    outputs=(Array("x_gradient", ("...", "N")), Array("weight_gradient", ("N",))),
    options={"eps": replace(AT_LEAST_0, default=1e-6)},
    inplace=("x", "gradient"),
    reference=_rms_norm_grad,
    count=lambda s, options: 12 * prod(s["..."]) * s["N"],
    # As for layer norm: differences, divided by a size that a short row makes as small as it likes.
    tolerance={"float32": Tolerance(1e-4, 2e-3), "float64": Tolerance(1e-12, 1e-11)},
    cases=NORM_CASES,
)


def _log_sum_exp_grad(x, gradient):
    x, g = np.float64(x), np.float64(gradient)
    with np.errstate(invalid="ignore"):
        power = np.exp(x - x.max(-1, keepdims=True, initial=-np.inf))
        return g[..., None] * power / power.sum(-1, keepdims=True)


LOG_SUM_EXP_GRAD = Operation(
    name="log_sum_exp_grad",
    formula="out = g · softmax(x), along the last axis",
    inputs=(Array("x", ("...", "N")), Array("gradient", ("...",))),
    outputs=(Array("out", ("...", "N")),),
    inplace=("x",),
    reference=_log_sum_exp_grad,
    count=lambda s, options: 6 * prod(s["..."]) * s["N"],
    tolerance={"float32": Tolerance(1e-5, 1e-6), "float64": Tolerance(1e-13, 1e-14)},
    cases=LOG_SUM_EXP.cases,
)


LAYER_NORM_GRAD = Operation(
    name="layer_norm_grad",
    formula="z = layer_norm(x, 1, 0), h = g·w: dx = (h - mean h - z · mean(h·z)) / √(var + eps); dw = Σ g·z; db = Σ g",
    inputs=(Array("x", ("...", "N")), Array("weight", ("N",)), Array("gradient", ("...", "N"))),
    outputs=(
        Array("x_gradient", ("...", "N")),
        Array("weight_gradient", ("N",)),
        Array("bias_gradient", ("N",)),
    ),
    options={"eps": AT_LEAST_0},
    inplace=("x", "gradient"),
    reference=_layer_norm_grad,
    count=lambda s, options: 18 * prod(s["..."]) * s["N"],
    # Differences of numbers of a few units, divided by a deviation that a short row makes as small as it likes.
    tolerance={"float32": Tolerance(1e-4, 2e-3), "float64": Tolerance(1e-12, 1e-11)},
    cases=NORM_CASES,
)
