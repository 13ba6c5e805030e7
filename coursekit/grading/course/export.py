"""Marks as a table: for a program to read, or in the form that Canvas or Moodle takes in.

**Canvas**, the form of its gradebook's own export and import (``lib/gradebook_importer.rb``): the columns Student, ID,
SIS User ID, SIS Login ID, Section and one for each assignment; a line "Points Possible"; a line for each learner, who
is found by ID, Canvas's own number. A column is an assignment's title, and Canvas offers to make an assignment of a
title that it does not know: `titles` says what an exercise is called there, "Homework 1 (4567)" also by its number.

**Moodle**, the form of an assignment's offline grading worksheet (``mod/assign/feedback/offline/importgradeslib.php``),
on a site in English: Identifier ("Participant 1234567", a number that is the learner's in this one assignment only),
Full name, Grade, Maximum Grade, Last modified (grade), Feedback comments. Moodle leaves a grade alone that was changed
there after the time in "Last modified (grade)", which is when the exercise was graded here.

The numbers come from what ``coursekit collect`` noted. What was not marked to the end has no grade in either form.
"""

import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from coursekit.grading.course.gradebook import RACING, Row
from coursekit.grading.course.records import exercise_in, read_records
from coursekit.grading.course.settings import Course
from coursekit.grading.course.sheets import sheet
from coursekit.grading.course.wording import ended, readable
from coursekit.grading.marking.result import Mark

TIDY = (
    *("learner", "exercise", "status", "points", "possible", "points_after_rule", "late_hours", "remark"),
    *("message", "handed_in", "graded", "seed", "sandbox"),
)
DETAIL = (
    *("learner", "exercise", "task", "title", "status", "points", "possible"),
    *("cases_right", "cases", "message", "hint"),
)
CANVAS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")
MOODLE = (
    *("Identifier", "Full name", "Grade", "Maximum Grade", "Last modified (grade)", "Feedback comments"),
)

FINAL = ("graded", "missing", "broken", "duplicated")  # with any other status there is no grade yet


class BadExport(ValueError):
    """The marks cannot be written in this form; the message says what is missing."""


@dataclass(frozen=True)
class Export:
    """A table's text, and what whoever uses it has to know, a sentence each."""

    text: str
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Numbers:
    """What a platform calls the learners: by learner, and where a number holds for one exercise, by both."""

    by_learner: Mapping[str, str]
    by_exercise: Mapping[tuple[str, str], str]
    names: Mapping[str, str]


def choose(rows: Iterable[Row], exercises: Iterable[str] = ()) -> list[Row]:
    """The rows of these exercises, of all where none is named. Raises :class:`BadExport` where one has no row."""
    rows, exercises = list(rows), list(exercises)
    known = sorted({row.result.exercise for row in rows})
    unknown = [name for name in exercises if name not in known]
    if not rows:
        raise BadExport("the gradebook has no marks; run coursekit grade first")
    if unknown:
        raise BadExport(f"nothing of {', '.join(unknown)} is graded; the gradebook has {', '.join(known)}")
    return [row for row in rows if row.result.exercise in (exercises or known)]


def refuse_waiting(rows: Iterable[Row]) -> None:
    """Raise :class:`BadExport` where marks still wait for their race."""
    waiting = sorted(
        f"{row.learner!r} ({row.result.exercise})" for row in rows if row.result.status == RACING
    )
    if waiting:
        raise BadExport(
            f"the speed of {', '.join(waiting)} was not measured yet, so their marks are not complete; grade again, or "
            "export all the same with --unfinished"
        )


def tidy(rows: Iterable[Row], course: Course) -> Export:
    """A line for each learner and exercise."""
    lines = []
    for row in rows:
        standing, result = course.standing(row), row.result
        late = None if standing.late is None else standing.late.total_seconds() / 3600
        lines.append(
            [
                *(row.learner, result.exercise, result.status, result.points, result.possible),
                *(standing.points, late, standing.remark, result.message or "; ".join(result.notes)),
                *(row.handed_in or "", row.graded, row.seed, row.sandbox),
            ]
        )
    return Export(sheet([TIDY, *lines]))


def detail(rows: Iterable[Row]) -> Export:
    """A line for each learner, exercise and task."""
    lines = [
        [row.learner, row.result.exercise, *(getattr(mark, column) for column in DETAIL[2:])]
        for row in rows
        for mark in row.result.marks
    ]
    return Export(sheet([DETAIL, *lines]))


