"""The command as people call it, wrongly too."""

import json
import subprocess
import sys

import pytest

from coursekit import cli
from tests.grading.conftest import write_notebook


def test_full_marks_exit_with_0(hand_in, right, solutions, tmp_path, capsys):
    path = hand_in(tmp_path / "mine.ipynb", right)
    assert cli.main(["check", str(path), "--solutions", str(solutions)]) == 0
    assert "6 of 6 points" in capsys.readouterr().out


def test_less_exits_with_1_and_says_where(hand_in, right, solutions, tmp_path, capsys):
    path = hand_in(tmp_path / "mine.ipynb", right | {"double": "def double(x):\n    return x"})
    assert cli.main(["check", str(path), "--solutions", str(solutions), "--seed", "3"]) == 1
    printed = capsys.readouterr().out
    assert "5 of 6 points" in printed and "at [0]" in printed and "--seed 3" in printed


def test_the_key_checks_itself(solutions, capsys):
    assert cli.main(["check", str(solutions / "00_small.ipynb")]) == 0
    assert "6 of 6 points" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("nothing.ipynb", None, "is not a file"),
        ("torn.ipynb", "{", "breaks off or is damaged"),
        ("other.ipynb", '{"nbformat": 4, "cells": []}', "is none of the exercises"),
    ],
)
def test_what_cannot_be_checked_exits_with_2_and_a_sentence(
    solutions, tmp_path, capsys, name, content, words
):
    if content is not None:
        (tmp_path / name).write_text(content)
    assert cli.main(["check", str(tmp_path / name), "--solutions", str(solutions)]) == 2
    error = capsys.readouterr().err
    assert words in error and len(error.splitlines()) == 1


def test_a_wrong_solutions_folder_is_named(tmp_path, capsys):
    path = write_notebook(tmp_path / "a.ipynb", [])
    assert cli.main(["check", str(path), "--solutions", str(tmp_path / "none")]) == 2
    assert "--solutions" in capsys.readouterr().err


def test_keys_that_are_none_and_seeds_that_are_none_are_named(solutions, hand_in, right, tmp_path, capsys):
    hand_in(tmp_path / "class" / "ada" / "00_small.ipynb", right)
    released = hand_in(tmp_path / "exercises" / "00_small.ipynb", {}).parent
    (tmp_path / "empty").mkdir()
    args = ["grade", str(tmp_path / "class"), "--no-sandbox", "--gradebook", str(tmp_path / "book.sqlite")]
    for options, words in (
        (["--solutions", str(released)], "holds 00_small.ipynb without its solutions, as learners get it"),
        (["--solutions", str(tmp_path / "empty")], "holds no notebook; wanted: the folder of the keys"),
        (["--solutions", str(solutions), "--seed", "-1"], "--seed -1: wanted a whole number from 0"),
        (
            ["--solutions", str(solutions), "--gradebook", str(tmp_path)],
            "is a folder; wanted: a file, such as",
        ),
        (
            ["--solutions", str(solutions), "--gradebook", str(released / "00_small.ipynb" / "b")],
            "cannot be written (",
        ),
    ):
        assert cli.main([*args, *options]) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert words in error and error.startswith("coursekit grade: ")
    assert not (tmp_path / "book.sqlite").exists()
    out = tmp_path / "empty" / "file"
    out.touch()
    for option in ("--to", "--exercises"):
        assert cli.main(["release", "--solutions", str(solutions), option, str(out / "x")]) == 2
        error = capsys.readouterr().err
        assert f"{option} {out / 'x'} cannot be written (" in error and len(error.splitlines()) == 1


def test_a_name_that_leads_out_of_the_folder_leads_nowhere(solutions, tmp_path, capsys):
    path = tmp_path / "a.ipynb"
    path.write_text(
        json.dumps({"nbformat": 4, "cells": [], "metadata": {"coursekit": {"exercise": "../../x"}}})
    )
    assert cli.main(["check", str(path), "--solutions", str(solutions)]) == 2
    assert "is none of the exercises" in capsys.readouterr().err


def test_report_without_a_gradebook(tmp_path, capsys):
    assert cli.main(["report", "--gradebook", str(tmp_path / "none.sqlite")]) == 2
    assert "there is no gradebook" in capsys.readouterr().err


def test_release_says_what_it_wrote(solutions, tmp_path, capsys):
    args = ["release", "--solutions", str(solutions), "--exercises", str(tmp_path / "out")]
    assert cli.main(args) == 0 and "wrote" in capsys.readouterr().out
    assert cli.main(args) == 0 and "is in step with" in capsys.readouterr().out


def test_the_command_is_installed_and_helps():
    done = subprocess.run([sys.executable, "-m", "coursekit", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    for command in ("doctor", "lessons", "check", "grade", "report", "release"):
        assert command in done.stdout
