"""A run that is killed at any moment goes on: nothing is lost, nothing graded twice, and the seed is the same."""

import os
import signal
import sqlite3
import subprocess
import sys
import time

import psutil
import pytest

from coursekit.grading.course.classroom import BadClass, Options, grade_class, read_class
from coursekit.grading.course.gradebook import Gradebook, read_rows
from coursekit.grading.course.lock import alone
from coursekit.grading.kernels import sandbox

SQUARE = "def double(x):\n    return np.asarray(x) ** 2"
PLAIN = Options(workers=1, sandboxed=False)


@pytest.fixture
def group(tmp_path, hand_in, right):
    folder = tmp_path / "class"
    for number in range(5):
        hand_in(folder / f"l{number}" / "00_small.ipynb", right | ({"double": SQUARE} if number % 2 else {}))
    return folder


def grade(group, solutions, book, options=PLAIN):
    with Gradebook(book) as gradebook:
        return list(grade_class(read_class(group, solutions), gradebook, options))


def start(group, solutions, book) -> subprocess.Popen:
    flag = ["--no-sandbox"] if sandbox.missing() else []
    command = [sys.executable, "-m", "coursekit", "grade", str(group), "--gradebook", str(book)]
    command += ["--solutions", str(solutions), "--workers", "2", *flag]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )


def wait_for(book, count: int) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if book.exists() and count <= len(peek(book, "submission")):
            return
        time.sleep(0.02)
    raise AssertionError(f"{count} rows did not come")


def peek(book, table) -> list:
    with sqlite3.connect(f"file:{book}?mode=ro", uri=True) as db:
        try:
            return db.execute(f"SELECT * FROM {table}").fetchall()
        except sqlite3.OperationalError:
            return []


def test_killed_twice_and_every_row_is_right(group, solutions, tmp_path):
    book = tmp_path / "book.sqlite"
    first = {}
    for count in (1, 3):
        process = start(group, solutions, book)
        family = psutil.Process(process.pid).children(recursive=True)
        wait_for(book, count)
        family += psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        _, alive = psutil.wait_procs(set(family), timeout=10)
        assert not alive, "workers and kernels end with the run"
        for row in read_rows(book):
            assert first.setdefault(row.learner, row) == row, "what stood is not graded again"
    process = start(group, solutions, book)
    assert process.wait(120) == 0, process.stderr.read()
    rows = {row.learner: row for row in read_rows(book)}
    assert {name: row.result.points for name, row in rows.items()} == {
        f"l{n}": 5 if n % 2 else 6 for n in range(5)
    }
    assert {name: rows[name] for name in first} == first
    assert len(peek(book, "run")) == 1, "one run, and so one seed for all"


def test_only_what_changed_is_graded_again(group, solutions, tmp_path, hand_in, right):
    book = tmp_path / "book.sqlite"
    before = {row.learner: row for row in grade(group, solutions, book)}
    hand_in(group / "l1" / "00_small.ipynb", right)
    (group / "l2" / "00_small.ipynb").unlink()
    after = {row.learner: row for row in grade(group, solutions, book)}
    assert {name for name in before if before[name] != after[name]} == {"l1", "l2"}
    assert after["l1"].result.points == 6 and after["l2"].result.status == "missing"
    assert after["l1"].run == 2 and after["l0"].run == 1
    again = grade(group, solutions, book, Options(workers=1, sandboxed=False, regrade=True))
    assert {row.run for row in again} == {3}


def test_a_changed_key_is_a_reason_to_grade_again(group, solutions, tmp_path):
    import shutil

    keys = tmp_path / "keys"
    shutil.copytree(solutions, keys)
    book = tmp_path / "book.sqlite"
    grade(group, keys, book)
    path = keys / "00_small.ipynb"
    path.write_text(path.read_text() + "\n")
    assert {row.run for row in grade(group, keys, book)} == {2}


def test_a_run_goes_on_only_with_its_own_seed(tmp_path):
    with Gradebook(tmp_path / "book.sqlite") as book:
        run = book.start_run(7, "none")
        assert book.unfinished_run("none") == run == book.unfinished_run("none", 7)
        assert book.unfinished_run("none", 8) is None, "another seed is another run"
        assert book.unfinished_run("bubblewrap") is None, "and so is a run that is isolated"
        book.finish_run(run)
        assert book.unfinished_run("none") is None


