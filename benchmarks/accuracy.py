"""The largest error of the vector layer's exp, tanh and erf over float32: ``python benchmarks/accuracy.py``.

Errors are in units in the last place of the true result, which NumPy and SciPy give in float64. All 4,294,967,296
patterns of bits are tried, infinities, nan and subnormal numbers among them; ``--step 100`` tries every hundredth.
"""

import argparse

import numpy as np
from numba import njit
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.special import erf

from coursekit.kernels.cpu import simd, vector_math

TRUE = {"exp": np.exp, "tanh": np.tanh, "erf": erf}
CHUNK = 2**24


def over_array(function):
    @njit
    def run(x, out):
        n = simd.width(x)
        for i in range(0, x.size, n):
            rest = min(n, x.size - i)
            v = simd.load_first(x, i, rest, simd.broadcast(x[i]))
            simd.store_first(out, i, function(v), rest)

    return run


def errors(run, true, x):
    """The error of each result in units in the last place; 0 where both are the same infinity, or nan."""
    out = np.empty_like(x)
    run(x, out)
    with np.errstate(all="ignore"):
        wanted = true(x.astype(np.float64))
        nearest = wanted.astype(np.float32)
        error = np.abs(out - wanted) / np.spacing(np.abs(nearest))
    same = (out == nearest) | (np.isnan(out) & np.isnan(nearest))
    return np.where(np.isfinite(nearest), error, np.where(same, 0, np.inf))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--step", type=int, default=1, help="try every STEP-th pattern of bits (%(default)s)")
    step = parser.parse_args().step
    table = Table(title=f"Vectors of {simd.LANES} float32 ({simd.EXTENSION})")
    for column in ("function", "largest error, ulp", "at", "not the nearest float32"):
        table.add_column(column, justify="right")
    for name, true in TRUE.items():
        run = over_array(getattr(vector_math, name))
        worst, where, off, count = 0.0, 0.0, 0, 0
        for start in track(range(0, 2**32, CHUNK * step), description=name, transient=True):
            patterns = np.arange(start, min(start + CHUNK * step, 2**32), step, dtype=np.uint64)
            x = patterns.astype(np.uint32).view(np.float32)
            error = errors(run, true, x)
            off, count = off + int((error > 0.5).sum()), count + x.size
            if error.max() > worst:
                worst, where = error.max(), x[error.argmax()]
        table.add_row(name, f"{worst:.3f}", f"{where:.9g}", f"{off / count:.2%}")
    Console().print(table)


if __name__ == "__main__":
    main()
