"""From a learning platform's download to ``FOLDER/<learner>/<notebook>.ipynb``, as ``coursekit grade`` reads it.

``FOLDER/handed_in.csv`` says of each notebook whose it is and when it was handed in. It is there to be corrected by
hand: collecting again keeps what stands in it for a notebook that has not changed. ``read_handed_in`` reads it.

A notebook's time is the one in the archive, or on the disk. Moodle and Canvas both write the time of the *download*
into their archives (Moodle's ``zip_writer`` gives a file no time of its own; for Canvas see its issue 2219), and
copying or unpacking may do the same to a folder. So where all times of a download lie within minutes, they are taken
for the time of packing, and left out. Moodle's grading worksheet has the real ones.
"""

import tempfile
from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from coursekit.grading.collecting.downloads import Entry, Unreadable, open_download, unwrapped
from coursekit.grading.collecting.roster import Known, Listed, absent, assign, read_roster
from coursekit.grading.collecting.shelf import Handed, InTheWay, Learner, Shelf
from coursekit.grading.course import names
from coursekit.grading.course.gradebook import writable
from coursekit.grading.course.names import Origin, Person
from coursekit.grading.course.records import (
    BadCollection,
    Participant,
    Record,
    exercise_in,
    read_handed_in,
    read_records,
    read_worksheet,
)
from coursekit.grading.course.settings import Course
from coursekit.grading.exercise.notebook import exercise_of

__all__ = ["BadCollection", "Collected", "Learner", "Record", "collect", "read_handed_in", "read_records"]

PACKED_AT_ONCE = timedelta(minutes=10)
WANTED = "a Moodle or Canvas download, <learner>/<notebook>.ipynb, or <learner>_<notebook>.ipynb"
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")


@dataclass(frozen=True)
class Collected:
    """What came of collecting: the learners, what was passed over with the reason, and whether times are known.

    ``platforms`` are those whose names the files had.
    """

    learners: tuple[Learner, ...]
    passed_over: tuple[tuple[str, str], ...]
    has_times: bool
    platforms: frozenset[str] = frozenset()


def collect(
    downloads: Path,
    folder: Path,
    course: Course | None = None,
    roster: Path | None = None,
    worksheet: Path | None = None,
    trust_times: bool = False,
) -> Collected:
    """Put what stands in a download, a folder or a zip archive, into a class's folder.

    `roster` and `worksheet` are tables: the class (:func:`~coursekit.grading.collecting.roster.read_roster`), and
    Moodle's grading worksheet, for its times and for whoever handed in nothing. With `trust_times` those of the
    download are taken whatever they look like. Raises :class:`BadCollection`,
    :class:`~coursekit.grading.collecting.downloads.BadDownload` or
    :class:`~coursekit.grading.course.sheets.BadSheet` before anything is written.
    """
    course = course or Course()
    if downloads.is_dir() and folder.resolve().is_relative_to(downloads.resolve()):
        raise BadCollection(f"{folder} is a part of {downloads}; name a folder outside of it with --to")
    listed = read_roster(roster) if roster else []
    participants = read_worksheet(worksheet, course) if worksheet else {}
    records = read_records(folder)
    with open_download(downloads, course.zone) as entries, tempfile.TemporaryDirectory() as stage:
        arrival = _Arrival(entries, Path(stage), listed, records, course.due)
        if not arrival.people:
            raise BadCollection(f"{downloads} holds nothing that names a learner; wanted: {WANTED}")
        has_times = trust_times or not _packed_at_once(arrival.handed)
        handed = [_with_time(item, participants, has_times) for item in arrival.handed]
        for number in sorted(
            participants.keys() - {who.lms_id for who in arrival.people if who.lms == "moodle"}
        ):
            arrival.people[participants[number].person] = set()
        people = assign(
            arrival.people, listed, [Known(r.learner, r.person, exercise_in(folder, r)) for r in records]
        )
        folder.mkdir(parents=True, exist_ok=True)
        shelf = Shelf(folder, course, records)
        in_the_way = _fill(shelf, people, _by_person(handed), listed)
    platforms = frozenset(who.lms for who in people if who.lms)
    passed_over = (*arrival.passed_over, *in_the_way)
    return Collected(shelf.learners(), passed_over, has_times or bool(participants), platforms)


