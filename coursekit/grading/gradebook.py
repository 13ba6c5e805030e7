"""The gradebook: one SQLite file, a submission at a time, so that a run that is killed loses nothing."""

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path

import coursekit
from coursekit.grading.grade import Mark, Result

SCHEMA = """
CREATE TABLE IF NOT EXISTS run (
    id INTEGER PRIMARY KEY, started TEXT NOT NULL, seed INTEGER NOT NULL, coursekit TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS submission (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES run(id),
    learner TEXT NOT NULL, exercise TEXT NOT NULL, status TEXT NOT NULL, message TEXT NOT NULL,
    points INTEGER NOT NULL, possible INTEGER NOT NULL, seconds REAL NOT NULL, graded TEXT NOT NULL,
    key_digest TEXT NOT NULL, UNIQUE (learner, exercise));
CREATE TABLE IF NOT EXISTS mark (
    submission INTEGER NOT NULL REFERENCES submission(id) ON DELETE CASCADE, position INTEGER NOT NULL,
    task TEXT NOT NULL, title TEXT NOT NULL, points INTEGER NOT NULL, possible INTEGER NOT NULL,
    status TEXT NOT NULL, message TEXT NOT NULL, cases_right INTEGER NOT NULL, cases INTEGER NOT NULL,
    feedback TEXT NOT NULL, PRIMARY KEY (submission, position));
CREATE TABLE IF NOT EXISTS note (
    submission INTEGER NOT NULL REFERENCES submission(id) ON DELETE CASCADE, text TEXT NOT NULL);
"""
VERSION = 1


class BadGradebook(ValueError):
    """The file is no gradebook of this version."""


@dataclass(frozen=True)
class Row:
    """A submission as the gradebook holds it."""

    learner: str
    result: Result
    graded: str
    seed: int


class Gradebook:
    """An open gradebook. Use it as a context manager; it is created where it is missing."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(self.path, timeout=30, isolation_level=None)
            self._db.execute("PRAGMA foreign_keys = ON")
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            empty = not self._db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        except sqlite3.DatabaseError as error:
            raise BadGradebook(f"{self.path} is not a gradebook ({error}); name another file") from None
        if not empty and version != VERSION:
            raise BadGradebook(
                f"{self.path} is a database of version {version}, not a gradebook of version {VERSION}"
            )
        self._db.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")

    def __enter__(self) -> "Gradebook":
        return self

    def __exit__(self, *_) -> None:
        self._db.close()

    def start_run(self, seed: int) -> int:
        """Open a grading run; its seed is recorded so that it can be repeated."""
        values = (_now(), seed, coursekit.__version__)
        return self._db.execute(
            "INSERT INTO run (started, seed, coursekit) VALUES (?, ?, ?)", values
        ).lastrowid

    def record(self, run: int, learner: str, result: Result, key_digest: str = "") -> None:
        """Write one submission, in place of what was there for it: all of it, or nothing."""
        with self._transaction() as db:
            db.execute(
                "DELETE FROM submission WHERE learner = ? AND exercise = ?", (learner, result.exercise)
            )
            values = (run, learner, result.exercise, result.status, result.message)
            values += (result.points, result.possible, result.seconds, _now(), key_digest)
            columns = "run, learner, exercise, status, message, points, possible, seconds, graded, key_digest"
            places = ", ".join("?" * len(values))
            row = db.execute(f"INSERT INTO submission ({columns}) VALUES ({places})", values).lastrowid
            marks = [(row, i, *_mark_values(mark)) for i, mark in enumerate(result.marks)]
            db.executemany(f"INSERT INTO mark VALUES ({', '.join('?' * 11)})", marks)
            db.executemany("INSERT INTO note VALUES (?, ?)", [(row, text) for text in result.notes])

    def rows(self) -> list[Row]:
        """Every submission, by learner and exercise."""
        query = """SELECT submission.id, learner, exercise, status, message, possible, seconds, graded, seed
                   FROM submission JOIN run ON run.id = submission.run ORDER BY learner, exercise"""
        return [self._row(*values) for values in self._db.execute(query).fetchall()]

    def _row(self, number, learner, exercise, status, message, possible, seconds, graded, seed) -> Row:
        columns = "task, title, points, possible, status, message, cases_right, cases, feedback"
        query = f"SELECT {columns} FROM mark WHERE submission = ? ORDER BY position"
        marks = tuple(Mark(*values) for values in self._db.execute(query, (number,)))
        texts = self._db.execute("SELECT text FROM note WHERE submission = ? ORDER BY rowid", (number,))
        notes = tuple(text for (text,) in texts)
        return Row(learner, Result(exercise, status, message, marks, notes, possible, seconds), graded, seed)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def _mark_values(mark: Mark) -> tuple:
    head = (mark.task, mark.title, mark.points, mark.possible, mark.status, mark.message)
    return (*head, mark.cases_right, mark.cases, mark.feedback)


def writable(value):
    """The same with every text as UTF-8 can hold it: file names and error messages may be anything."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, tuple):
        return tuple(writable(item) for item in value)
    if isinstance(value, Result | Mark):
        return replace(value, **{field.name: writable(getattr(value, field.name)) for field in fields(value)})
    return value


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
