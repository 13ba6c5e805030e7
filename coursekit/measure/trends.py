"""How time grows with size: the slope of a straight line through log(size), log(time)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from coursekit.measure.clock import Clock, compare
from coursekit.measure.text import html_table, seconds, text_table


@dataclass(frozen=True)
class Slope:
    """The exponent p of time = c · size**p by least squares on logarithms.

    Two points determine the line, and leave nothing to judge its error: then `stderr` is nan and the
    interval infinite.
    """

    value: float
    stderr: float
    low: float
    high: float
    coefficient: float

    def __float__(self) -> float:
        return self.value

    def __repr__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True)
class Trend:
    """Seconds per call at each of `sizes`: arrays of shape (n,), and `local_slopes` of shape (n - 1,).

    `lows` and `highs` are quartiles. A slope that rises from neighbour to neighbour says that the sizes are
    too small for the law to show, or that the data has left a cache.
    """

    sizes: np.ndarray
    medians: np.ndarray
    lows: np.ndarray
    highs: np.ndarray

    @property
    def fit(self) -> Slope:
        return fit_slope(self.sizes, self.medians)

    @property
    def slope(self) -> float:
        return self.fit.value

    @property
    def local_slopes(self) -> np.ndarray:
        return np.diff(np.log(self.medians)) / np.diff(np.log(self.sizes))

    def _rows(self) -> tuple[list[str], list[list[str]]]:
        local = ["", *(f"{slope:.2f}" for slope in self.local_slopes)]
        header = ["size", "median", "lower quartile", "upper quartile", "slope from the size before"]
        columns = zip(self.sizes, self.medians, self.lows, self.highs, local, strict=True)
        return header, [[f"{n:g}", seconds(m), seconds(lo), seconds(hi), s] for n, m, lo, hi, s in columns]

    def __repr__(self) -> str:
        return f"{text_table(*self._rows())}\nslope {self.fit}"

    def _repr_html_(self) -> str:
        return html_table(*self._rows(), caption=f"slope {self.fit}")


def fit_slope(sizes: Sequence[float], values: Sequence[float]) -> Slope:
    """Fit values = c · sizes**p by ordinary least squares on logarithms; Student's t gives the 95 % interval.

    sizes, values: shape (n,), positive, with two different sizes or more. Raises ValueError otherwise.
    """
    from scipy.stats import t

    x, y = np.asarray(sizes, float), np.asarray(values, float)
    if x.ndim != 1 or x.shape != y.shape or len(np.unique(x)) < 2:
        raise ValueError(
            f"sizes and values must be one-dimensional, equally long, with two different sizes or more; "
            f"got shapes {x.shape} and {y.shape}"
        )
    if not (np.all(x > 0) and np.all(y > 0)):
        raise ValueError("sizes and values must be positive: their logarithms are fitted")
    x, y = np.log(x), np.log(y)
    spread = np.sum((x - x.mean()) ** 2)
    slope = np.sum((x - x.mean()) * (y - y.mean())) / spread
    intercept = y.mean() - slope * x.mean()
    freedom = len(x) - 2
    if freedom == 0:
        return Slope(float(slope), float("nan"), float("-inf"), float("inf"), float(np.exp(intercept)))
    stderr = np.sqrt(np.sum((y - intercept - slope * x) ** 2) / freedom / spread)
    half = t.ppf(0.975, freedom) * stderr
    return Slope(*map(float, (slope, stderr, slope - half, slope + half, np.exp(intercept))))


def trend(
    make: Callable[[int], Callable[[], object]],
    sizes: Sequence[int],
    *,
    budget_s: float = 2.0,
    min_rounds: int = 7,
    clock: str | Clock = "wall",
    seed: int = 0,
) -> Trend:
    """Time `make(n)` for each n of `sizes`, interleaved; the other arguments are those of `compare`.

    make: n -> a function without arguments; what `make` itself does is not timed.
    Raises ValueError for fewer than two different sizes, or sizes below 1.
    """
    sizes = sorted(set(sizes))
    if len(sizes) < 2 or sizes[0] < 1:
        raise ValueError(f"sizes must hold at least two different positive numbers, got {sizes}")
    candidates = {f"n={n}": make(n) for n in sizes}
    measured = compare(candidates, budget_s=budget_s, min_rounds=min_rounds, clock=clock, seed=seed)
    timings = list(measured.timings.values())
    columns = ([getattr(timing, name) for timing in timings] for name in ("median", "low", "high"))
    return Trend(np.array(sizes), *map(np.array, columns))
