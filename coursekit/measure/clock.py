"""Timing that can be trusted on a noisy machine.

Candidates are timed in rounds. Each round times every candidate once, in a new random order, so that a slow
spell of the machine falls on all of them; ratios are formed within a round, and their median is reported with
a distribution-free 95 % interval (order statistics: W. J. Conover, Practical Nonparametric Statistics,
1999, section 3.2).
"""

import gc
import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import repeat

import numpy as np

from coursekit.measure.text import html_table, seconds, text_table

Clock = Callable[[], int]

CLOCKS: dict[str, Clock] = {"wall": time.perf_counter_ns, "cpu": time.thread_time_ns}

SAMPLE_S = (100e-6, 2e-3)
"""Seconds that a sample is calibrated to last, at least and at most; one long call may last longer."""
ROUNDS_AIMED_AT = 200
MAX_ROUNDS = 10_000
MAX_CALLS = 1_000_000


class CandidateError(RuntimeError):
    """A candidate raised while it was timed; the message names it, and `__cause__` is what it raised."""


@dataclass(frozen=True)
class Timing:
    """Seconds per call of one candidate: median and quartiles of `samples`, each the mean of `calls`."""

    name: str
    samples: np.ndarray = field(repr=False)
    calls: int

    @property
    def median(self) -> float:
        return float(np.median(self.samples))

    @property
    def low(self) -> float:
        return float(np.quantile(self.samples, 0.25))

    @property
    def high(self) -> float:
        return float(np.quantile(self.samples, 0.75))

    def __repr__(self) -> str:
        return f"{self.name}: {seconds(self.median)} ({seconds(self.low)} to {seconds(self.high)})"


@dataclass(frozen=True)
class Ratio:
    """How many times as fast `a` is as `b`.

    `median` is that of time(b)/time(a) over the rounds; `low` and `high` are its 95 % interval.
    """

    a: str
    b: str
    median: float
    low: float
    high: float

    @property
    def different(self) -> bool:
        """Whether the interval excludes 1."""
        return self.low > 1 or self.high < 1

    def __float__(self) -> float:
        return self.median

    def __repr__(self) -> str:
        if not self.different:
            digits = 2 if f"{self.low:.2f}" != f"{self.high:.2f}" else 4
            return (
                f"{self.a} and {self.b} are not different ({self.low:.{digits}f}x to {self.high:.{digits}f}x)"
            )
        if self.median < 1:
            return str(Ratio(self.b, self.a, 1 / self.median, 1 / self.high, 1 / self.low))
        digits = 2 if self.low >= 1.01 else 3
        low, middle, high = (f"{value:.{digits}f}" for value in (self.low, self.median, self.high))
        return f"{self.a} is {middle}x as fast as {self.b} ({low} to {high})"


@dataclass(frozen=True)
class Comparison:
    """What `compare` measured: name -> Timing, where samples of the same index come from the same round."""

    timings: dict[str, Timing]
    clock: str

    @property
    def rounds(self) -> int:
        return len(next(iter(self.timings.values())).samples)

    @property
    def fastest(self) -> str:
        """The name with the smallest median; ask `ratio` whether the second is really slower."""
        return min(self.timings, key=lambda name: self.timings[name].median)

    def __getitem__(self, name: str) -> Timing:
        if name not in self.timings:
            raise KeyError(f"no candidate {name!r}; there are {', '.join(map(repr, self.timings))}")
        return self.timings[name]

    def ratio(self, a: str, b: str) -> Ratio:
        """How many times as fast `a` is as `b`. Raises KeyError for an unknown name, with those there are."""
        per_round = self[b].samples / self[a].samples
        return Ratio(a, b, float(np.median(per_round)), *median_interval(per_round))

    def _rows(self) -> tuple[list[str], list[list[str]]]:
        first = next(iter(self.timings))
        header = ["candidate", "median", "lower quartile", "upper quartile", f"speed against {first}"]
        rows = []
        for name, timing in self.timings.items():
            ratio = self.ratio(name, first)
            speed = "1" if name == first else f"{ratio.median:.2f}x ({ratio.low:.2f} to {ratio.high:.2f})"
            rows.append([name, seconds(timing.median), seconds(timing.low), seconds(timing.high), speed])
        return header, rows

    def _caption(self) -> str:
        return f"time per call, {self.clock} clock, {self.rounds} interleaved rounds"

    def __repr__(self) -> str:
        return f"{text_table(*self._rows())}\n{self._caption()}"

    def _repr_html_(self) -> str:
        return html_table(*self._rows(), caption=self._caption())


@dataclass(frozen=True)
class Latency:
    """Percentiles of the time of single calls, in seconds."""

    p50: float
    p90: float
    p99: float
    samples: np.ndarray = field(repr=False)

    def __repr__(self) -> str:
        p50, p90, p99 = map(seconds, (self.p50, self.p90, self.p99))
        return f"p50 {p50}, p90 {p90}, p99 {p99} ({len(self.samples)} calls)"


