"""Functions of each number by itself, of one array or of two."""

from math import prod

import numpy as np

from coursekit.kernels.contract import Array, Case, Operation, Tolerance
from coursekit.kernels.ops.activation import normal_cdf

CASES = (
    Case("256 KB", "benchmark", {"...": (64, 1024)}),
    Case("32 MB", "benchmark", {"...": (8192, 1024)}),
    Case("matrix", "test", {"...": (37, 29)}),
    Case("four dimensions", "test", {"...": (2, 3, 4, 5)}),
    Case("one number", "test", {"...": ()}),
    Case("nothing", "test", {"...": (3, 0)}),
    Case("tiny", "tiny", {"...": (2, 5)}),
    Case("tiny vector", "tiny", {"...": (70,)}),
)

# One rounding of float32 or float64; functions of float32 are stated in ulp beside the kernels, float64 comes from the
# C library; a GELU has an absolute error as well, from its distribution function.
ROUNDED = {"float32": Tolerance(2**-24, 0), "float64": Tolerance(2**-53, 0)}
FUNCTION = {"float32": Tolerance(4e-7, 1e-37), "float64": Tolerance(1e-15, 1e-300)}
CDF = {"float32": Tolerance(1e-6, 2e-6), "float64": Tolerance(1e-14, 1e-15)}


def _quietly(function):
    def reference(*arrays):
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            return np.asarray(function(*map(np.float64, arrays)))

    return reference


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _operation(name, formula, function, flops, tolerance, inputs=("x",)):
    return Operation(
        name=name,
        formula=formula,
        inputs=tuple(Array(a, ("...",)) for a in inputs),
        outputs=(Array("out", ("...",)),),
        inplace=inputs,
        reference=_quietly(function),
        count=lambda s, options: flops * prod(s["..."]),
        tolerance=tolerance,
        cases=CASES,
    )


ELEMENTWISE = (
    _operation("add", "out = x + y", np.add, 1, ROUNDED, ("x", "y")),
    _operation("multiply", "out = x · y", np.multiply, 1, ROUNDED, ("x", "y")),
    _operation("relu", "out = max(x, 0)", lambda x: np.maximum(x, 0), 1, ROUNDED),
    _operation("gelu", "out = x · ½(1 + erf(x/√2))", lambda x: x * normal_cdf(x), 5, CDF),
    _operation("silu", "out = x / (1 + exp(-x))", lambda x: x / (1 + np.exp(-x)), 4, FUNCTION),
    _operation("sigmoid", "out = 1 / (1 + exp(-x))", _sigmoid, 4, FUNCTION),
    _operation("tanh", "out = tanh(x)", np.tanh, 1, FUNCTION),
    _operation("exp", "out = eˣ", np.exp, 1, FUNCTION),
)
