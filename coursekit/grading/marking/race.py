"""Points for speed: the answer against the solution, in the same run, timed from outside both kernels.

Where a race counts something in the place of time (``counts`` in its metadata), its function returns what is compared
and the count. A count has no noise, so some laps are enough; but it is made in the learner's kernel, which has to have
nothing at hand to change it: such a task says what it allows.

A lap sends a seed nobody knew before; the kernel draws the inputs, calls the function and commits to the value by its
digest before the clock stops. What takes long to draw is prepared before, from a seed of its own, and the lap's seed
chooses from it. The value itself is asked for afterwards and compared. So neither an early "done", nor a patched clock,
nor a value computed later makes an answer faster than it is. Laps alternate, and the learner's kernel is stopped while
the solution runs.
"""

import itertools
import math
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from filelock import FileLock

from coursekit.grading.compare import BadValue, decode, difference
from coursekit.grading.exercise.key import Key, Task
from coursekit.grading.judge import digest
from coursekit.grading.kernels.kernel import GONE, Execution, GradingKernel
from coursekit.grading.kernels.pool import Pool
from coursekit.grading.marking.grade import CELL_TIMEOUT_S, apart, stop_sentence
from coursekit.grading.marking.result import Mark, Result

FULL = 1.2  # times the solution's time that earn all the points; the key says how many earn none
FULL_COUNT = 1.1  # alike, of what is counted
COUNTED_LAPS = 3
LAPS = 7, 41  # at least, at most
ROUNDS = 3
BUDGET_S = 30.0  # for one round
SHORTEST_S = 0.002
CONFIDENCE = 0.95


class BadRace(RuntimeError):
    """The key's own race cannot be run; the message says why."""


class TooShort(BadRace):
    """The solution takes too little time to be timed: ``seconds``, in this round."""

    def __init__(self, task: str, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(task, seconds)  # as they are, so that it comes whole from another process

    def __str__(self) -> str:
        task, seconds = self.args
        return (
            f"the solution of {task!r} takes {_milliseconds(seconds)} in its race, too little to be timed; "
            f"wanted: {SHORTEST_S * 1e3:g} ms and more, so draw larger inputs"
        )


class LostRace(Exception):
    """The learner's side of a race came to nothing; the text says why, in words for the learner."""


@dataclass(frozen=True)
class Ratio:
    """How many times the solution's time: the median of the laps, and its 95 % interval."""

    median: float
    low: float
    high: float
    laps: int

    def __str__(self) -> str:
        span = f"{_times(self.low)} to {_times(self.high)} in {self.laps} laps"
        return f"{_times(self.median)} times the solution's time ({span})"


def _times(ratio: float) -> str:
    return f"{ratio:.1f}" if ratio >= 0.95 else f"{ratio:.2g}" if ratio >= 0.01 else "under 0.01"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.2g} ms" if seconds >= 1e-5 else "under 0.01 ms"


def points_for(ratio: float, possible: int, none: float = Task.race_none, full: float = FULL) -> int:
    """All points up to `full` times the solution's time, none from `none` times, between them by the logarithm, rounded
    down: so what is said of 1.2 is true."""
    share = math.log(none / min(max(ratio, full), none)) / math.log(none / full)
    return math.floor(share * possible + 1e-9)


def has_to_race(key: Key, result: Result) -> bool:
    """Whether a marked submission has a right answer whose speed counts."""
    right = {mark.task for mark in result.marks if mark.status == "right"}
    return any(task.race and name in right for name, task in key.tasks.items())


def add_races(
    key: Key,
    sources: dict[str, str],
    result: Result,
    pool: Pool | None = None,
    progress: Callable[[str], None] | None = None,
) -> Result:
    """The result with a mark for the speed of every raced task. Only a right answer is raced.

    Nothing else should be at work on the machine; one race at a time is seen to here. Raises :class:`BadRace`.
    """
    pool, marks = pool or Pool(), []
    for mark in result.marks:
        marks.append(mark)
        task = key.tasks[mark.task]
        if not task.race:
            continue
        if progress:
            progress(f"race {task.name}")
        title = f"{task.title}: {task.race_counts or 'speed'}"
        earned = Mark(task.name, title, 0, task.race_points, "waiting", "", source=mark.source)
        if mark.status == "right" and task.race_counts:
            marks.append(_count(key, task, sources, earned, pool))
        elif mark.status == "right":
            with FileLock(Path(tempfile.gettempdir()) / "coursekit-race.lock"):
                marks.append(_race(key, task, sources, earned, pool))
        else:
            what = f"its {task.race_counts} are counted" if task.race_counts else "its speed counts"
            marks.append(replace(earned, message=f"{what} once its answer is right"))
    return replace(result, marks=tuple(marks))


