"""What the rows of a class say together: which tasks were hard, which mistakes were common, what to beware of."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from coursekit.grading.course.advice import new_inputs
from coursekit.grading.course.classroom import RACING
from coursekit.grading.course.gradebook import Row
from coursekit.grading.course.similar import Comparison
from coursekit.grading.marking.result import Mark

RACING_IN_WORDS = "speed not marked yet"
UNTRIED = ("empty", "missing", "waiting")  # their messages say nothing about a mistake
NUMBER = re.compile(r"[-+−]?(?:\d[\d_]*(?:\.\d*)?(?:e[-+]?\d+)?j?|\b(?:nan|inf)\b)", re.IGNORECASE)


@dataclass(frozen=True)
class Solved:
    """How a class did on a task: who earned all of its points, and the statuses of those who did not."""

    title: str
    full: int
    total: int
    others: tuple[tuple[str, int], ...]

    @property
    def percent(self) -> int:
        return percent(self.full, self.total)

    @property
    def why(self) -> str:
        return ", ".join(f"{n} {status}" for status, n in self.others)


@dataclass(frozen=True)
class Mistake:
    """Something that several learners got: a hint, or a message (the first learner's, standing for its like)."""

    title: str
    text: str
    learners: tuple[str, ...]


def percent(part: float, whole: float) -> int:
    """A share as the nearest whole number, a half upwards; 100 only where nothing is missing."""
    if not whole:
        return 0
    return min(math.floor(100 * part / whole + 0.5), 100 if part >= whole else 99)


def spoken(status: str) -> str:
    """A submission's status as a person says it."""
    return RACING_IN_WORDS if status == RACING else status


def with_speed(marks: Iterable[Mark]) -> list[tuple[Mark, bool]]:
    """Each mark, and whether it is for speed: the second one that its task has."""
    seen: set[str] = set()
    return [(mark, mark.task in seen or seen.add(mark.task) is not None) for mark in marks]


def is_full(mark: Mark) -> bool:
    """Whether a task earned all its points."""
    return 0 < mark.possible <= mark.points


def solved(rows: Iterable[Row]) -> list[Solved]:
    """Each task of one exercise, in its order, over the submissions that were graded."""
    marks = defaultdict(list)
    for _, mark, _ in _marks(rows):
        marks[mark.task, mark.title].append(mark)
    found = []
    for (_, title), those in marks.items():
        others = Counter(mark.status for mark in those if not is_full(mark))
        found.append(Solved(title, sum(map(is_full, those)), len(those), tuple(others.most_common())))
    return found


def recognised(rows: Iterable[Row]) -> list[Mistake]:
    """The hints that wrong answers of one exercise earned, the commonest first."""
    return _common(rows, lambda mark, is_speed: "" if mark.status in UNTRIED else mark.hint)


def unrecognised(rows: Iterable[Row]) -> list[Mistake]:
    """What went wrong where no hint fitted. Messages that differ in their numbers alone count as one.

    A mark for speed is left out: slow is not wrong, and no hint is ever written for it.
    """
    return _common(
        rows, lambda mark, is_speed: "" if is_speed or mark.hint or mark.status in UNTRIED else mark.message
    )


def cautions(rows: Iterable[Row]) -> list[str]:
    """Sentences on what makes these marks less sure, or less comparable, than they look."""
    rows = list(rows)
    found = []
    open_ones = [row for row in rows if row.sandbox != "bubblewrap"]
    if open_ones:
        found.append(
            f"{len(open_ones)} of {len(rows)} rows were graded without a sandbox: what learners wrote could reach "
            "this machine, its files and the keys."
        )
    found += _unraced(rows)
    found += [f"{sentence}." for sentence in new_inputs(rows)]
    keys = defaultdict(set)
    for row in rows:
        keys[row.result.exercise].add(row.key_digest)
    mixed = sorted(name for name, digests in keys.items() if len(digests) > 1)
    if mixed:
        found.append(
            f"Graded by different versions of the key: {', '.join(mixed)}. Grade everybody anew where that matters."
        )
    return found


def sentences(found: Comparison) -> list[str]:
    """How many answers were compared, how many were not, and of which tasks most of the class shares one."""
    judged, short = sum(found.judged.values()), sum(found.too_short.values())
    said = [f"{judged} answer{_s(judged)} {_was(judged)} compared."]
    if short:
        said.append(f"{short} {_was(short)} not: too short, or with too little that was not handed out.")
    tasks = [f"{exercise}, {task}: {n}" for (exercise, task), n in found.shared.items() if n]
    if tasks:
        left = sum(found.shared.values())
        said.append(
            f"{left} {_was(left)} left out, as more than half of the class shares them ({'; '.join(tasks)})."
        )
    return said


def _was(number: int) -> str:
    return "was" if number == 1 else "were"


def _s(number: int) -> str:
    return "" if number == 1 else "s"


def _unraced(rows: Iterable[Row]) -> list[str]:
    """A sentence for each exercise in which points for speed are still to come, with the reasons."""
    waiting = defaultdict(list)
    for row in rows:
        if row.result.status == RACING:
            waiting[row.result.exercise].append(row.result.message)
    return [
        f"{name}: for {len(said)} submission{_s(len(said))} the speed is not marked yet, and the sums "
        f"lack those points ({'; '.join(dict.fromkeys(said))}). Run coursekit grade again."
        for name, said in sorted(waiting.items())
    ]


def _common(rows: Iterable[Row], text: Callable[[Mark, bool], str]) -> list[Mistake]:
    """What marks short of full say, by task and text without its numbers, the commonest first.

    `text` is given a mark and whether it is for speed.
    """
    groups = defaultdict(list)
    for learner, mark, is_speed in _marks(rows):
        said = text(mark, is_speed)
        if said and not is_full(mark):
            groups[mark.title, NUMBER.sub("#", said)].append((said, learner))
    found = []
    for (title, _), those in groups.items():
        learners = tuple(dict.fromkeys(learner for _, learner in those))
        found.append(Mistake(title, those[0][0], learners))
    return sorted(found, key=lambda mistake: -len(mistake.learners))


def _marks(rows: Iterable[Row]) -> Iterable[tuple[str, Mark, bool]]:
    return ((row.learner, *pair) for row in rows for pair in with_speed(row.result.marks))
