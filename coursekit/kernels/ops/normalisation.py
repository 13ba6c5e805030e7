"""What brings numbers to a common scale."""

from dataclasses import replace
from math import prod

import numpy as np

from coursekit.kernels.contract import Array, Case, Operation, Option, Tolerance, axis_of


def _softmax(x, axis=-1):
    x = np.float64(x)
    with np.errstate(invalid="ignore"):
        powers = np.exp(x - x.max(axis=axis, keepdims=True, initial=-np.inf))
        return powers / powers.sum(axis=axis, keepdims=True)


SOFTMAX = Operation(
    name="softmax",
    formula="out[i] = exp(x[i] - max x) / Σⱼ exp(x[j] - max x)",
    inputs=(Array("x", ("...",)),),
    outputs=(Array("out", ("...",)),),
    options={"axis": axis_of("x")},
    inplace=("x",),
    reference=_softmax,
    count=lambda s, options: 5 * prod(s["..."]),
    tolerance={"float32": Tolerance(1e-5, 1e-7), "float64": Tolerance(1e-13, 1e-15)},
    cases=(
        Case("4096 rows of 10", "benchmark", {"...": (4096, 10)}),
        Case("64 rows of 1024", "benchmark", {"...": (64, 1024)}),
        Case("1024 rows of 1024", "benchmark", {"...": (1024, 1024)}),
        Case("32 MB", "benchmark", {"...": (8192, 1024)}),
        Case("attention 8x256x256", "benchmark", {"...": (8, 256, 256)}),
        Case("over channels", "benchmark", {"...": (8, 64, 1024)}, {"axis": 1}),
        Case("vector", "test", {"...": (1001,)}),
        Case("rows", "test", {"...": (37, 129)}),
        Case("columns", "test", {"...": (37, 129)}, {"axis": 0}),
        Case("middle of four", "test", {"...": (3, 2, 33, 5)}, {"axis": 2}),
        Case("negative axis", "test", {"...": (4, 7, 6)}, {"axis": -2}),
        Case("rows of one", "test", {"...": (5, 1)}),
        Case("no rows", "test", {"...": (0, 5)}),
        Case("rows of none", "test", {"...": (5, 0)}),
        Case("a few rows", "tiny", {"...": (2, 5)}),
        Case("longer than the block", "tiny", {"...": (2, 70)}),
        Case("just the block", "tiny", {"...": (1, 64)}),
        Case("fours, longer than the block", "tiny", {"...": (2, 264)}),
        Case("middle axis", "tiny", {"...": (2, 5, 2)}, {"axis": 1}),
        Case("tiny vector", "tiny", {"...": (7,)}, {"axis": 0}),
        Case("nothing", "tiny", {"...": (0, 3)}),
    ),
)

AT_LEAST_0 = Option(1e-5, lambda value, shapes: "" if value >= 0 else "0 or more")


def _layer_norm(x, weight, bias, eps=1e-5):
    x = np.float64(x)
    count = max(x.shape[-1], 1)
    distance = x - x.sum(-1, keepdims=True) / count
    variance = (distance**2).sum(-1, keepdims=True) / count
    return distance / np.sqrt(variance + eps) * np.float64(weight) + np.float64(bias)


def _add_layer_norm(x, residual, weight, bias, eps=1e-5):
    total = np.float64(x) + np.float64(residual)
    return total, _layer_norm(total, weight, bias, eps)


def _rms_norm(x, weight, eps=1e-6):
    x = np.float64(x)
    square = (x**2).sum(-1, keepdims=True) / max(x.shape[-1], 1)
    return x / np.sqrt(square + eps) * np.float64(weight)


def _count_norm(each, each_row):
    return lambda s, options: (each * s["N"] + each_row) * prod(s["..."])


# A row of two is 1 and -1 whatever stands there, and its distances may be as small as they like: 1e-5 of what is
# there before the bias is the wish, and the sum of two rounded numbers may have lost more than that.
NORM_TOLERANCE = {"float32": Tolerance(1e-5, 5e-5), "float64": Tolerance(1e-13, 5e-13)}
NORM_CASES = (
    Case("128x768", "benchmark", {"...": (128,), "N": 768}),
    Case("32 MB", "benchmark", {"...": (8192,), "N": 1024}),
    Case("8x64x1024", "benchmark", {"...": (8, 64), "N": 1024}),
    Case("4096 rows of 10", "benchmark", {"...": (4096,), "N": 10}),
    Case("vector", "test", {"...": (), "N": 1001}),
    Case("rows", "test", {"...": (37,), "N": 129}),
    Case("whole vectors", "test", {"...": (3, 2), "N": 64}),
    Case("large eps", "test", {"...": (5,), "N": 19}, {"eps": 0.1}),
    Case("rows of one", "test", {"...": (5,), "N": 1}),
    Case("no rows", "test", {"...": (0,), "N": 5}),
    Case("rows of none", "test", {"...": (5,), "N": 0}),
    Case("a few rows", "tiny", {"...": (2,), "N": 5}),
    Case("longer than the block", "tiny", {"...": (2,), "N": 70}),
    Case("fours, longer than the block", "tiny", {"...": (2,), "N": 264}),
    Case("tiny vector", "tiny", {"...": (), "N": 7}),
    Case("nothing", "tiny", {"...": (0,), "N": 3}),
)

LAYER_NORM = Operation(
    name="layer_norm",
    formula="out = (x - mean x) / √(mean (x - mean x)² + eps) · weight + bias, along the last axis",
    inputs=(Array("x", ("...", "N")), Array("weight", ("N",)), Array("bias", ("N",))),
    outputs=(Array("out", ("...", "N")),),
    options={"eps": AT_LEAST_0},
    inplace=("x",),
    reference=_layer_norm,
    # N additions and a division for the mean; -, ·, + for the variance, divided once; + and √; and /, ·, + at the end.
    count=_count_norm(7, 4),
    tolerance=NORM_TOLERANCE,
    cases=NORM_CASES,
)

ADD_LAYER_NORM = Operation(
    name="add_layer_norm",
    formula="total = x + residual; norm = layer_norm(total, weight, bias)",
    inputs=(
        Array("x", ("...", "N")),
        Array("residual", ("...", "N")),
        Array("weight", ("N",)),
        Array("bias", ("N",)),
    ),
    outputs=(Array("total", ("...", "N")), Array("norm", ("...", "N"))),
    options={"eps": AT_LEAST_0},
    inplace=("x", "residual"),
    reference=_add_layer_norm,
    count=_count_norm(8, 4),
    tolerance=NORM_TOLERANCE,
    cases=NORM_CASES,
)

RMS_NORM = Operation(
    name="rms_norm",
    formula="out = x / √(mean x² + eps) · weight, along the last axis",
    inputs=(Array("x", ("...", "N")), Array("weight", ("N",))),
    outputs=(Array("out", ("...", "N")),),
    options={"eps": replace(AT_LEAST_0, default=1e-6)},
    inplace=("x",),
    reference=_rms_norm,
    count=_count_norm(4, 3),
    # Sums of positive numbers: nothing cancels.
    tolerance={"float32": Tolerance(1e-5, 1e-7), "float64": Tolerance(1e-13, 1e-15)},
    cases=NORM_CASES,
)
