"""Functions of each number by itself, with the bias before them."""

from math import erfc, prod, sqrt

import numpy as np

from coursekit.kernels.contract import Array, Case, Operation, Tolerance, one_of


def _bias_gelu(x, bias, approximate="none"):
    v = np.float64(x) + np.float64(bias)
    with np.errstate(invalid="ignore", over="ignore"):
        if approximate == "tanh":
            return 0.5 * v * (1 + np.tanh(sqrt(2 / np.pi) * (v + 0.044715 * v**3)))
        return 0.5 * v * np.vectorize(erfc, otypes=[np.float64])(-v / sqrt(2))


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
        Case("4096x768, erf", "benchmark", {"...": (4096,), "N": 768}),
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
        Case("tiny vector", "tiny", {"...": (), "N": 4}),
        Case("nothing", "tiny", {"...": (0,), "N": 3}),
    ),
)
