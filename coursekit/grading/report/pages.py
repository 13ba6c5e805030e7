"""Marks as pages: one for each learner and one for the class, each complete in itself.

A learner's page holds nothing of anybody else. ``index.html`` is the instructor's: it names everybody.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path

from jinja2 import Environment, PackageLoader

import coursekit
from coursekit.grading.course.gradebook import Row
from coursekit.grading.course.settings import Course
from coursekit.grading.course.similar import Comparison, Pair, compare
from coursekit.grading.course.wording import ended, readable
from coursekit.grading.report import charts, overview
from coursekit.grading.report.files import keep_list
from coursekit.grading.report.learners import Learner, gather
from coursekit.grading.report.text import code_html, cut_sentence, visible

PAIRS_SHOWN = 10  # of a task, with their sources; `coursekit similar` names them all
PEOPLE_SHOWN = 20


def write_reports(
    rows: Iterable[Row],
    folder: Path,
    course: Course | None = None,
    given: Mapping[str, str] | None = None,
    threshold: float = 0.9,
    *,
    titles: Mapping[str, str] | None = None,
    ids: Mapping[str, str] | None = None,
) -> list[Path]:
    """Write ``index.html`` (the class) and one page a learner into `folder`; returns the paths.

    `course` has the late rule (without one nothing is late); `given` and `threshold` are for comparing answers, as
    :func:`coursekit.grading.course.similar.compare` takes them; `titles` are the exercises' by name. Beside the pages
    stands ``pages.csv``: whose page each is, with a learner's number of `ids`. Pages that the list named before and
    that are nobody's now are deleted. Raises :class:`~coursekit.grading.report.files.BadReports`.
    """
    course, titles = course or Course(), titles or {}
    learners = gather(rows, course)
    overview_page = class_page(learners, course, given, threshold, titles)
    folder.mkdir(parents=True, exist_ok=True)
    keep_list(folder, {learner.name: learner.page for learner in learners}, ids or {})
    paths = [folder / "index.html"]
    paths[0].write_text(overview_page, encoding="utf-8")
    for learner in learners:
        paths.append(folder / learner.page)
        paths[-1].write_text(learner_page(learner, course, titles), encoding="utf-8")
    return paths


def learner_page(learner: Learner, course: Course, titles: Mapping[str, str] | None = None) -> str:
    """The page a learner reads: each task, its points, what differed, the hint, and the answer itself."""
    return _render("learner.html", course, titles, learner=learner)


def class_page(
    learners: Sequence[Learner],
    course: Course,
    given: Mapping[str, str] | None = None,
    threshold: float = 0.9,
    titles: Mapping[str, str] | None = None,
) -> str:
    """Everybody's points, what was hard, which mistakes were common, and which answers are nearly the same."""
    entries = [entry for learner in learners for entry in learner.entries.values() if entry.is_recorded]
    rows = [entry.row for entry in entries]
    comparison = compare(rows, given, threshold)
    return _render(
        "class.html",
        course,
        titles,
        learners=learners,
        cautions=overview.cautions(rows),
        exercises=[
            _exercise(name, learners, course) for name in sorted({row.result.exercise for row in rows})
        ],
        alike=_alike(comparison, rows),
        people=comparison.people[:PEOPLE_SHOWN],
        more_people=len(comparison.people) - PEOPLE_SHOWN,
        compared=overview.sentences(comparison),
        threshold=threshold,
        pages={learner.name: learner.page for learner in learners},
    )


def _clock(course: Course, when: datetime | str | None) -> str:
    """A time as the course's clock shows it; as it stands, where it is none that a clock can show."""
    moment = course.moment(when) if isinstance(when, str) else when
    try:
        return moment.astimezone(course.zone).strftime("%Y-%m-%d %H:%M %Z") if moment else str(when or "")
    except OverflowError:
        return str(when)


def _label(titles: Mapping[str, str], name: str) -> str:
    """An exercise by its title and its name, where it has both."""
    title = titles.get(name)
    return f"{title} ({name})" if title and title != name else name


def _exercise(name: str, learners: Sequence[Learner], course: Course) -> dict:
    """What the overview says about one exercise."""
    entries = [learner.entries[name] for learner in learners]
    rows = [entry.row for entry in entries]
    done = [entry for entry in entries if entry.is_marked]
    statuses = Counter(entry.status for entry in entries)
    possible = max(row.result.possible for row in rows)
    points = [entry.standing.points for entry in done]
    tasks = overview.solved(rows)
    return {
        "name": name,
        "due": course.due.get(name),
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


def _render(template: str, course: Course, titles: Mapping[str, str] | None, **values) -> str:
    return (
        _templates()
        .get_template(template)
        .render(
            version=coursekit.__version__,
            made=datetime.now(UTC),
            course=course,
            clock=partial(_clock, course),
            label=partial(_label, titles or {}),
            **values,
        )
    )


@cache
def _templates() -> Environment:
    loader = PackageLoader("coursekit.grading.report")
    found = Environment(
        loader=loader, autoescape=True, finalize=_finalise, trim_blocks=True, lstrip_blocks=True
    )
    found.filters |= {
        "code": code_html,
        "cut": cut_sentence,
        "ended": ended,
        "percent": lambda share: overview.percent(share, 1),
        "readable": readable,
        "sentence": lambda text: text[:1].upper() + text[1:],
    }
    found.tests["full"] = overview.is_full
    return found


def _finalise(value: object) -> object:
    """Whatever goes into a page: numbers without needless digits, and texts in which nothing hides."""
    if isinstance(value, float):
        return f"{value:g}"
    return visible(value) if isinstance(value, str) else value
