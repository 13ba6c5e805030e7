"""What brings numbers to a common scale."""

from math import prod

import numpy as np

from coursekit.kernels.contract import Array, Case, Operation, Tolerance, axis_of


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
        Case("1024 rows of 1024", "benchmark", {"...": (1024, 1024)}),
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
        Case("middle axis", "tiny", {"...": (2, 5, 2)}, {"axis": 1}),
        Case("tiny vector", "tiny", {"...": (7,)}, {"axis": 0}),
        Case("nothing", "tiny", {"...": (0, 3)}),
    ),
)
