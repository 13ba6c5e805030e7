"""A class from start to end: folders in, rows in the gradebook, pages out, whatever was handed in."""

import os
import sqlite3
import subprocess
import sys

import pytest

from coursekit import cli
from coursekit.grading.course.classroom import BadClass, Options, grade_class, read_class
from coursekit.grading.course.gradebook import BadGradebook, Gradebook, Row, read_rows
from coursekit.grading.marking.result import Result
from coursekit.grading.report.files import page_name
from coursekit.grading.report.pages import write_reports

WRONG = "def double(x):\n    return np.asarray(x) ** 2"
PLAIN = Options(seed=1, workers=1, sandboxed=False)


@pytest.fixture
def folder(tmp_path, hand_in, right):
    """Seven learners: one right, one half right, and five whose files are not what they should be."""
    top = tmp_path / "class"
    hand_in(top / "ada" / "00_small.ipynb", right)
    hand_in(
        top / "bob <script>" / "00_small.ipynb", right | {"double": WRONG, "mean": "def mean(x): return 1"}
    )
    hand_in(top / "cleo" / "my homework.ipynb", right)
    (top / "dan").mkdir()
    (top / "eve").mkdir()
    (top / "eve" / "00_small.ipynb").write_text('{"nbformat": 4, "cells": [')
    hand_in(top / "flo" / "copy 1.ipynb", right)
    hand_in(top / "flo" / "copy 2.ipynb", right)
    (top / "гена").mkdir()
    (top / "гена" / "00_small.pdf").write_bytes(b"%PDF")
    (top / "stray.ipynb").write_text("{}")
    return top


def test_everybody_gets_a_row(folder, solutions, tmp_path, capsys):
    book = tmp_path / "marks" / "book.sqlite"
    args = [
        "grade",
        str(folder),
        "--gradebook",
        str(book),
        "--solutions",
        str(solutions),
        "--seed",
        "5",
        "--no-sandbox",
    ]
    assert cli.main(args) == 0
    printed = capsys.readouterr().out
    assert "7 rows in book.sqlite" in printed and "stray.ipynb" in printed
    with Gradebook(book) as gradebook:
        rows = {row.learner: row.result for row in gradebook.rows()}
    assert {name: (r.status, r.points) for name, r in rows.items()} == {
        "ada": ("graded", 6),
        "bob <script>": ("graded", 2),
        "cleo": ("graded", 6),
        "dan": ("missing", 0),
        "eve": ("broken", 0),
        "flo": ("duplicated", 0),
        "гена": ("missing", 0),
    }
    assert "was called my homework.ipynb" in rows["cleo"].notes[0]
    assert "breaks off" in rows["eve"].message
    assert "copy 1.ipynb, copy 2.ipynb" in rows["flo"].message
    assert "00_small.pdf (no readable notebook)" in rows["гена"].message
    assert all(r.possible == 6 for r in rows.values())

    assert cli.main(["report", "--gradebook", str(book), "--out", str(tmp_path / "pages")]) == 0
    overview = (tmp_path / "pages" / "index.html").read_text()
    assert "7 learners" in overview and "<script>" not in overview and "bob &lt;script&gt;" in overview
    page = (tmp_path / "pages" / page_name("bob <script>")).read_text()
    assert "2 of 6 points" in page and "at [0]" in page and "<script>" not in page
    assert "http" not in page.replace('http-equiv="', ""), "a page is complete in itself"


def test_grading_again_replaces_the_row(solutions, hand_in, right, tmp_path):
    group = tmp_path / "class"
    book = tmp_path / "book.sqlite"
    for answers, earned in (({}, 0), (right, 6)):
        hand_in(group / "ada" / "00_small.ipynb", answers)
        with Gradebook(book) as gradebook:
            list(grade_class(read_class(group, solutions), gradebook, PLAIN))
            rows = gradebook.rows()
        assert [(row.learner, row.result.points) for row in rows] == [("ada", earned)]


