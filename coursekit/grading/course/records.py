"""``handed_in.csv``: whose each collected notebook is, when it was handed in, and where it came from."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from coursekit.grading.course.names import Person, person
from coursekit.grading.course.settings import Course
from coursekit.grading.course.sheets import BadSheet, read_sheet
from coursekit.grading.exercise.notebook import exercise_of

RECORDS = "handed_in.csv"
NEEDED = ("learner", "file", "handed_in", "lms", "lms_id", "name", "source")
COLUMNS = (*NEEDED, "late", "exercise")
MODIFIED = "Last modified (submission)"
WORKSHEET_TIMES = ("%A, %d %B %Y, %I:%M %p", "%A, %d %B %Y, %H:%M", "%A, %B %d, %Y, %I:%M %p")


class BadCollection(ValueError):
    """There is nothing to collect from, nowhere to put it, or the record of it is damaged."""


@dataclass(frozen=True)
class Record:
    """A line of ``handed_in.csv``. ``file`` is empty for somebody of whom there is no notebook.

    ``late`` is 'yes' where the platform said so in the file's name. ``exercise`` is what somebody without a notebook
    did not hand in; with one, the notebook says it.
    """

    learner: str
    file: str
    handed_in: str
    lms: str
    lms_id: str
    name: str
    source: str
    late: str = ""
    exercise: str = ""

    @property
    def person(self) -> Person:
        return Person(self.lms, self.lms_id, self.name)


def read_handed_in(folder: Path) -> dict[tuple[str, str], datetime]:
    """When each notebook was handed in, by learner and file name; empty where nothing was collected.

    A time without an offset is one of the course's time zone, which is not known here. Raises :class:`BadCollection`
    for a table that is damaged.
    """
    return {
        (record.learner, record.file): datetime.fromisoformat(record.handed_in)
        for record in read_records(folder)
        if record.file and record.handed_in
    }


def read_records(folder: Path) -> list[Record]:
    """The lines of a folder's ``handed_in.csv``; none where there is no such file. Raises :class:`BadCollection`."""
    path = folder / RECORDS
    if not path.is_file():
        return []
    records: dict[tuple, Record] = {}
    try:
        for line, row in read_sheet(path, NEEDED):
            record = Record(**{column: row.get(column, "") for column in COLUMNS})
            _check(path, line, record)
            key = (record.learner, record.file or (record.person, record.exercise))
            if record.file and key in records:
                raise BadSheet(f"{path}, line {line}: {record.learner}/{record.file} stands there twice")
            records[key] = record
    except BadSheet as error:
        raise BadCollection(str(error)) from None
    return list(records.values())


def exercise_in(folder: Path, record: Record) -> str:
    """The exercise that a record is about: the one its notebook says it is, else what the notebook is called."""
    if not record.file:
        return record.exercise
    return exercise_of(folder / record.learner / record.file) or Path(record.file).stem


@dataclass(frozen=True)
class Participant:
    """A line of Moodle's grading worksheet; without a time where nothing was handed in."""

    person: Person
    handed_in: datetime | None


def read_worksheet(path: Path, course: Course) -> dict[str, Participant]:
    """The participants of an assignment, by number, from Moodle's grading worksheet in English.

    Its column "Last modified (submission)" reads like "Tuesday, 1 December 2026, 11:45 PM", by the clock of whoever
    downloaded it: taken as the course's. Raises :class:`BadCollection` where it cannot be read.
    """
    found = {}
    try:
        for line, row in read_sheet(path, ["Identifier", MODIFIED]):
            number, text = row["Identifier"].rpartition(" ")[2], row[MODIFIED]
            when = _worksheet_time(path, line, text, course) if text.strip(" -") else None
            found[number] = Participant(person("moodle", number, row.get("Full name") or "Participant"), when)
    except BadSheet as error:
        raise BadCollection(f"{error}; wanted: Moodle's grading worksheet, downloaded in English") from None
    return found


def _worksheet_time(path: Path, line: int, text: str, course: Course) -> datetime:
    for form in WORKSHEET_TIMES:
        try:
            when = datetime.strptime(text, form)
        except ValueError:
            continue
        return course.moment(when.isoformat())
    raise BadSheet(
        f"{path}, line {line}: {MODIFIED} is {text!r}, not like 'Tuesday, 1 December 2026, 11:45 PM'"
    )


def _check(path: Path, line: int, record: Record) -> None:
    for column, value in (("learner", record.learner), ("file", record.file)):
        if value != Path(value).name or value == ".." or (column == "learner" and not value):
            raise BadSheet(f"{path}, line {line}: {column} {value!r} is no name in the folder")
    try:
        datetime.fromisoformat(record.handed_in or "2026-12-01")
    except ValueError:
        wanted = "a time such as 2026-12-01T23:59:00+01:00, or nothing"
        raise BadSheet(f"{path}, line {line}: handed_in is {record.handed_in!r}; wanted {wanted}") from None
