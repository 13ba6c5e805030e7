"""What makes one number of each row."""

from math import prod

import numpy as np

from coursekit.kernels.contract import Array, Case, Operation, Tolerance, one_of


def _log_sum_exp(x):
    x = np.float64(x)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        top = x.max(-1, initial=-np.inf)
        shift = np.where(np.isfinite(top), top, 0)
        return np.log(np.exp(x - shift[..., None]).sum(-1)) + shift


def _reduce(x, by="sum"):
    x = np.float64(x)
    if by == "max":
        return x.max(-1, initial=-np.inf)
    total = x.sum(-1)
    with np.errstate(invalid="ignore"):
        return total / np.float64(x.shape[-1]) if by == "mean" else total


def _rows(options):
    return (
        Case("64x1024", "benchmark", {"...": (64,), "N": 1024}, options),
        Case("8192x1024, 32 MB", "benchmark", {"...": (8192,), "N": 1024}, options),
        Case("4096 rows of 10", "benchmark", {"...": (4096,), "N": 10}, options),
        Case("vector", "test", {"...": (), "N": 1001}, options),
        Case("rows", "test", {"...": (37,), "N": 129}, options),
        Case("whole vectors", "test", {"...": (2, 3), "N": 64}, options),
        Case("long row", "test", {"...": (2,), "N": 9001}, options),
        Case("rows of one", "test", {"...": (5,), "N": 1}, options),
        Case("no rows", "test", {"...": (0,), "N": 5}, options),
        Case("rows of none", "test", {"...": (5,), "N": 0}, options),
        Case("a few rows", "tiny", {"...": (2,), "N": 5}, options),
        Case("longer than the block", "tiny", {"...": (2,), "N": 70}, options),
        Case("fours, longer than the block", "tiny", {"...": (2,), "N": 264}, options),
        Case("tiny vector", "tiny", {"...": (), "N": 7}, options),
        Case("nothing", "tiny", {"...": (0,), "N": 3}, options),
    )


def _named(case, by):
    return Case(f"{case.name}, {by}", case.use, case.sizes, {"by": by})


LOG_SUM_EXP = Operation(
    name="log_sum_exp",
    formula="out = log Σ exp(x - max x) + max x, along the last axis",
    inputs=(Array("x", ("...", "N")),),
    outputs=(Array("out", ("...",)),),
    reference=_log_sum_exp,
    count=lambda s, options: (4 * s["N"] + 2) * prod(s["..."]),
    # Terms are positive; the sum's relative error becomes an absolute one of the logarithm.
    tolerance={"float32": Tolerance(1e-6, 5e-6), "float64": Tolerance(1e-14, 1e-13)},
    cases=_rows({}),
)

REDUCE = Operation(
    name="reduce",
    formula="out = Σ x, Σ x / N, or max x, along the last axis",
    inputs=(Array("x", ("...", "N")),),
    outputs=(Array("out", ("...",)),),
    options={"by": one_of("sum", "mean", "max")},
    reference=_reduce,
    count=lambda s, options: (s["N"] + (options["by"] == "mean")) * prod(s["..."]),
    # Of numbers of both signs: an error counts beside the largest partial sum, about √N, not beside what is left.
    tolerance={"float32": Tolerance(1e-5, 2e-3), "float64": Tolerance(1e-13, 5e-12)},
    cases=tuple(_named(case, by) for by in ("sum", "mean", "max") for case in _rows({})),
)
