"""The class's folder while something is collected into it: nothing is written over, and the newest stands in front.

A notebook replaces what the same learner handed in before for the same exercise. That is kept beside it as
``x.ipynb.~1~``, which is no notebook to the grader, so it never sees two that claim to be one exercise. Where both
times are known, the later one counts; else what is collected later.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from coursekit.grading.course import names
from coursekit.grading.course.gradebook import writable
from coursekit.grading.course.names import Person
from coursekit.grading.course.records import COLUMNS, RECORDS, Record
from coursekit.grading.course.settings import Course
from coursekit.grading.course.sheets import sheet
from coursekit.grading.exercise.notebook import exercise_of
from coursekit.storage import write_atomically


class InTheWay(Exception):
    """Something that is no learner's stands where a notebook should go."""


@dataclass(frozen=True)
class Handed:
    """A notebook on its way from the download to the learner's folder; `path` is where it waits.

    ``is_sure`` says that its time comes from the platform itself, and replaces one that was noted before.
    """

    person: Person
    file: str
    exercise: str
    path: Path
    modified: datetime | None
    source: str
    is_late: bool = False
    is_sure: bool = False


@dataclass(frozen=True)
class Learner:
    """What there is of one learner: the notebooks that stand there now, and what there is to say."""

    name: str
    files: tuple[str, ...]
    remarks: tuple[str, ...]


class Shelf:
    """A class's folder: takes notebooks in, and keeps the record of them."""

    def __init__(self, folder: Path, course: Course, records: list[Record]) -> None:
        self.folder, self.course = folder, course
        self.records = {(r.learner, r.file): r for r in records if r.file}
        self.without = {(r.learner, r.person, r.exercise): r for r in records if not r.file}
        self.remarks: dict[str, list[str]] = {}

    def make(self, learner: str, *remarks: str) -> None:
        """Make the learner's folder. Raises :class:`InTheWay`."""
        place = self.folder / learner
        if place.is_symlink() or (place.exists() and not place.is_dir()):
            raise InTheWay(
                f"there is a file or a link of that name in {self.folder}; move it away and collect again"
            )
        place.mkdir(exist_ok=True)
        self.remarks.setdefault(learner, []).extend(map(writable, remarks))

    def note_missing(self, learner: str, person: Person, exercise: str) -> None:
        """Keep what the platform calls somebody of whom there is no notebook for an exercise."""
        who = (person.lms, person.lms_id, person.name)
        self.without[learner, person, exercise] = Record(learner, "", "", *who, "", exercise=exercise)

    def take(self, learner: str, person: Person, handed: list[Handed], exercise: str, *remarks: str) -> None:
        """Take in what one person handed in, or that it was nothing for the exercise. Raises :class:`InTheWay`."""
        self.make(learner, *remarks)
        mine: dict[str, Handed] = {}
        for item in handed:
            mine[names.unique(names.safe_file(item.file), mine)] = item
        for file, item in mine.items():
            self._take(learner, file, item, mine)
        by_exercise = defaultdict(list)
        for file, item in mine.items():
            by_exercise[item.exercise].append(file)
        for exercise, files in by_exercise.items():
            if len(files) > 1:
                self._say(learner, f"{' and '.join(files)} all claim to be {exercise}")
        if not handed:
            self.note_missing(learner, person, exercise)
            self._say(learner, "no notebook came")

    def write(self) -> None:
        """Write the record of what stands in the folder now."""
        there = [r for r in self.records.values() if (self.folder / r.learner / r.file).is_file()]
        has = {(r.learner, r.lms, r.lms_id or r.name) for r in there}
        rest = [r for r in self.without.values() if (r.learner, r.lms, r.lms_id or r.name) not in has]
        rows = sorted([writable(getattr(r, column)) for column in COLUMNS] for r in there + rest)
        write_atomically(self.folder / RECORDS, sheet([COLUMNS, *rows]))

    def learners(self) -> tuple[Learner, ...]:
        """Whom something was taken from, or made a folder for."""
        return tuple(
            Learner(
                name, tuple(path.name for path in notebooks(self.folder / name)), tuple(self.remarks[name])
            )
            for name in sorted(self.remarks)
        )

    def _take(self, learner: str, file: str, item: Handed, mine: dict[str, Handed]) -> None:
        place = self.folder / learner
        target = place / file
        if target.is_symlink() or (target.exists() and not target.is_file()):
            raise InTheWay(f"{file} is a folder or a link there; move it away and collect again")
        data = item.path.read_bytes()
        is_there = target.exists() and target.read_bytes() == data
        rivals = [p for p in notebooks(place) if self._is_rival(p, learner, file, item, mine)]
        newer = [p for p in rivals if self._is_newer(learner, p.name, item.modified)]
        if newer and not is_there:
            self._say(learner, f"{item.source} is older than {newer[0].name}, which stays")
            return
        for path in rivals:
            if path != target or not is_there:
                kept = _set_aside(path)
                self._say(learner, f"{file} replaces {path.name}, which is kept as {kept.name}")
        if not is_there:
            write_atomically(target, data)
        if item.is_late:
            self._say(learner, f"Canvas marked {file} as late")
        self._note(learner, file, item, is_there)

    def _is_rival(self, path: Path, learner: str, file: str, item: Handed, mine: dict[str, Handed]) -> bool:
        """Whether a notebook in the folder is what this one replaces.

        That is one of the same name or exercise, or what the same number of Moodle's handed in: a number there is for
        one assignment, and its submission comes complete each time. What came in the same download is none.
        """
        if path.name == file:
            return True
        if path.name in mine:
            return False
        record = self.records.get((learner, path.name))
        if item.person.lms == "moodle" and item.person.lms_id and record and record.person == item.person:
            return True
        return exercise_of(path) == item.exercise

    def _is_newer(self, learner: str, file: str, than: datetime | None) -> bool:
        record = self.records.get((learner, file))
        when = self.course.moment(record.handed_in) if record else None
        return when is not None and than is not None and when > than

    def _note(self, learner: str, file: str, item: Handed, is_there: bool) -> None:
        before = self.records.get((learner, file))
        handed_in = ""
        if item.modified is not None:
            handed_in = item.modified.astimezone(self.course.zone).isoformat(timespec="seconds")
        if is_there and before and before.handed_in and not item.is_sure:
            handed_in = before.handed_in
        who = item.person
        late = "yes" if item.is_late else before.late if is_there and before else ""
        self.records[learner, file] = Record(
            learner, file, handed_in, who.lms, who.lms_id, who.name, item.source, late
        )

    def _say(self, learner: str, remark: str) -> None:
        self.remarks[learner].append(writable(remark))


def notebooks(place: Path) -> list[Path]:
    """The notebooks in a learner's folder."""
    return sorted(
        p for p in place.iterdir() if names.is_notebook(p.name) and p.is_file() and not p.is_symlink()
    )


def _set_aside(path: Path) -> Path:
    """Rename a notebook to ``x.ipynb.~N~``, the way backups are numbered, and return the new path."""
    number = 1
    while (kept := path.with_name(f"{path.name}.~{number}~")).exists():
        number += 1
    return path.rename(kept)