def test_names_that_are_no_text_get_their_row(solutions, hand_in, right, tmp_path, capsys):
    group = tmp_path / "class"
    hand_in(group / "ada" / "00_small.ipynb", right)
    for name in (b"bj\xf6rn", b"z\xff"):
        (tmp_path / "class" / os.fsdecode(name)).mkdir()
    (group / os.fsdecode(b"z\xff") / os.fsdecode(b"caf\xe9.txt")).write_text("x")
    book = tmp_path / "book.sqlite"
    assert (
        cli.main(
            ["grade", str(group), "--gradebook", str(book), "--solutions", str(solutions), "--no-sandbox"]
        )
        == 0
    )
    assert cli.main(["report", "--gradebook", str(book), "--out", str(tmp_path / "pages")]) == 0
    with Gradebook(book) as gradebook:
        assert [row.learner for row in gradebook.rows()] == ["ada", "bj\\udcf6rn", "z\\udcff"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read_gets_its_row(solutions, hand_in, right, tmp_path):
    hand_in(tmp_path / "class" / "ada" / "00_small.ipynb", right)
    (tmp_path / "class" / "bob").mkdir(mode=0)
    with Gradebook(tmp_path / "book.sqlite") as gradebook:
        graded = grade_class(read_class(tmp_path / "class", solutions), gradebook, PLAIN)
        rows = {row.learner: row.result for row in graded}
    assert rows["ada"].points == 6 and rows["bob"].status == "broken"


def test_what_cannot_be_a_class_says_so(solutions, tmp_path):
    with pytest.raises(BadClass, match="is not a folder"):
        read_class(tmp_path / "nothing", solutions)
    with pytest.raises(BadClass, match="holds no learner's folder"):
        read_class(tmp_path, solutions)
    (tmp_path / "ada").mkdir()
    with pytest.raises(BadClass, match=r"nobody in .* handed in one of: 00_small"):
        read_class(tmp_path, solutions)
    with pytest.raises(BadClass, match="no key for 99_other"):
        read_class(tmp_path, solutions, ["99_other"])
    assert len(read_class(tmp_path, solutions, ["00_small"])) == 1


def test_a_folder_too_high_or_too_low_is_recognised(solutions, hand_in, right, tmp_path):
    for week, learner in (("week1", "ada"), ("week1", "bob"), ("week2", "ada")):
        hand_in(tmp_path / "class" / week / learner / "00_small.ipynb", right)
    week = tmp_path / "class" / "week1"
    with pytest.raises(BadClass, match=rf"week1 in it does, .* so name {week} or "):
        read_class(tmp_path / "class", solutions)
    (week / "ada" / "figures").mkdir()
    with pytest.raises(BadClass, match=rf"ada holds 00_small.ipynb .* one learner's; wanted: .* {week}$"):
        read_class(week / "ada", solutions)
    (week / "eve" / "deeper").mkdir(parents=True)
    hand_in(week / "eve" / "deeper" / "00_small.ipynb", right)
    assert len(read_class(week, solutions)) == 3, "one learner with a folder in the folder is no class"
    hand_in(tmp_path / "class" / "handout" / "00_small.ipynb", right)
    assert len(read_class(tmp_path / "class", solutions)) == 3
    (week / "handed_in.csv").write_text("learner,file\n")
    with pytest.raises(BadClass, match=rf"what coursekit collect made, one folder lower; name {week}$"):
        read_class(tmp_path / "class", solutions)


def test_a_submission_is_written_whole_or_not_at_all(tmp_path, key, wanted, right, monkeypatch):
    from coursekit.grading.marking.grade import mark

    result = mark(key, {"double": right["double"]}, wanted, 7)
    book = tmp_path / "book.sqlite"
    with Gradebook(book) as gradebook:
        run = gradebook.start_run(7)
        gradebook.record(run, Row("ada", result))
        monkeypatch.setattr("coursekit.grading.course.gradebook._mark_values", lambda mark: {"task": None})
        with pytest.raises(sqlite3.Error):
            gradebook.record(run, Row("ada", result))
        monkeypatch.undo()
    with Gradebook(book) as gradebook:
        (row,) = gradebook.rows()
    assert row.result == result and row.seed == 7


def test_a_gradebook_that_is_none_is_not_written_over(tmp_path):
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE precious (x)")
    text = tmp_path / "notes.txt"
    text.write_text("my notes, which are long enough to be no database at all " * 20)
    for path in (other, text):
        before = path.read_bytes()
        with pytest.raises(BadGradebook, match=path.name):
            Gradebook(path)
        assert path.read_bytes() == before


def test_reading_a_gradebook_writes_nothing(tmp_path, monkeypatch):
    book = tmp_path / "book #1?.sqlite"
    with Gradebook(book) as gradebook:
        gradebook.record(gradebook.start_run(7), Row("ada", Result("x", "missing")))
    before = book.read_bytes()
    (tmp_path / "empty.sqlite").touch()
    for path, words in (
        ("none.sqlite", "there is no"),
        ("empty.sqlite", "is empty"),
        (".", "is a folder; name"),
    ):
        with pytest.raises(BadGradebook, match=words):
            read_rows(tmp_path / path)
    connect, opened = sqlite3.connect, []
    monkeypatch.setattr(
        sqlite3, "connect", lambda name, **how: opened.append(str(name)) or connect(name, **how)
    )
    assert [row.learner for row in read_rows(book)] == ["ada"]
    assert [name for name in opened if "book" in name] == [f"{book.as_uri()}?mode=ro"]
    assert book.read_bytes() == before and {p.name for p in tmp_path.iterdir()} == {book.name, "empty.sqlite"}


def test_what_a_killed_run_left_half_written_is_undone_to_be_read(tmp_path):
    book = tmp_path / "book.sqlite"
    with Gradebook(book) as gradebook:
        run = gradebook.start_run(7)
        gradebook.record(run, Row("ada", Result("x", "missing")))
    code = """if True:
        import os, sqlite3, sys
        db = sqlite3.connect(sys.argv[1], isolation_level=None)
        db.execute("PRAGMA cache_size = 1")
        db.execute("BEGIN")
        db.execute("UPDATE submission SET learner = 'eve'")
        numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 90000) SELECT i FROM n"
        db.execute(f"CREATE TABLE large AS {numbers}")
        os._exit(9)"""
    assert subprocess.run([sys.executable, "-c", code, str(book)]).returncode == 9
    assert (tmp_path / "book.sqlite-journal").exists()
    assert [row.learner for row in read_rows(book)] == ["ada"]


def test_a_gradebook_that_cannot_be_written_says_so(tmp_path, monkeypatch):
    book = tmp_path / "book.sqlite"
    Gradebook(book).__exit__()
    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda name, **how: connect(f"{name.as_uri()}?mode=ro", uri=True, **how)
    )
    with pytest.raises(BadGradebook, match=r"book.sqlite cannot be written \(attempt to write a readonly"):
        Gradebook(book)
    monkeypatch.undo()
    with pytest.raises(BadGradebook, match="is a folder; name a file, such as"):
        Gradebook(tmp_path)


def test_pages_of_learners_never_share_a_file():
    names = ["ada", "Ada ", "a/b", "a_b", "index", "INDEX", "гена", "лена", "", "x" * 200, "x" * 201]
    pages = {page_name(name) for name in names}
    assert len(pages) == len(names) and "index.html" not in {page.lower() for page in pages}


def test_an_empty_gradebook_still_has_an_overview(tmp_path):
    (path,) = write_reports([], tmp_path)
    assert "0 learners" in path.read_text()
