"""The gradebook: one SQLite file, a submission at a time, so that a run that is killed loses nothing."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path

import coursekit
from coursekit.grading.course.tables import FROM_VERSION_1, TABLES, VERSION
from coursekit.grading.marking.result import Mark, Result

WAIT_S = 30  # for another process that is writing
RACING = "racing"  # the status of what is marked, and not yet raced
MEND = "mend its permissions, or use a copy in a folder that you may write to"


class BadGradebook(ValueError):
    """The file is no gradebook of this version."""


@dataclass(frozen=True)
class Row:
    """A submission as the gradebook holds it.

    ``graded`` and ``handed_in`` are times in ISO 8601 (``handed_in`` is None where nobody noted it), ``sandbox``
    is 'bubblewrap' or 'none', ``digest`` and ``key_digest`` tell whether the notebook or its key has changed since.
    """

    learner: str
    result: Result
    graded: str = ""
    seed: int = 0
    sandbox: str = "none"
    digest: str = ""
    key_digest: str = ""
    handed_in: str | None = None
    run: int = 0


@dataclass(frozen=True)
class Run:
    """A grading run: its seed decides every drawn input."""

    id: int
    seed: int
    sandbox: str = "none"


class Gradebook:
    """An open gradebook. Use it as a context manager.

    It is created where it is missing. With `to_read` it has to be there, and its file is left as it is. Raises
    :class:`BadGradebook`.
    """

    def __init__(self, path: Path, to_read: bool = False) -> None:
        self.path = Path(path)
        if self.path.is_dir():
            raise BadGradebook(f"{self.path} is a folder; name a file, such as {self.path / 'marks.sqlite'}")
        try:
            self._db = _copy(self.path) if to_read else _open(self.path)
            self._db.execute("PRAGMA foreign_keys = ON")
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            empty = not self._db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        except sqlite3.OperationalError as error:
            raise BadGradebook(f"{self.path} cannot be opened ({error}); {MEND}") from None
        except sqlite3.DatabaseError as error:
            raise BadGradebook(f"{self.path} is not a gradebook ({error}); name another file") from None
        if empty and to_read:
            raise BadGradebook(f"{self.path} is empty; coursekit grade writes marks into it")
        if not empty and version not in (1, VERSION):
            raise BadGradebook(
                f"{self.path} is a database of version {version}, not a gradebook of version {VERSION}"
            )
        change = FROM_VERSION_1 if version == 1 else TABLES
        try:
            self._db.executescript(f"BEGIN; {change} PRAGMA user_version = {VERSION}; COMMIT;")
        except sqlite3.OperationalError as error:
            raise BadGradebook(f"{self.path} cannot be written ({error}); {MEND}") from None

    def __enter__(self) -> "Gradebook":
        return self

    def __exit__(self, *_) -> None:
        self._db.close()

    def start_run(self, seed: int, sandbox: str = "none") -> Run:
        """Open a grading run; its seed is recorded so that it can be repeated."""
        values = (_now(), seed, coursekit.__version__, sandbox)
        query = "INSERT INTO run (started, seed, coursekit, sandbox) VALUES (?, ?, ?, ?)"
        return Run(self._db.execute(query, values).lastrowid, seed, sandbox)

    def finish_run(self, run: Run) -> None:
        """Note that a run came to its end: nothing is left of it to resume."""
        self._db.execute("UPDATE run SET finished = ? WHERE id = ?", (_now(), run.id))

    def unfinished_run(self, sandbox: str, seed: int | None = None) -> Run | None:
        """The last run, where it was stopped in the middle and the same version can go on with it.

        With a `seed`, only where it had this one.
        """
        query = "SELECT id, seed, coursekit, sandbox, finished FROM run ORDER BY id DESC LIMIT 1"
        last = self._db.execute(query).fetchone()
        if last is None or last[2:] != (coursekit.__version__, sandbox, None):
            return None
        if seed not in (None, last[1]):
            return None
        return Run(last[0], last[1], sandbox)

    def record(self, run: Run, row: Row) -> Row:
        """Write one submission, in place of what was there for it: all of it, or nothing.

        Returns the row as it was written: ``graded``, ``run``, ``seed`` and ``sandbox`` are not the caller's.
        """
        row = replace(row, graded=_now(), run=run.id, seed=run.seed, sandbox=run.sandbox)
        result = row.result
        with self._transaction() as db:
            db.execute(
                "DELETE FROM submission WHERE learner = ? AND exercise = ?", (row.learner, result.exercise)
            )
            values = {
                "run": run.id,
                "learner": row.learner,
                "exercise": result.exercise,
                "status": result.status,
                "message": result.message,
                "points": result.points,
                "possible": result.possible,
                "seconds": result.seconds,
                "graded": row.graded,
                "key_digest": row.key_digest,
                "digest": row.digest,
                "handed_in": row.handed_in,
            }
            number = _insert(db, "submission", values)
            for position, mark in enumerate(result.marks):
                _insert(db, "mark", {"submission": number, "position": position} | _mark_values(mark))
            for text in result.notes:
                _insert(db, "note", {"submission": number, "text": text})
        return row

    def rows(self) -> list[Row]:
        """Every submission, by learner and exercise."""
        query = """SELECT submission.*, run.seed, run.sandbox
                   FROM submission JOIN run ON run.id = submission.run ORDER BY learner, exercise"""
        return [self._row(values) for values in self._records(query)]

    def _row(self, found: dict) -> Row:
        query = f"SELECT {', '.join(MARK)} FROM mark WHERE submission = ? ORDER BY position"
        marks = tuple(Mark(**values) for values in self._records(query, found["id"]))
        texts = self._records("SELECT text FROM note WHERE submission = ? ORDER BY rowid", found["id"])
        own = {name: found[name] for name in ("exercise", "status", "message", "possible", "seconds")}
        result = Result(marks=marks, notes=tuple(note["text"] for note in texts), **own)
        return Row(result=result, **{f.name: found[f.name] for f in fields(Row) if f.name != "result"})

    def _records(self, query: str, *values) -> list[dict]:
        cursor = self._db.execute(query, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, record, strict=True)) for record in cursor.fetchall()]

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def read_rows(path: Path) -> list[Row]:
    """Every submission of a gradebook that has to be there. Raises :class:`BadGradebook` where it is not."""
    if not path.is_file() and not path.is_dir():
        raise BadGradebook(f"there is no gradebook {path}; coursekit grade makes one")
    with Gradebook(path, to_read=True) as gradebook:
        try:
            return gradebook.rows()
        except sqlite3.DatabaseError as error:
            raise BadGradebook(f"{path} is damaged ({error}); name another file") from None


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    return sqlite3.connect(path, timeout=WAIT_S, isolation_level=None)


def _copy(path: Path) -> sqlite3.Connection:
    """A copy in memory, for which the file need not be writable.

    What a killed run left half written has to be undone in the file first, and that needs to write.
    """
    copy = sqlite3.connect(":memory:", isolation_level=None)
    try:
        _read_into(copy, path, "ro")
    except sqlite3.OperationalError:
        if not os.access(path, os.W_OK):
            raise
        _read_into(copy, path, "rw")
    return copy


def _read_into(copy: sqlite3.Connection, path: Path, mode: str) -> None:
    uri = f"{path.resolve().as_uri()}?mode={mode}"
    with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=WAIT_S)) as db:
        db.backup(copy)


MARK = [field.name for field in fields(Mark)]


def _mark_values(mark: Mark) -> dict:
    return {name: getattr(mark, name) for name in MARK}


def _insert(db: sqlite3.Connection, table: str, values: dict) -> int:
    """Add a record; returns its number. Table and columns are this module's own."""
    places = ", ".join("?" * len(values))
    query = f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places})"
    return db.execute(query, tuple(values.values())).lastrowid


def writable(value):
    """The same with every text as UTF-8 can hold it: file names and error messages may be anything."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, tuple):
        return tuple(writable(item) for item in value)
    if isinstance(value, Row | Result | Mark):
        return replace(value, **{field.name: writable(getattr(value, field.name)) for field in fields(value)})
    return value


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
