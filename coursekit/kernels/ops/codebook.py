"""What code books of numbers need: how often values occur, and the step of k-means on a line.

Both decide by comparisons of rounded numbers, so both are defined to the last bit: the numbers that are compared are
computed in the arrays' own dtype, here as in the backends.
"""

from math import isfinite, log2, prod

import numpy as np

from coursekit.kernels.contract import Array, Case, Operation, Option, Tolerance

EXACT = Tolerance(0, 0)
MOST_BINS = 2**16


def _finite(value, shapes) -> str:
    return "" if isfinite(value) else "finite"


def scale_of(dtype, bins: int, low: float, high: float):
    """``low`` and bins / (high - low) in the dtype, by which x - low is multiplied."""
    number = np.dtype(dtype).type
    return number(low), number(bins / (high - low))


def _histogram(x, bins=256, low=0.0, high=1.0):
    x = np.asarray(x).reshape(-1)
    start, scale = scale_of(x.dtype, bins, low, high)
    x = x[(x >= start) & (x <= x.dtype.type(high))]
    places = np.minimum((x - start) * scale, x.dtype.type(bins - 1)).astype(np.int64)
    return np.bincount(places, minlength=bins)


def _bins(s, options):
    low, high = options["low"], options["high"]
    if not low < high:
        raise ValueError(f"histogram: low must be below high; got {low} and {high}")
    if options["bins"] / (high - low) > float(np.finfo(np.float32).max):
        raise ValueError(f"histogram: low and high must leave room for the bins; got {low} and {high}")
    return {"B": options["bins"]}


def _range_cases(bins, low, high):
    return {"bins": bins, "low": low, "high": high}


HISTOGRAM = Operation(
    name="histogram",
    formula="out[i] = how many low ≤ x ≤ high have min(⌊(x - low) · bins/(high - low)⌋, bins - 1) = i",
    inputs=(Array("x", ("...",)),),
    outputs=(Array("out", ("B",), "int64"),),
    options={
        "bins": Option(256, lambda value, shapes: "" if 0 < value <= MOST_BINS else f"1 to {MOST_BINS}"),
        "low": Option(0.0, _finite),
        "high": Option(1.0, _finite),
    },
    derive=_bins,
    reference=_histogram,
    # A difference, a product, three comparisons, and one more counted.
    count=lambda s, options: 6 * prod(s["..."]),
    tolerance={"float32": EXACT, "float64": EXACT},
    cases=(
        Case("4 MB, 256 bins", "benchmark", {"...": (2**20,)}, _range_cases(256, -4.0, 4.0)),
        Case("4 MB, 16 bins", "benchmark", {"...": (2**20,)}, _range_cases(16, -4.0, 4.0)),
        Case("vector", "test", {"...": (1001,)}, _range_cases(16, -2.0, 2.0)),
        Case("matrix", "test", {"...": (37, 29)}, _range_cases(256, -1.0, 3.0)),
        Case("one bin", "test", {"...": (50,)}, _range_cases(1, -0.5, 0.5)),
        Case("many bins", "test", {"...": (99,)}, _range_cases(5000, -3, 3)),
        Case("one number", "test", {"...": ()}, _range_cases(4, -4.0, 4.0)),
        Case("none", "test", {"...": (0, 3)}),
        Case("a few", "tiny", {"...": (2, 5)}, _range_cases(3, -1.0, 1.0)),
        Case("none, tiny", "tiny", {"...": (0,)}, _range_cases(3, -1.0, 1.0)),
    ),
)


def _kmeans_step(x, centres):
    order = np.argsort(centres, kind="stable")
    ordered = centres[order]
    half = centres.dtype.type(0.5)
    borders = ordered[:-1] * half + ordered[1:] * half
    assignment = order[np.searchsorted(borders, x, side="right")] if centres.size else np.zeros(x.size)
    assignment = np.where(np.isnan(x), -1, assignment).astype(np.int32)
    counts = np.bincount(assignment[assignment >= 0], minlength=centres.size)
    sums = np.bincount(assignment[assignment >= 0], np.float64(x[assignment >= 0]), minlength=centres.size)
    return assignment, np.where(counts > 0, sums / np.maximum(counts, 1), np.float64(centres))


def _some_centres(s, options):
    if s["C"] < 1:
        raise ValueError("kmeans_step: centres must have an element at least; got 0 of them")
    return {}


KMEANS_STEP = Operation(
    name="kmeans_step",
    formula="assignment = nearest centre of each x; new_centres = means of x by assignment, or the old where none is",
    inputs=(Array("x", ("N",)), Array("centres", ("C",))),
    outputs=(Array("assignment", ("N",), "int32"), Array("new_centres", ("C",))),
    derive=_some_centres,
    reference=_kmeans_step,
    # The search among C - 1 borders, and a sum.
    count=lambda s, options: s["N"] * (int(log2(max(s["C"], 1))) + 2),
    # Sums are in float64, rounded once; in another order they differ by a few units of it.
    tolerance={"float32": Tolerance(1e-6, 1e-7), "float64": Tolerance(1e-13, 1e-13)},
    cases=(
        Case("4 MB, 16 centres", "benchmark", {"N": 2**20, "C": 16}),
        Case("4 MB, 256 centres", "benchmark", {"N": 2**20, "C": 256}),
        Case("sixteen", "test", {"N": 1001, "C": 16}),
        Case("odd", "test", {"N": 333, "C": 37}),
        Case("one centre", "test", {"N": 50, "C": 1}),
        Case("more centres than numbers", "test", {"N": 9, "C": 70}),
        Case("two blocks", "test", {"N": 20_000, "C": 5}),
        Case("no numbers", "test", {"N": 0, "C": 3}),
        Case("a few", "tiny", {"N": 9, "C": 3}),
        Case("none, tiny", "tiny", {"N": 0, "C": 2}),
    ),
)
