"""Marks as pages: one for each learner and one for the class, each complete in itself.

A learner's page holds nothing of anybody else. ``index.html`` is the instructor's: it names everybody.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path

from jinja2 import Environment, PackageLoader

import coursekit
from coursekit.grading.course.gradebook import Row
from coursekit.grading.course.settings import Course, Standing
from coursekit.grading.course.similar import Comparison, Pair, compare
from coursekit.grading.report import charts, overview
from coursekit.grading.report.text import code_html, cut_sentence, visible

PAIRS_SHOWN = 10  # of a task, with their sources; `coursekit similar` names them all
TAKEN = re.compile(r"index|con|prn|aux|nul|com\d|lpt\d|.*-[0-9a-f]{16}")  # by us, by Windows, by hashed names


@dataclass(frozen=True)
class Entry:
    """A row with what it earns once its time is looked at."""

    row: Row
    standing: Standing


@dataclass(frozen=True)
class Learner:
    """A learner's entries by exercise, and their sums over the exercises that are in the gradebook."""

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


def write_reports(
    rows: Iterable[Row],
    folder: Path,
    course: Course | None = None,
    given: Mapping[str, str] | None = None,
    threshold: float = 0.9,
) -> list[Path]:
    """Write ``index.html`` (the class) and one page a learner into `folder`; returns the paths.

    `course` has the late rule (without one nothing is late); `given` and `threshold` are for comparing answers, as
    :func:`coursekit.grading.course.similar.compare` takes them.
    """
    course = course or Course()
    learners = _learners(rows, course)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "index.html"]
    paths[0].write_text(class_page(learners, course, given, threshold), encoding="utf-8")
    for learner in learners:
        paths.append(folder / learner.page)
        paths[-1].write_text(learner_page(learner, course), encoding="utf-8")
    return paths


def learner_page(learner: Learner, course: Course) -> str:
    """The page a learner reads: each task, its points, what differed, the hint, and the answer itself."""
    return _render("learner.html", learner=learner, course=course, moment=partial(_moment, course))


def class_page(
    learners: Sequence[Learner],
    course: Course,
    given: Mapping[str, str] | None = None,
    threshold: float = 0.9,
) -> str:
    """Everybody's points, what was hard, which mistakes were common, and which answers are nearly the same."""
    rows = [entry.row for learner in learners for entry in learner.entries.values()]
    comparison = compare(rows, given, threshold)
    return _render(
        "class.html",
        learners=learners,
        course=course,
        cautions=overview.cautions(rows),
        exercises=[_exercise(name, learners) for name in sorted({row.result.exercise for row in rows})],
        alike=_alike(comparison, rows),
        too_short=sum(comparison.too_short.values()),
        judged=sum(comparison.judged.values()),
        threshold=threshold,
        pages={learner.name: learner.page for learner in learners},
    )


def page_name(learner: str) -> str:
    """A file name for whatever a learner's folder is called; two learners never share one, however they are
    called, and whether or not the file system tells a from A."""
    safe = re.sub(r"[^a-z0-9_-]", "_", learner.lower())[:60]
    if safe == learner and safe and not TAKEN.fullmatch(safe):
        return f"{safe}.html"
    return f"{safe}-{hashlib.sha256(learner.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}.html"


def _moment(course: Course, text: str | None) -> str:
    """A time as the course's clock shows it; as it stands, where it is none that a clock can show."""
    moment = course.moment(text)
    try:
        return moment.astimezone(course.zone).strftime("%Y-%m-%d %H:%M %Z") if moment else (text or "")
    except OverflowError:
        return text


def _learners(rows: Iterable[Row], course: Course) -> list[Learner]:
    by_name: dict[str, dict[str, Entry]] = defaultdict(dict)
    for row in sorted(rows, key=lambda row: row.result.exercise):
        by_name[row.learner][row.result.exercise] = Entry(row, course.standing(row))
    names = sorted(by_name, key=lambda name: (name.casefold(), name))
    return [Learner(name, page_name(name), by_name[name]) for name in names]


def _exercise(name: str, learners: Sequence[Learner]) -> dict:
    """What the overview says about one exercise."""
    entries = [learner.entries[name] for learner in learners if name in learner.entries]
    rows = [entry.row for entry in entries]
    done = [entry for entry in entries if entry.row.result.status == "graded"]
    statuses = Counter(row.result.status for row in rows)
    possible = max(row.result.possible for row in rows)
    points = [entry.standing.points for entry in done]
    tasks = overview.solved(rows)
    return {
        "name": name,
        "statuses": ", ".join(f"{n} {status}" for status, n in statuses.most_common()),
        "late": sum(entry.standing.late is not None for entry in entries),
        "points_chart": charts.points_chart(points, possible, len(rows) - len(done), name=name),
        "tasks_chart": charts.tasks_chart(tasks, name=name) if tasks else "",
        "tasks": sorted(tasks, key=lambda task: task.percent),
        "recognised": overview.recognised(rows),
        "unrecognised": overview.unrecognised(rows),
    }


def _alike(comparison: Comparison, rows: Sequence[Row]) -> list[dict]:
    """The pairs by task, the closest first, no more of a task than an eye can take in."""
    titles = {}
    for row in rows:
        for mark in row.result.marks:
            titles.setdefault((row.result.exercise, mark.task), mark.title)
    pairs: dict[tuple[str, str], list[Pair]] = {at: [] for at in titles}
    for pair in comparison.pairs:
        pairs[pair.exercise, pair.task].append(pair)
    return [
        {
            "exercise": at[0],
            "title": titles[at],
            "pairs": found[:PAIRS_SHOWN],
            "more": len(found) - PAIRS_SHOWN,
            "judged": comparison.judged[at],
        }
        for at, found in sorted(pairs.items(), key=lambda item: item[0][0])
        if found
    ]


def _render(template: str, **values) -> str:
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return _templates().get_template(template).render(version=coursekit.__version__, made=made, **values)


@cache
def _templates() -> Environment:
    loader = PackageLoader("coursekit.grading.report")
    found = Environment(
        loader=loader, autoescape=True, finalize=_finalise, trim_blocks=True, lstrip_blocks=True
    )
    found.filters |= {
        "code": code_html,
        "cut": cut_sentence,
        "percent": lambda share: overview.percent(share, 1),
        "sentence": lambda text: text[:1].upper() + text[1:],
    }
    found.tests["full"] = overview.is_full
    return found


def _finalise(value: object) -> object:
    """Whatever goes into a page: numbers without needless digits, and texts in which nothing hides."""
    if isinstance(value, float):
        return f"{value:g}"
    return visible(value) if isinstance(value, str) else value