def compare(
    candidates: Mapping[str, Callable[[], object]],
    *,
    budget_s: float = 1.0,
    min_rounds: int = 7,
    clock: str | Clock = "wall",
    seed: int = 0,
) -> Comparison:
    """Time each candidate against the others.

    candidates: name -> a function without arguments. Each is called a few times first, so compilation is
        not counted.
    budget_s: seconds of wall time for the rounds together; `min_rounds` of them are made whatever they cost.
        Fewer than six rounds allow no 95 % interval, and nothing is then called different.
    clock: 'wall', or 'cpu' for the CPU time of this thread, which neighbours on the machine disturb less.
        'cpu' is valid for work on one thread only: what other threads do is not in it, and sleeping costs nothing.
        Any function that returns nanoseconds will also do; it then also measures the budget.
    seed: of the order within rounds.

    Garbage collection is off while a sample is taken. Each candidate finds the caches as the one before it
    left them.

    Raises TypeError for a candidate that cannot be called, ValueError for no candidates or an unknown
    clock, and CandidateError, naming the candidate, where one raises.
    """
    budget_s *= _share_of_budget()
    _check(candidates, budget_s, min_rounds)
    now, wall = _clocks(clock)
    target_ns = _target_ns(budget_s, len(candidates))
    calls = {name: calibrate(_named(name, f), now, target_ns, wall) for name, f in candidates.items()}
    samples = _rounds(candidates, calls, now, wall, budget_s, min_rounds, random.Random(seed))
    timings = {name: Timing(name, np.array(samples[name]) * 1e-9, calls[name]) for name in candidates}
    return Comparison(timings, clock if isinstance(clock, str) else "given")


def latency(
    fn: Callable[[], object], *, calls: int = 1000, budget_s: float = 2.0, clock: str | Clock = "wall"
) -> Latency:
    """Time single calls of `fn`, as one who waits for each answer sees them.

    calls: at most so many; budget_s: stop after so many seconds, but not before 20 calls (or `calls`, if
        fewer). With n calls the p99 rests on n/100 of them: below a few hundred it is close to the largest
        value seen.
    """
    budget_s *= _share_of_budget()
    _check({"fn": fn}, budget_s, calls)
    now, wall = _clocks(clock)
    run = _named("fn", fn)
    for _ in range(3):
        run(1, now)
    start, samples = wall(), []
    while len(samples) < min(calls, 20) or (len(samples) < calls and wall() - start < budget_s * 1e9):
        samples.append(run(1, now))
    values = np.array(samples) * 1e-9
    return Latency(*(float(q) for q in np.quantile(values, (0.5, 0.9, 0.99))), values)


def _share_of_budget() -> float:
    """$COURSEKIT_BUDGET, 1 if unset: tests run the lessons with a part of the time for measuring."""
    return float(os.environ.get("COURSEKIT_BUDGET", "1"))


def median_interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The order statistics that hold the median of the population with probability `level` or more.

    values: shape (n,), independent. With n below six no pair of them reaches 95 %: (-inf, inf).
    """
    from scipy.stats import binom

    rank = int(binom.ppf((1 - level) / 2, len(values), 0.5))
    if rank == 0:
        return float("-inf"), float("inf")
    ordered = np.sort(values)
    return float(ordered[rank - 1]), float(ordered[-rank])


def calibrate(
    run: Callable[[int, Clock], int], now: Clock, target_ns: float, wall: Clock | None = None
) -> int:
    """How many calls make a sample of `target_ns`.

    run: run(calls, now) -> nanoseconds. The best of three tries decides, so that one interruption does not;
        a try above 25 times the target is believed at once. `wall` bounds work that the clock `now` hardly
        sees.
    """
    wall = wall or now
    run(1, now)
    calls = 1
    while calls < MAX_CALLS:
        taken, start = float("inf"), wall()
        for _ in range(3):
            taken = min(taken, run(calls, now))
            if taken > 25 * target_ns:
                break
        if taken >= target_ns or wall() - start > 75 * target_ns:
            break
        wanted = round(1.1 * calls * target_ns / max(taken, 1))
        calls = min(MAX_CALLS, 10 * calls, max(calls + 1, wanted))
    return calls


def _check(candidates, budget_s, min_rounds) -> None:
    if not candidates:
        raise ValueError("candidates is empty: name at least one function to time")
    for name, function in candidates.items():
        if not callable(function):
            raise TypeError(
                f"candidate {name!r} must be a function without arguments, got {type(function).__name__}; "
                "write lambda: f(x), not f(x)"
            )
    if not budget_s > 0:
        raise ValueError(f"budget_s must be positive, got {budget_s}")
    if min_rounds < 1:
        raise ValueError(f"at least one round or call is needed, got {min_rounds}")


def _clocks(clock: str | Clock) -> tuple[Clock, Clock]:
    """The clock for samples and the clock for the budget."""
    if callable(clock):
        return clock, clock
    if clock not in CLOCKS:
        raise ValueError(f"clock must be one of {', '.join(map(repr, CLOCKS))} or a function, got {clock!r}")
    return CLOCKS[clock], CLOCKS["wall"]


def _target_ns(budget_s: float, candidates: int) -> float:
    shortest, longest = SAMPLE_S
    return 1e9 * min(longest, max(shortest, budget_s / (candidates * ROUNDS_AIMED_AT)))


def _named(name: str, function: Callable[[], object]) -> Callable[[int, Clock], int]:
    """A function (calls, now) -> nanoseconds that says whose error it is when `function` raises."""

    def run(calls: int, now: Clock) -> int:
        was_enabled = gc.isenabled()
        gc.disable()
        try:
            start = now()
            for _ in repeat(None, calls):
                function()
            return now() - start
        except Exception as error:
            raise CandidateError(f"candidate {name!r} raised {type(error).__name__}: {error}") from error
        finally:
            if was_enabled:
                gc.enable()

    return run


def _rounds(candidates, calls, now, wall, budget_s, min_rounds, rng) -> dict[str, list[float]]:
    runs = {name: _named(name, function) for name, function in candidates.items()}
    samples: dict[str, list[float]] = {name: [] for name in candidates}
    order, made, start = list(candidates), 0, wall()
    while made < min_rounds or (made < MAX_ROUNDS and wall() - start < budget_s * 1e9):
        rng.shuffle(order)
        for name in order:
            taken = runs[name](calls[name], now)
            if taken <= 0:
                raise ValueError(f"the clock did not advance during {calls[name]} calls of {name!r}")
            samples[name].append(taken / calls[name])
        made += 1
    return samples
