"""Functions of each number by itself, with the bias before them."""

from math import erfc, prod, sqrt

import numpy as np

from coursekit.kernels.contract import Array, Case, Operation, Option, Tolerance, one_of


def normal_cdf(v: np.ndarray) -> np.ndarray:
    """Φ, to the last digits in both tails."""
    return 0.5 * np.vectorize(erfc, otypes=[np.float64])(-v / sqrt(2))


def _bias_gelu(x, bias, approximate="none"):
    v = np.float64(x) + np.float64(bias)
    with np.errstate(invalid="ignore", over="ignore"):
        if approximate == "tanh":
            return 0.5 * v * (1 + np.tanh(sqrt(2 / np.pi) * (v + 0.044715 * v**3)))
        return v * normal_cdf(v)


BIAS_GELU = Operation(
    name="bias_gelu",
    formula="v = x + bias; out = v · ½(1 + erf(v/√2)), or v · ½(1 + tanh(√(2/π)(v + 0.044715 v³)))",
    inputs=(Array("x", ("...", "N")), Array("bias", ("N",))),
    outputs=(Array("out", ("...", "N")),),
    options={"approximate": one_of("none", "tanh")},
    inplace=("x",),
    reference=_bias_gelu,
    count=lambda s, options: (10 if options["approximate"] == "tanh" else 6) * prod(s["..."]) * s["N"],
    tolerance={"float32": Tolerance(1e-5, 2e-6), "float64": Tolerance(1e-13, 1e-14)},
    cases=(
        Case("256x1024, erf", "benchmark", {"...": (256,), "N": 1024}),
        Case("256x1024, tanh", "benchmark", {"...": (256,), "N": 1024}, {"approximate": "tanh"}),
        Case("8192x1024, 32 MB, erf", "benchmark", {"...": (8192,), "N": 1024}),
        Case("rows, erf", "test", {"...": (37,), "N": 129}),
        Case("rows, tanh", "test", {"...": (37,), "N": 129}, {"approximate": "tanh"}),
        Case("vector", "test", {"...": (), "N": 1001}),
        Case("four dimensions", "test", {"...": (2, 3, 4), "N": 5}, {"approximate": "tanh"}),
        Case("rows of one", "test", {"...": (5,), "N": 1}),
        Case("no rows", "test", {"...": (0,), "N": 5}),
        Case("rows of none", "test", {"...": (5,), "N": 0}),
        Case("tiny rows, erf", "tiny", {"...": (3,), "N": 7}),
        Case("tiny rows, tanh", "tiny", {"...": (2, 2), "N": 3}, {"approximate": "tanh"}),
        Case("longer than a block", "tiny", {"...": (3,), "N": 50}),
        Case("tiny fours, erf", "tiny", {"...": (3, 5), "N": 12}),
        Case("tiny fours, tanh", "tiny", {"...": (3,), "N": 264}, {"approximate": "tanh"}),
        Case("tiny vector", "tiny", {"...": (), "N": 4}),
        Case("nothing", "tiny", {"...": (0,), "N": 3}),
    ),
)


def _bias_relu(x, bias):
    return np.maximum(np.float64(x) + np.float64(bias), 0)


def _bias_silu(x, bias):
    v = np.float64(x) + np.float64(bias)
    with np.errstate(over="ignore", invalid="ignore"):
        return v / (1 + np.exp(-v))


def _chain(x, scale, shift, gain, offset, limit=6.0):
    gelu = _bias_gelu(np.float64(x) * np.float64(scale), shift, "tanh")
    return np.clip(gelu * np.float64(gain) + np.float64(offset), -limit, limit)


ROWS = (
    Case("64x1024", "benchmark", {"...": (64,), "N": 1024}),
    Case("256x1024", "benchmark", {"...": (256,), "N": 1024}),
    Case("8192x1024, 32 MB", "benchmark", {"...": (8192,), "N": 1024}),
    Case("rows", "test", {"...": (37,), "N": 129}),
    Case("four dimensions", "test", {"...": (2, 3, 4), "N": 5}),
    Case("vector", "test", {"...": (), "N": 1001}),
    Case("rows of one", "test", {"...": (5,), "N": 1}),
    Case("no rows", "test", {"...": (0,), "N": 5}),
    Case("rows of none", "test", {"...": (5,), "N": 0}),
    Case("tiny rows", "tiny", {"...": (3,), "N": 7}),
    Case("longer than a block", "tiny", {"...": (3,), "N": 50}),
    Case("tiny fours", "tiny", {"...": (3, 5), "N": 12}),
    Case("fours, longer than a block", "tiny", {"...": (3,), "N": 264}),
    Case("nothing", "tiny", {"...": (0,), "N": 3}),
)

BIAS_RELU = Operation(
    name="bias_relu",
    formula="out = max(x + bias, 0)",
    inputs=(Array("x", ("...", "N")), Array("bias", ("N",))),
    outputs=(Array("out", ("...", "N")),),
    inplace=("x",),
    reference=_bias_relu,
    count=lambda s, options: 2 * prod(s["..."]) * s["N"],
    # One rounding, of a sum that may be smaller than its terms.
    tolerance={"float32": Tolerance(1e-6, 1e-6), "float64": Tolerance(1e-15, 1e-15)},
    cases=ROWS,
)

BIAS_SILU = Operation(
    name="bias_silu",
    formula="v = x + bias; out = v / (1 + exp(-v))",
    inputs=(Array("x", ("...", "N")), Array("bias", ("N",))),
    outputs=(Array("out", ("...", "N")),),
    inplace=("x",),
    reference=_bias_silu,
    count=lambda s, options: 5 * prod(s["..."]) * s["N"],
    # exp, / and the rounding of the sum, which counts absolutely.
    tolerance={"float32": Tolerance(2e-6, 1e-6), "float64": Tolerance(1e-14, 1e-14)},
    cases=ROWS,
)

SCALE_SHIFT_GELU_SCALE_SHIFT_CLIP = Operation(
    name="scale_shift_gelu_scale_shift_clip",
    formula="out = clip(gelu(x · scale + shift) · gain + offset, -limit, limit), gelu being the form by tanh",
    inputs=(
        Array("x", ("...", "N")),
        Array("scale", ("N",)),
        Array("shift", ("N",)),
        Array("gain", ("N",)),
        Array("offset", ("N",)),
    ),
    outputs=(Array("out", ("...", "N")),),
    options={"limit": Option(6.0, lambda value, shapes: "" if value >= 0 else "0 or more")},
    inplace=("x",),
    reference=_chain,
    # The nine of GELU after the bias, four before and after it, and two comparisons.
    count=lambda s, options: 15 * prod(s["..."]) * s["N"],
    # Arguments and gains are of a few units, and each adds an error of its own size.
    tolerance={"float32": Tolerance(1e-5, 1e-5), "float64": Tolerance(1e-13, 1e-13)},
    cases=(*ROWS, Case("small limit", "test", {"...": (4,), "N": 33}, {"limit": 0.5})),
)
