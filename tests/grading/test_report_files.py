"""Where a report's pages go, which of them are deleted, and what the command says when it cannot write them."""

import csv
import os
import sqlite3

import pytest

from coursekit import cli
from coursekit.grading.course.gradebook import Gradebook
from coursekit.grading.report import files
from coursekit.grading.report.files import GENERATOR, page_name, page_names
from coursekit.grading.report.pages import write_reports
from tests.grading.test_report import HOSTILE, WRONG, Page, mark, row

LEARNERS = ("Ada Adler", "../bob", HOSTILE, "=cmd|' C calc'!A1")


def listed(folder) -> list[dict[str, str]]:
    with open(folder / "pages.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def test_the_list_says_whose_page_is_whose(tmp_path):
    paths = write_reports([row(name, WRONG) for name in LEARNERS], tmp_path, ids={"Ada Adler": "1001"})
    lines = listed(tmp_path)
    assert {line["file"] for line in lines} == {path.name for path in paths[1:]}
    (ada,) = [line for line in lines if line["learner"] == "Ada Adler"]
    assert (ada["id"], ada["file"]) == ("1001", page_name("Ada Adler")) and len(lines) == 4
    assert ada["file"].startswith("ada-adler-") and not any(line["learner"][:1] == "=" for line in lines)


def test_pages_of_learners_who_left_are_deleted_and_nothing_else(tmp_path):
    write_reports([row(name, WRONG) for name in (*LEARNERS, "ada", "bob")], tmp_path / "out")
    notes = tmp_path / "out" / f"notes-{'0' * 12}.html"
    notes.write_text("<title>my own</title>")
    (tmp_path / "out" / "my.html").write_text(GENERATOR)
    outside = tmp_path / f"outside-{'0' * 12}.html"
    outside.write_text(GENERATOR)
    link = tmp_path / "out" / f"link-{'0' * 12}.html"
    link.symlink_to(outside)
    with open(tmp_path / "out" / "pages.csv", "a", encoding="utf-8") as file:
        for name in (notes.name, "my.html", f"../{outside.name}", link.name, "index.html", "gone.html"):
            file.write(f"someone,,{name}\n")
    write_reports([row("ada", WRONG)], tmp_path / "out")
    kept = {path.name for path in (tmp_path / "out").iterdir()}
    assert kept == {"index.html", "pages.csv", page_name("ada"), notes.name, "my.html", link.name}
    assert outside.exists() and [line["learner"] for line in listed(tmp_path / "out")] == ["ada"]


@pytest.mark.parametrize("text", ["name,mail\nada,a@example.org\n", 'learner,id,file\n"ada', "\udcff"])
def test_a_list_that_is_none_is_left_alone(tmp_path, text):
    (tmp_path / "pages.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(files.BadReports, match=r"pages\.csv.*name another folder with --out"):
        write_reports([row("ada", WRONG)], tmp_path)
    assert (tmp_path / "pages.csv").read_bytes() == text.encode("utf-8", "surrogateescape")
    assert len(list(tmp_path.iterdir())) == 1


def test_names_made_to_share_a_digest_do_not_share_a_page(monkeypatch):
    monkeypatch.setattr(files, "page_name", lambda a, digits=1: page_name(a, digits)[:60])
    names = page_names([f"x{'!' * n}" for n in range(40)])
    assert len(set(names.values())) == 40 and min(map(len, names.values())) < 10 < max(
        map(len, names.values())
    )


# The command


@pytest.fixture
def book(tmp_path):
    """A gradebook of two learners in a folder that no course.toml stands above."""
    path = tmp_path / "marks" / "book.sqlite"
    with Gradebook(path) as gradebook:
        run = gradebook.start_run(1, "bubblewrap")
        for name in ("ada", "bob"):
            gradebook.record(run, row(name, mark("right", 4, 4)))
    return path


def report(book, *options) -> int:
    return cli.main(
        ["report", "--gradebook", str(book), "--out", str(book.parent / "out"), *map(str, options)]
    )


def refusal(capsys) -> str:
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_it_says_which_course_counted(book, capsys, monkeypatch):
    monkeypatch.chdir(book.parent)
    assert report(book) == 0
    assert "No course.toml was found, so no due times count" in capsys.readouterr().out
    course = book.parent / "course.toml"
    course.write_text('title = "x"\n')
    assert report(book) == 0 and f"{course} has no due times" in capsys.readouterr().out
    course.write_text('[due]\n"00_small" = 2026-12-01\n')
    assert report(book) == 0 and f"the late rule are those of {course}" in capsys.readouterr().out
    course.write_text('[due]\n"00_smal" = 2026-12-01\n')
    assert report(book) == 0 and "perhaps '00_small' was meant" in capsys.readouterr().err


def test_an_empty_gradebook_overwrites_nothing(book, tmp_path, capsys):
    assert report(book) == 0
    before = {path.name: path.read_bytes() for path in (book.parent / "out").iterdir()}
    with Gradebook(tmp_path / "empty.sqlite"):
        pass
    capsys.readouterr()
    assert report(tmp_path / "empty.sqlite", "--out", book.parent / "out") == 2
    assert "holds no marks, so no page was written" in refusal(capsys)
    assert before == {path.name: path.read_bytes() for path in (book.parent / "out").iterdir()}


def test_a_folder_that_cannot_be_written_is_named(book, capsys):
    (book.parent / "file").write_text("mine")
    assert report(book, "--out", book.parent / "file") == 2
    assert "is a file; wanted: a folder" in refusal(capsys)
    assert report(book, "--out", book.parent / "file" / "in") == 2
    assert "cannot be written" in refusal(capsys) and (book.parent / "file").read_text() == "mine"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_named(book, capsys):
    (book.parent / "out").mkdir(mode=0o500)
    assert report(book) == 2 and "cannot be written" in refusal(capsys)


@pytest.mark.parametrize("command", ["report", "similar"])
def test_a_damaged_gradebook_is_named(book, capsys, command):
    with sqlite3.connect(book) as db:
        root, size = (
            db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'submission'").fetchone(),
            4096,
        )
        assert db.execute("PRAGMA page_size").fetchone() == (size,)
    with book.open("r+b") as file:
        file.seek((root[0] - 1) * size)
        file.write(b"\xff" * size)
    assert cli.main([command, "--gradebook", str(book)]) == 2
    assert f"{book} is damaged (" in refusal(capsys)


def test_it_tells_of_the_pages_that_it_deleted(book, capsys):
    assert report(book) == 0 and "Deleted" not in capsys.readouterr().out
    with sqlite3.connect(book) as db:
        db.execute("DELETE FROM submission WHERE learner = 'bob'")
    assert report(book) == 0 and "no longer in the gradebook: 1 old page" in capsys.readouterr().out


def test_the_numbers_come_from_what_was_collected(book, tmp_path, capsys):
    assert report(book, "--collected", tmp_path) == 2 and "has no handed_in.csv" in refusal(capsys)
    (tmp_path / "handed_in.csv").write_text(
        "learner,file,handed_in,lms,lms_id,name,source\nada,,,moodle,1001,Ada Adler,x\nbob,,,moodle,,Bob,x\n"
    )
    assert report(book, "--collected", tmp_path) == 0
    assert {line["learner"]: line["id"] for line in listed(book.parent / "out")} == {"ada": "1001", "bob": ""}


def test_exercises_are_called_by_their_titles(book, solutions):
    assert report(book, "--solutions", solutions) == 0
    for name in ("index.html", page_name("ada")):
        assert "A small exercise (00_small)" in Page((book.parent / "out" / name).read_text()).text