def _race(key: Key, task: Task, sources: dict[str, str], mark: Mark, pool: Pool) -> Mark:
    """The mark for one task. Where chance could still decide between points, the race is run again; and points are lost
    only where a second round finds the same: what else the machine does comes in stretches as long as a round."""
    found, short = [], []
    try:
        for _ in range(ROUNDS):
            try:
                found.append(measure(key, task, sources, pool))
            except TooShort as error:  # other work on the machine adds to what a lap takes beside the call
                short.append(error)
            if _is_decided(found, task):
                break
    except LostRace as lost:
        return replace(mark, status="slow", message=str(lost))
    if not found:
        raise max(short, key=lambda error: error.seconds)
    if _is_decided(found, task):
        ratio = min((each for each in found if _is_settled(each, task)), key=lambda each: each.median)
        message = str(ratio)
    else:
        ratio = min(found, key=lambda each: each.low)
        ratio = replace(ratio, median=ratio.low)
        message = f"{ratio}; still inconclusive after {ROUNDS} rounds, so the better end counts"
    earned = points_for(ratio.median, task.race_points, task.race_none)
    return replace(
        mark, points=earned, status="fast" if earned == task.race_points else "slow", message=message
    )


def _is_decided(found: list[Ratio], task: Task) -> bool:
    """Whether one round is sure of all the points, or two are sure that some are lost."""
    settled = [ratio for ratio in found if _is_settled(ratio, task)]
    best = min((ratio.median for ratio in settled), default=math.inf)
    return len(settled) > 1 or points_for(best, task.race_points, task.race_none) == task.race_points


def _count(key: Key, task: Task, sources: dict[str, str], mark: Mark, pool: Pool) -> Mark:
    """The mark for what one answer's race counts, summed over some laps."""
    try:
        own, ours = measure(key, task, sources, pool)
    except LostRace as lost:
        return replace(mark, status="slow", message=str(lost))
    ratio = own / ours
    earned = points_for(ratio, task.race_points, task.race_none, FULL_COUNT)
    message = f"{own:,.0f} {task.race_counts}, {ratio:.2f} times the solution's {ours:,.0f}"
    return replace(
        mark, points=earned, status="fast" if earned == task.race_points else "slow", message=message
    )


def measure(key: Key, task: Task, sources: dict[str, str], pool: Pool) -> Ratio | tuple:
    """One round: laps until the interval no longer straddles two numbers of points. Raises :class:`LostRace`.

    Where the race counts, what it counted: of the answer, and of the solution.
    """
    solutions = {name: other.solution for name, other in key.tasks.items()}
    ours, theirs = pool.take(), pool.take()
    try:
        _load(ours, key, task, solutions, BadRace)
        _load(theirs, key, task, sources, LostRace)
        return (_counted_laps if task.race_counts else _laps)(ours, theirs, task)
    finally:
        ours.kill()
        theirs.kill()


def _load(kernel: GradingKernel, key: Key, task: Task, sources: dict[str, str], problem: type) -> None:
    """Run what the race builds on: given cells, the answers that the task calls, its own, and the race cell."""
    for cell in key.cells:
        if cell.kind != "code":
            continue
        if cell.role == "given":
            _do(kernel, cell.source, CELL_TIMEOUT_S, task, problem)
        elif cell.role == "answer" and cell.task in (*task.needs, task.name):
            _do(kernel, sources[cell.task], task.timeout, task, problem)
    _do(kernel, apart(task.race, 0), task.timeout, task, problem)


def _laps(ours: GradingKernel, theirs: GradingKernel, task: Task) -> Ratio:
    until = time.monotonic() + BUDGET_S
    times: list[tuple[float, float, float]] = []
    ratio = None
    for number in range(LAPS[1]):
        seed, large = secrets.randbits(64), f"_judge.prepare({secrets.randbits(64)})"
        theirs.pause()
        _do(ours, large, task.timeout, task, BadRace)
        before = _idle(ours, task, BadRace)
        mine, wanted = _lap(ours, seed, task, BadRace)
        idle = min(before, _idle(ours, task, BadRace))
        theirs.resume()
        _do(theirs, large, task.timeout, task, LostRace)
        _idle(theirs, task, LostRace)
        own, got = _lap(theirs, seed, task, LostRace)
        found = difference(got, wanted, rtol=task.rtol, atol=task.atol)
        if found:
            raise LostRace(f"in the race, on other inputs, it is not right: {found}")
        if number:  # the first lap compiles
            times.append((mine, own, idle))
        if len(times) >= LAPS[0]:
            ratio = _ratio(times, task)
            if _is_settled(ratio, task) or time.monotonic() > until:
                break
    return ratio