class _Arrival:
    """What is in the download: the notebooks, put aside under names of our own, whose they are, and what is no use."""

    def __init__(
        self,
        entries: list[Entry],
        stage: Path,
        roster: list[Listed],
        records: list[Record],
        exercises: Collection[str],
    ) -> None:
        self.people: dict[Person, set[str]] = {}
        self.handed: list[Handed] = []
        self.passed_over: list[tuple[str, str]] = []
        self._stage, self._exercises = stage, exercises
        self._learners = {name for r in roster for name in (r.learner, r.lms_id, r.name) if name}
        self._learners |= {r.name for r in records if r.name}
        around = unwrapped(entries, names.is_platform)
        for entry in entries:
            if entry.parts:
                self._add(entry, names.recognise(entry.parts[around:]))
            else:
                self._pass(entry, entry.problem)
        self.handed = [item for own in _by_person(self.handed).values() for item in _without_attempts(own)]

    def _add(self, entry: Entry, origin: Origin) -> None:
        if origin.person is not None:
            self.people.setdefault(origin.person, set())
        if not origin.file:
            return
        if not names.is_notebook(origin.file):
            self._pass(entry, entry.problem or _no_notebook(origin.file))
            return
        try:
            path = self._put_aside(entry)
        except Unreadable as error:
            self._pass(entry, str(error))
            return
        said = exercise_of(path)
        if origin.person is None:
            known = [said] if said else self._exercises
            if names.is_named_like(origin.file, known, self._learners):
                self._pass(entry, f"is named like its exercise, not whose it is; wanted: {WANTED}")
                return
            parted = names.split_flat(origin.file, said, self._learners)
            if parted is None:
                self._pass(entry, f"does not say whose it is; wanted: {WANTED}")
                return
            origin = Origin(names.person("", "", parted[0]), parted[1])
        exercise = said or Path(names.safe_file(origin.file)).stem
        self.people.setdefault(origin.person, set()).add(exercise)
        self.handed.append(
            Handed(origin.person, origin.file, exercise, path, entry.modified, entry.source, origin.is_late)
        )

    def _put_aside(self, entry: Entry) -> Path:
        if entry.problem:
            raise Unreadable(entry.problem)
        path = self._stage / f"{len(self.handed)}.ipynb"
        path.write_bytes(entry.read())
        return path

    def _pass(self, entry: Entry, reason: str) -> None:
        self.passed_over.append((writable(entry.source), reason))


def _without_attempts(own: list[Handed]) -> list[Handed]:
    """One person's Canvas files, called as they were without the attempt, where that tells no two of them apart."""
    if own[0].person.lms != "canvas":
        return own
    plain = [names.without_attempt(item.file, item.exercise) for item in own]
    often = Counter(plain)
    return [
        replace(item, file=name) if often[name] == 1 else item for item, name in zip(own, plain, strict=True)
    ]


def _fill(
    shelf: Shelf,
    people: dict[Person, tuple[str, str]],
    handed: dict[Person, list[Handed]],
    roster: list[Listed],
) -> list[tuple[str, str]]:
    """Put everybody's notebooks on the shelf; returns what could not be put there, and why."""
    in_the_way = []
    here = {learner for learner, _ in people.values()}
    exercise = _exercise(handed)
    try:
        for person, (learner, remark) in people.items():
            try:
                shelf.take(learner, person, handed.get(person, []), exercise, *filter(None, [remark]))
            except InTheWay as error:
                in_the_way.append((learner, str(error)))
        for learner, person in sorted(absent(roster, here, people).items()):
            try:
                shelf.make(learner, "nothing of theirs is in the download")
                shelf.note_missing(learner, person, exercise)
            except InTheWay as error:
                in_the_way.append((learner, str(error)))
    finally:
        shelf.write()
    return in_the_way


def _exercise(handed: dict[Person, list[Handed]]) -> str:
    """The exercise that most of a download is about; empty where it is not one."""
    often = Counter(item.exercise for own in handed.values() for item in own)
    most = often.most_common(1)
    return most[0][0] if most and 2 * most[0][1] > often.total() and len(most[0][0]) <= names.LONGEST else ""


def _by_person(handed: list[Handed]) -> dict[Person, list[Handed]]:
    found = defaultdict(list)
    for item in handed:
        found[item.person].append(item)
    return found


def _packed_at_once(handed: list[Handed]) -> bool:
    """Whether the times of a download say when it was packed: all within minutes.

    A single notebook's time says that too where a platform packed it.
    """
    times = [item.modified for item in handed if item.modified is not None]
    if len(times) < 2:
        return any(item.person.lms for item in handed)
    return max(times) - min(times) <= PACKED_AT_ONCE


def _with_time(item: Handed, worksheet: dict[str, Participant], has_times: bool) -> Handed:
    known = worksheet.get(item.person.lms_id) if item.person.lms == "moodle" else None
    if known and known.handed_in:
        return replace(item, modified=known.handed_in, is_sure=True)
    return item if has_times else replace(item, modified=None)


def _no_notebook(file: str) -> str:
    if file.lower().endswith(ARCHIVES):
        return "is an archive; unpack it in its place and collect the folder"
    return "is no notebook (.ipynb)"
