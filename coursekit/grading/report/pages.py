"""Marks as pages: one for each learner and one for the class, each complete in itself."""

import hashlib
import re
from collections import Counter
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, PackageLoader

import coursekit
from coursekit.grading.course.gradebook import Row


def write_reports(rows: list[Row], folder: Path) -> list[Path]:
    """Write ``index.html`` (the class) and one page a learner into `folder`; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = {folder / "index.html": class_page(rows)}
    for learner, own in groupby(rows, key=lambda row: row.learner):
        pages[folder / page_name(learner)] = learner_page(learner, list(own))
    for path, text in pages.items():
        path.write_text(text, encoding="utf-8")
    return list(pages)


def learner_page(learner: str, rows: list[Row]) -> str:
    """The page a learner reads: each task, its points, and why."""
    return _render("learner.html", learner=learner, rows=rows)


def class_page(rows: list[Row]) -> str:
    """Everybody's points, and how many solved each task."""
    exercises = sorted({row.result.exercise for row in rows})
    learners = [_learner(name, list(own)) for name, own in groupby(rows, key=lambda row: row.learner)]
    difficulty = {name: _difficulty(rows, name) for name in exercises}
    return _render("class.html", exercises=exercises, learners=learners, difficulty=difficulty)


def page_name(learner: str) -> str:
    """A file name for whatever a learner's folder is called; two learners never share one."""
    safe = re.sub(r"[^A-Za-z0-9_-]", "_", learner)[:60]
    if safe == learner and safe.lower() != "index":
        return f"{safe}.html"
    return f"{safe}-{hashlib.sha256(learner.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}.html"


def _learner(name: str, rows: list[Row]) -> dict:
    points, possible = sum(r.result.points for r in rows), sum(r.result.possible for r in rows)
    return {
        "name": name,
        "page": page_name(name),
        "results": {r.result.exercise: r.result for r in rows},
        "points": points,
        "possible": possible,
        "percent": _percent(points, possible),
    }


def _difficulty(rows: list[Row], exercise: str) -> list[dict]:
    marks = [mark for row in rows if row.result.exercise == exercise for mark in row.result.marks]
    tasks = []
    for title in dict.fromkeys(mark.title for mark in marks):
        statuses = Counter(mark.status for mark in marks if mark.title == title)
        right, total = statuses.pop("right", 0), sum(m.title == title for m in marks)
        others = ", ".join(f"{n} {status}" for status, n in statuses.most_common())
        tasks.append(
            {
                "title": title,
                "right": right,
                "total": total,
                "percent": _percent(right, total),
                "others": others,
            }
        )
    return tasks


def _percent(part: int, whole: int) -> int:
    return round(100 * part / whole) if whole else 0


def _render(template: str, **values) -> str:
    pages = Environment(loader=PackageLoader("coursekit.grading.report"), autoescape=True)
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return pages.get_template(template).render(version=coursekit.__version__, made=made, **values)
