"""Everybody's marks by learner. What the gradebook has of somebody else and not of a learner is missing."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from coursekit.grading.course.classroom import RACING
from coursekit.grading.course.gradebook import Row
from coursekit.grading.course.settings import Course, Standing
from coursekit.grading.marking.result import Mark, Result
from coursekit.grading.report import overview
from coursekit.grading.report.files import page_names


@dataclass(frozen=True)
class Entry:
    """A row with what it earns once its time is looked at, and the due time that counted for it.

    ``first_due`` is the class's due time where this learner had an extension. ``is_recorded`` is false where the
    gradebook has no such row: the row then says that the exercise is missing.
    """

    row: Row
    standing: Standing
    due: datetime | None = None
    first_due: datetime | None = None
    is_recorded: bool = True

    @property
    def is_racing(self) -> bool:
        """Whether its points for speed are still to come."""
        return self.row.result.status == RACING

    @property
    def is_marked(self) -> bool:
        return self.is_racing or self.row.result.status == "graded"

    @property
    def status(self) -> str:
        return overview.spoken(self.row.result.status)

    @property
    def marks(self) -> list[tuple[Mark, bool]]:
        """Each mark, and whether it is for the speed of an answer that a mark before it shows."""
        return overview.with_speed(self.row.result.marks)


@dataclass(frozen=True)
class Learner:
    """A learner's entries by exercise: one for every exercise of the gradebook, so the sums are of them all."""

    name: str
    page: str
    entries: Mapping[str, Entry]

    @property
    def points(self) -> float:
        return round(sum(entry.standing.points for entry in self.entries.values()), 2)

    @property
    def possible(self) -> int:
        return sum(entry.row.result.possible for entry in self.entries.values())

    @property
    def percent(self) -> int:
        return overview.percent(self.points, self.possible)


def gather(rows: Iterable[Row], course: Course) -> list[Learner]:
    """The learners by name, each with an entry for every exercise that anybody has a row of."""
    by_name: dict[str, dict[str, Row]] = defaultdict(dict)
    possible: dict[str, int] = {}
    for row in rows:
        result = row.result
        by_name[row.learner][result.exercise] = row
        possible[result.exercise] = max(result.possible, possible.get(result.exercise, 0))
    names = sorted(by_name, key=lambda name: (name.casefold(), name))
    pages = page_names(names)
    return [
        Learner(
            name,
            pages[name],
            {
                exercise: _entry(name, exercise, by_name[name].get(exercise), most, course)
                for exercise, most in sorted(possible.items())
            },
        )
        for name in names
    ]


def _entry(learner: str, exercise: str, row: Row | None, possible: int, course: Course) -> Entry:
    due, general = course.due_for(learner, exercise), course.due.get(exercise)
    first_due = general.astimezone(course.zone) if general is not None and due != general else None
    is_recorded = row is not None
    if row is None:
        row = Row(learner, Result(exercise, "missing", "nothing was handed in", possible=possible))
    return Entry(row, course.standing(row), due, first_due, is_recorded)