def test_one_run_at_a_time_writes_to_a_gradebook(group, solutions, tmp_path):
    book = tmp_path / "book.sqlite"
    with Gradebook(book) as gradebook:
        running = grade_class(read_class(group, solutions), gradebook, PLAIN)
        next(running)
        with pytest.raises(BadClass, match="another run is writing to"):
            grade(group, solutions, book)
        running.close()
    assert len(grade(group, solutions, book)) == 5
    assert {path.name for path in tmp_path.iterdir()} == {"class", "book.sqlite"}, "the lock is gone"


def test_a_lock_that_a_killed_run_left_stops_nobody(tmp_path):
    book = tmp_path / "book.sqlite"
    code = "if True:\n import os, sys, pathlib\n from coursekit.grading.course.lock import alone\n"
    code += " with alone(pathlib.Path(sys.argv[1])):\n  os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code, str(book)]).returncode == 9
    assert (tmp_path / "book.sqlite.lock").exists()
    link = tmp_path / "link.sqlite"
    link.symlink_to(book)
    with alone(book), pytest.raises(BadClass, match="another run"), alone(link):
        pass
    assert not (tmp_path / "book.sqlite.lock").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (Options(workers=0, sandboxed=False), "--workers is 0"),
        (Options(workers=2, scheduler="tcp://127.0.0.1:1", sandboxed=False), "exclude each other"),
    ],
)
def test_options_that_make_no_sense_are_named(group, solutions, tmp_path, options, words):
    with pytest.raises(BadClass, match=words):
        grade(group, solutions, tmp_path / "book.sqlite", options)


def test_without_bubblewrap_nothing_is_graded_unless_asked(group, solutions, tmp_path, monkeypatch, capsys):
    from coursekit import cli

    monkeypatch.setenv("PATH", str(tmp_path))
    sandbox.missing.cache_clear()
    book = tmp_path / "book.sqlite"
    args = ["grade", str(group), "--gradebook", str(book), "--solutions", str(solutions)]
    try:
        assert cli.main(args) == 2
        said = capsys.readouterr().err
        assert "apt install bubblewrap" in said and "--no-sandbox" in said
        assert not peek(book, "submission") and not peek(book, "run")
        assert cli.main([*args, "--no-sandbox", "--exercise", "00_small", "--workers", "1"]) == 0
        assert "Warning: --no-sandbox" in capsys.readouterr().err
    finally:
        sandbox.missing.cache_clear()
    assert {row.sandbox for row in read_rows(book)} == {"none"}


def test_a_gradebook_of_the_first_version_is_carried_over(tmp_path):
    book = tmp_path / "old.sqlite"
    with sqlite3.connect(book) as db:
        db.executescript(
            """CREATE TABLE run (id INTEGER PRIMARY KEY, started TEXT NOT NULL, seed INTEGER NOT NULL,
                   coursekit TEXT NOT NULL);
               CREATE TABLE submission (id INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES run(id),
                   learner TEXT NOT NULL, exercise TEXT NOT NULL, status TEXT NOT NULL, message TEXT NOT NULL,
                   points INTEGER NOT NULL, possible INTEGER NOT NULL, seconds REAL NOT NULL, graded TEXT NOT NULL,
                   key_digest TEXT NOT NULL, UNIQUE (learner, exercise));
               CREATE TABLE mark (submission INTEGER NOT NULL, position INTEGER NOT NULL, task TEXT NOT NULL,
                   title TEXT NOT NULL, points INTEGER NOT NULL, possible INTEGER NOT NULL, status TEXT NOT NULL,
                   message TEXT NOT NULL, cases_right INTEGER NOT NULL, cases INTEGER NOT NULL,
                   feedback TEXT NOT NULL, PRIMARY KEY (submission, position));
               CREATE TABLE note (submission INTEGER NOT NULL, text TEXT NOT NULL);
               INSERT INTO run VALUES (1, '2026-01-01', 5, '0.1.0');
               INSERT INTO submission VALUES (1, 1, 'ada', '00_small', 'graded', '', 2, 6, 0.5, '2026-01-01', 'abc');
               INSERT INTO mark VALUES (1, 0, 'double', 'Double', 2, 2, 'right', 'right', 2, 2, 'fine');
               PRAGMA user_version = 1;"""
        )
    for _ in range(2):
        (row,) = read_rows(book)
    assert (row.learner, row.seed, row.sandbox, row.digest) == ("ada", 5, "none", "")
    assert row.result.marks[0].points == 2 and row.result.marks[0].source == ""