def canvas(rows: list[Row], course: Course, folder: Path | None, titles: Mapping[str, str]) -> Export:
    """The form of Canvas's gradebook. `titles` are its names for the exercises, where they differ."""
    exercises = sorted({row.result.exercise for row in rows})
    unknown = [name for name in titles if name not in exercises]
    if unknown:
        raise BadExport(
            f"there is no exercise {', '.join(unknown)} to give a title; wanted: {', '.join(exercises)}"
        )
    numbers = read_numbers(folder, "canvas")
    cells = {(row.learner, row.result.exercise): _grade(row, course) for row in rows}
    possible, remarks = _possible(rows, exercises)
    learners = sorted({row.learner for row in rows})
    lines = [
        [learner, numbers.by_learner.get(learner, ""), "", "", ""]
        + [cells.get((learner, exercise)) for exercise in exercises]
        for learner in learners
    ]
    header = [*CANVAS, *(titles.get(exercise, exercise) for exercise in exercises)]
    points = ["    Points Possible", "", "", "", "", *(possible[exercise] for exercise in exercises)]
    without = [learner for learner in learners if learner not in numbers.by_learner]
    remarks += _without("Canvas", "ID", without) + _unmarked(rows)
    return Export(sheet([header, points, *lines]), tuple(remarks))


def moodle(rows: list[Row], course: Course, folder: Path | None) -> Export:
    """The worksheet of one assignment of Moodle's. Raises :class:`BadExport` for more than one exercise."""
    exercises = sorted({row.result.exercise for row in rows})
    if len(exercises) > 1:
        raise BadExport(
            f"Moodle has a worksheet for each assignment; name one with --exercise: {', '.join(exercises)}"
        )
    if folder is None:
        raise BadExport(
            "Moodle finds a learner by a number; name the folder of coursekit collect with --collected"
        )
    numbers = read_numbers(folder, "moodle")
    lines, without = [], []
    for row in rows:
        number = numbers.by_exercise.get((row.learner, row.result.exercise))
        if number is None:
            without.append(row.learner)
        lines.append(
            [
                *(
                    "" if number is None else f"Participant {number}",
                    numbers.names.get(row.learner, row.learner),
                ),
                *(_grade(row, course), row.result.possible, row.graded, feedback(row, course)),
            ]
        )
    remarks = _without("Moodle", "Identifier", without) + _unmarked(rows)
    return Export(sheet([MOODLE, *lines]), tuple(remarks))


def feedback(row: Row, course: Course) -> str:
    """What a learner reads beside the grade, as HTML: each task, its points and why."""
    result, standing = row.result, course.standing(row)
    said = [f"{result.points} of {result.possible} points"]
    said += [text for text in (result.message, standing.remark) if text]
    tasks = "".join(f"<li>{html.escape(_task(mark))}</li>" for mark in result.marks)
    notes = "".join(f"<p>Note: {html.escape(ended(note))}</p>" for note in result.notes)
    return f"<p>{html.escape(ended('; '.join(said)))}</p>" + (f"<ul>{tasks}</ul>" if tasks else "") + notes


def read_numbers(folder: Path | None, lms: str) -> Numbers:
    """A platform's numbers for the learners, as ``handed_in.csv`` in the folder has them."""
    records = [] if folder is None else [r for r in read_records(folder) if r.lms == lms]
    if folder is not None and not records:
        raise BadExport(f"{folder} has no handed_in.csv with learners of {lms}; coursekit collect writes one")
    numbered = [r for r in records if r.lms_id]
    return Numbers(
        {r.learner: r.lms_id for r in numbered},
        {(r.learner, exercise_in(folder, r)): r.lms_id for r in numbered},
        {r.learner: r.name for r in records},
    )


def _grade(row: Row, course: Course) -> float | None:
    return course.standing(row).points if row.result.status in FINAL else None


def _task(mark: Mark) -> str:
    hint = f" Hint: {mark.hint}" if mark.hint else ""
    return f"{mark.title} ({mark.points} of {mark.possible}): {ended(readable(mark.message))}{hint}"


def _possible(rows: list[Row], exercises: list[str]) -> tuple[dict[str, int], list[str]]:
    """What can be earned in each exercise, and a remark where the rows do not agree on it."""
    found = {name: {row.result.possible for row in rows if row.result.exercise == name} for name in exercises}
    remarks = [
        f"{name} was graded with keys of {' and '.join(map(str, sorted(points)))} points; grade it again"
        for name, points in found.items()
        if len(points) > 1
    ]
    return {name: max(points) for name, points in found.items()}, remarks


def _without(platform: str, column: str, learners: list[str]) -> list[str]:
    if not learners:
        return []
    return [
        f"without a number of {platform}, so their {column} is empty: {', '.join(learners)}; "
        "write it there, or as lms_id, beside the platform as lms, into handed_in.csv and export again"
    ]


def _unmarked(rows: list[Row]) -> list[str]:
    left = [f"{row.learner} ({row.result.exercise})" for row in rows if row.result.status not in FINAL]
    return [f"not marked to the end, so without a grade: {', '.join(left)}; grade again"] if left else []
