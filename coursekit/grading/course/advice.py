"""What an instructor has to know of a course's settings and marks before relying on them, a sentence each."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from difflib import get_close_matches
from pathlib import Path

from coursekit.grading.course.gradebook import RACING, Row
from coursekit.grading.course.records import Record
from coursekit.grading.course.settings import NAME, Course, plain

LONG = 200  # letters of a name that are compared with another's


def said_of(path: Path | None, course: Course) -> str:
    """A sentence: which file the settings are from, and whether lateness counts by them."""
    if path is None:
        return f"no {NAME} was found, so no due times count; name one with --course"
    if not course.due:
        return f"{path} has no due times, so nothing is late"
    return f"due times and the late rule are those of {path}"


def without_effect(course: Course, rows: Iterable[Row], keys: Collection[str] = ()) -> list[str]:
    """Sentences on the names in a course's settings that fit none of the rows, and were perhaps meant otherwise.

    A name of [due] may be of an exercise still to come, so it counts as misspelt where the rows have one without a due
    time that is called nearly like it, or where `keys`, all exercises of the course, are given and it is none of them.
    """
    rows = list(rows)
    graded = {row.result.exercise for row in rows}
    found = []
    for name in sorted(course.due.keys() - graded - set(keys)):
        near = _nearest(name, (graded | set(keys)) - course.due.keys())
        if near or keys:
            found.append(f"[due] has {name!r}, which is no exercise here{_meant(near)}; it has no effect")
    learners = {plain(row.learner) for row in rows}
    for learner, own in sorted(course.extensions.items()):
        if learner not in learners and graded & own.keys():
            near = _nearest(learner, learners - course.extensions.keys())
            found.append(
                f"[extensions] has {learner!r}, who is no learner here{_meant(near)}; it has no effect"
            )
    return found


def _nearest(name: str, known: Iterable[str]) -> str:
    """The known name that is written most like this one; empty where none is much like it."""
    by_plain = {other.casefold(): other for other in sorted(known)}
    near = get_close_matches(name.casefold()[:LONG], by_plain, n=1, cutoff=0.7)
    return by_plain[near[0]] if near else ""


def _meant(near: str) -> str:
    return f"; perhaps {near!r} was meant" if near else ""


def without_time(course: Course, rows: Iterable[Row]) -> list[str]:
    """A sentence where the late rule cannot judge: something is due, and nobody knows when it was handed in."""
    found = defaultdict(list)
    for row in rows:
        if course.is_timeless(row):
            found[row.result.exercise].append(row.learner)
    return [
        f"{exercise} has a due time, and it is not known when {', '.join(sorted(learners))} handed it in, so "
        "nothing is taken off; write the times into handed_in.csv and grade again"
        for exercise, learners in sorted(found.items())
    ]


def marked_late(records: Iterable[Record], course: Course, rows: Iterable[Row]) -> list[str]:
    """A sentence on what the platform itself called late, of which no time is known."""
    timeless = {row.learner for row in rows if course.is_timeless(row)}
    late = sorted(
        f"{r.learner}/{r.file}" for r in records if r.late and not r.handed_in and r.learner in timeless
    )
    return [f"the platform marked as late, without a time: {', '.join(late)}"] if late else []


def new_inputs(rows: Iterable[Row]) -> list[str]:
    """A sentence for each exercise whose rows have several seeds: why that is, and how to have one."""
    seeds = defaultdict(set)
    for row in rows:
        if row.result.marks:
            seeds[row.result.exercise].add(row.seed)
    return [
        f"{exercise} was graded in {len(own)} runs, each with inputs of its own. That is as it should be: who hands in "
        "again may know the earlier ones. To give everybody the same, add --regrade"
        for exercise, own in sorted(seeds.items())
        if len(own) > 1
    ]


def incomplete(rows: Iterable[Row]) -> list[str]:
    """A sentence for each exercise with marks that still wait for their race, and one for what could not be graded."""
    waiting, failed = defaultdict(list), []
    for row in rows:
        if row.result.status == RACING:
            waiting[row.result.exercise].append(row)
        elif row.result.status == "failed":
            failed.append(f"{row.learner} ({row.result.exercise})")
    found = [
        f"{exercise}: the marks of {', '.join(row.learner for row in own)} are not complete; "
        f"{own[0].result.message}. Grade again, once the key is mended where it is the key's fault"
        for exercise, own in sorted(waiting.items())
    ]
    return found + ([f"without marks, as grading failed: {', '.join(failed)}; grade again"] if failed else [])