def _counted_laps(ours: GradingKernel, theirs: GradingKernel, task: Task) -> tuple[float, float]:
    """What the answer and the solution need in all, each lap for the same inputs."""
    sums = [0.0, 0.0]
    for _ in range(COUNTED_LAPS):
        seed, large = secrets.randbits(64), f"_judge.prepare({secrets.randbits(64)})"
        values = []
        for i, (kernel, problem) in enumerate(((theirs, LostRace), (ours, BadRace))):
            _do(kernel, large, task.timeout, task, problem)
            value, count = _pair(_lap(kernel, seed, task, problem)[1], task, problem)
            values.append(value)
            sums[i] += count
        if found := difference(*values, rtol=task.rtol, atol=task.atol):
            raise LostRace(f"in the race, on other inputs, it is not right: {found}")
    return sums[0], sums[1]


def _pair(value: object, task: Task, problem: type) -> tuple[object, float]:
    """What a lap returned: what is compared, and a count above 0."""
    if isinstance(value, list) and len(value) == 2 and isinstance(value[1], np.ndarray) and not value[1].ndim:
        count = value[1].item()
        if type(count) in (int, float) and 0 < count < math.inf:
            return value[0], float(count)
    raise problem(f"its race returned no pair of a value and a number of {task.race_counts} above 0")


def _idle(kernel: GradingKernel, task: Task, problem: type) -> float:
    """Seconds of what a lap takes beside the call, with inputs of its own: those of the lap stay unknown until then.

    It also wakes a kernel that slept, so that the lap need not.
    """
    return _do(kernel, f"_judge.idle_lap({secrets.randbits(64)})", task.timeout, task, problem).seconds


def _lap(kernel: GradingKernel, seed: int, task: Task, problem: type) -> tuple[float, object]:
    """Seconds of one lap, and the value that was committed to within them."""
    timed = _do(kernel, f"_judge.lap({seed})", task.timeout, task, problem)
    shown = _do(kernel, "_judge.reveal()", task.timeout, task, problem)
    promised, value = _payload(timed, "lap"), _payload(shown, "value")
    try:
        if not isinstance(promised, dict) or promised.get("value") != digest(value):
            raise problem("the value of its race is not the one it had when its time was taken")
        return timed.seconds, decode(value)
    except (BadValue, TypeError, ValueError, RecursionError) as error:
        raise problem(f"what its race returned is no value: {error}") from None


def _payload(done: Execution, case: str) -> object:
    found = [p.get("value") for p in done.values if isinstance(p, dict) and p.get("case") == case]
    return found[0] if found else None


def _do(kernel: GradingKernel, source: str, timeout: float, task: Task, problem: type) -> Execution:
    done = kernel.run(source, timeout)
    if done.status in GONE:
        raise problem(f"in its race {stop_sentence(done, task)}")
    if done.status != "ok":
        raise problem(f"its race stopped with {done.error}")
    return done


def _ratio(times: list[tuple[float, float, float]], task: Task) -> Ratio:
    """The median of the laps' ratios, each less what a lap takes beside the call, with its interval."""
    idle = statistics.median(idle for _, _, idle in times)
    ours = statistics.median(mine for mine, _, _ in times) - idle
    least = min(mine for mine, _, _ in times) - min(idle for _, _, idle in times)
    if min(ours, least) < SHORTEST_S:  # other work on the machine makes a lap longer, never shorter
        raise TooShort(task.name, min(ours, least))
    ratios = sorted(max(own - idle, 0.0) / max(mine - idle, ours / 2) for mine, own, _ in times)
    cut = _cut(len(ratios))
    return Ratio(statistics.median(ratios), ratios[cut], ratios[-1 - cut], len(ratios))


def _cut(laps: int) -> int:
    """How many of the sorted laps are left out at either end of the interval for their median.

    The k-th smallest of n is above the median if fewer than k lie below it: a binomial with one half.
    """
    below = itertools.accumulate(math.comb(laps, k) / 2**laps for k in range(laps))
    return max(sum(share <= (1 - CONFIDENCE) / 2 for share in below) - 1, 0)


def _is_settled(ratio: Ratio, task: Task) -> bool:
    low, high = (points_for(end, task.race_points, task.race_none) for end in (ratio.low, ratio.high))
    return low == high
