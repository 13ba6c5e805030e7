"""From a download to a class's folder: whose is what, whatever it is called, and nothing lost or let out."""

import bz2
import csv
import json
import os
import struct
import unicodedata
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coursekit import cli
from coursekit.grading.collecting import downloads
from coursekit.grading.collecting.collect import BadCollection, collect, read_handed_in
from coursekit.grading.collecting.downloads import BadDownload
from coursekit.grading.course.classroom import read_class
from coursekit.grading.course.names import recognise, safe_file, safe_name, split_flat, unique
from coursekit.grading.course.settings import Course
from coursekit.grading.course.sheets import BadSheet, guard, sheet, unguard
from coursekit.grading.exercise.submission import find

MOODLE = "_assignsubmission_file/"
NOON = (2026, 12, 1, 12, 0, 0)


def notebook(exercise: str | None = "00_small", text: str = "") -> str:
    metadata = {"coursekit": {"exercise": exercise}} if exercise else {}
    cell = {"cell_type": "markdown", "id": "a", "metadata": {}, "source": text}
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": [cell]})


def pack(path: Path, files: dict[str, str | bytes | tuple], when=NOON) -> Path:
    """A zip archive; a file may be a pair of content and time."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            content, time = content if isinstance(content, tuple) else (content, when)
            info = zipfile.ZipInfo(name, time)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return path


def lay(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return folder


@pytest.fixture
def take(tmp_path):
    """Collect files, packed as a zip archive, into one folder; returns what is then in it, and what was said."""
    count = iter(range(100))

    def run(files, when=NOON, **options):
        archive = pack(tmp_path / f"download-{next(count)}.zip", files, when)
        return tree(tmp_path / "class", collect(archive, tmp_path / "class", **options))

    return run


class Tree(dict):
    """Texts by path, with what collecting said beside them."""

    said: object = None

    def remarks(self, learner):
        return "; ".join(next(who.remarks for who in self.said.learners if who.name == learner))

    def passed(self, source):
        return dict(self.said.passed_over)[source]


def tree(folder: Path, said=None) -> Tree:
    paths = [p for p in folder.rglob("*") if p.is_file() and p.name != "handed_in.csv"]
    found = Tree(sorted((str(p.relative_to(folder)), p.read_text()) for p in paths))
    found.said = said
    return found


def records(folder: Path) -> list[dict[str, str]]:
    with (folder / "handed_in.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# What platforms call it


@pytest.mark.parametrize(
    ("path", "who", "file"),
    [
        (
            "Ada Lovelace_1234567_assignsubmission_file_/x.ipynb",
            ("moodle", "1234567", "Ada Lovelace"),
            "x.ipynb",
        ),
        (
            "Ada Lovelace_1234567_assignsubmission_file/x.ipynb",
            ("moodle", "1234567", "Ada Lovelace"),
            "x.ipynb",
        ),
        (
            "Ada Lovelace_1234567_assignsubmission_file_x.ipynb",
            ("moodle", "1234567", "Ada Lovelace"),
            "x.ipynb",
        ),
        ("Ada_12_assignsubmission_file_/deep/er/x.ipynb", ("moodle", "12", "Ada"), "x.ipynb"),
        ("Ada_12_assignsubmission_onlinetext/onlinetext.html", ("moodle", "12", "Ada"), "onlinetext.html"),
        ("Ada_12_assignsubmission_file_my_file_2.ipynb", ("moodle", "12", "Ada"), "my_file_2.ipynb"),
        ("Team 4_assignsubmission_file_/x.ipynb", ("moodle", "", "Team 4"), "x.ipynb"),
        ("Participant_99_assignsubmission_file/x.ipynb", ("moodle", "99", "Participant"), "x.ipynb"),
        ("lovelaceada_12345_678901_01_x.ipynb", ("canvas", "12345", "lovelaceada"), "01_x.ipynb"),
        ("lovelaceada_LATE_12345_678901_01_x-1.ipynb", ("canvas", "12345", "lovelaceada"), "01_x-1.ipynb"),
        ("o_brien_12345_678901_x_1_2.ipynb", ("canvas", "12345", "o_brien"), "x_1_2.ipynb"),
        ("мария_12345_678901_x.ipynb", ("canvas", "12345", "мария"), "x.ipynb"),
        ("lovelaceada_12345_text.html", ("canvas", "12345", "lovelaceada"), "text.html"),
        ("anon_k3x9z_678901_x.ipynb", ("canvas", "", "anon_k3x9z"), "x.ipynb"),
        ("LATE_anon_k3x9z_678901_x.ipynb", ("canvas", "", "anon_k3x9z"), "x.ipynb"),
        ("ada/x.ipynb", ("", "", "ada"), "x.ipynb"),
        ("ada_01_x.ipynb", None, "ada_01_x.ipynb"),
        ("ada_1_2_x.ipynb", None, "ada_1_2_x.ipynb"),
        ("x.ipynb", None, "x.ipynb"),
        # What a learner chose comes after what the platform wrote, and is not asked.
        (
            "Eve_1_assignsubmission_file_/Ada_2_assignsubmission_file_/x.ipynb",
            ("moodle", "1", "Eve"),
            "x.ipynb",
        ),
        (
            "Eve_1_assignsubmission_file_Ada_2_assignsubmission_file_x.ipynb",
            ("moodle", "1", "Eve"),
            "Ada_2_assignsubmission_file_x.ipynb",
        ),
        ("eve_11111_222222_ada_33333_444444_x.ipynb", ("canvas", "11111", "eve"), "ada_33333_444444_x.ipynb"),
        ("eve/Ada_2_assignsubmission_file_x.ipynb", ("", "", "eve"), "Ada_2_assignsubmission_file_x.ipynb"),
    ],
)
def test_whose_it_is(path, who, file):
    origin = recognise(tuple(path.split("/")))
    assert origin.file == file
    found = origin.person and (origin.person.lms, origin.person.lms_id, origin.person.name)
    assert found == who and origin.is_late == ("LATE" in path)


def test_a_moodle_download_can_be_graded(take, tmp_path, solutions, key):
    found = take(
        {
            "Ada Lovelace_11_assignsubmission_file_/00_small.ipynb": notebook(),
            "Bob_12_assignsubmission_file/my homework.ipynb": notebook(),
            "Bob_12_assignsubmission_onlinetext/onlinetext.html": "<p>see file</p>",
            "Zoë Übel_13_assignsubmission_file_00_small.ipynb": notebook(),
            "Dan_14_assignsubmission_onlinetext/onlinetext.html": "<p>my answers</p>",
        }
    )
    group = read_class(tmp_path / "class", solutions, ["00_small"])
    assert [path.name for path in group.learners] == ["Ada Lovelace", "Bob", "Dan", "Zoë Übel"]
    status = {path.name: find(path, key).status for path in group.learners}
    assert status == {"Ada Lovelace": "found", "Bob": "found", "Dan": "missing", "Zoë Übel": "found"}
    assert found.remarks("Dan") == "no notebook came" and found.remarks("Ada Lovelace") == ""
    assert "is no notebook" in found.passed("Bob_12_assignsubmission_onlinetext/onlinetext.html")
    rows = {row["learner"]: row for row in records(tmp_path / "class")}
    assert rows["Bob"]["lms_id"] == "12" and rows["Bob"]["source"].startswith("Bob_12_")
    assert rows["Dan"]["file"] == "" and rows["Dan"]["lms_id"] == "14"


def test_a_canvas_download(take):
    found = take(
        {
            "lovelaceada_11_1001_00_small-1.ipynb": notebook(text="again"),
            "hopper_LATE_12_1002_00_small.ipynb": notebook(),
            "turing_13_text.html": "my answers",
            "anon_k3x9z_1004_00_small.ipynb": notebook(),
        }
    )
    names = ["anon_k3x9z/00_small.ipynb", "hopper/00_small.ipynb", "lovelaceada/00_small.ipynb"]
    assert list(found) == names
    assert found.remarks("hopper") == "Canvas marked 00_small.ipynb as late"
    assert found.remarks("turing") == "no notebook came"


def test_an_attempt_of_canvas_keeps_its_number_where_it_means_something(take):
    found = take(
        {
            "ada_11_1001_part-1.ipynb": notebook(text="one"),
            "ada_11_1002_part-2.ipynb": notebook(text="two"),
            "bob_12_1003_lab-2.ipynb": notebook("lab-2"),
            "bob_12_1004_lab-3-1.ipynb": notebook("lab-3"),
        }
    )
    assert list(found) == ["ada/part-1.ipynb", "ada/part-2.ipynb", "bob/lab-2.ipynb", "bob/lab-3.ipynb"]
    assert "part-1.ipynb and part-2.ipynb all claim to be 00_small" in found.remarks("ada")


def test_plain_folders_and_flat_files(tmp_path):
    lay(
        tmp_path / "in",
        {
            "ada/00_small.ipynb": notebook(),
            "bob/deep/00_small.IPYNB": notebook(),
            "cleo_00_small.ipynb": notebook(),
            "dan_de_00_small.ipynb": notebook(),
            "eve_mine.ipynb": "{",
            "flo/notes.txt": "x",
            ".DS_Store": "x",
            "__MACOSX/ada/._00_small.ipynb": "x",
            "ada/.ipynb_checkpoints/00_small-checkpoint.ipynb": notebook(),
            "nobody.ipynb": notebook(),
        },
    )
    (tmp_path / "in" / "gus").mkdir()
    said = collect(tmp_path / "in", tmp_path / "class")
    assert list(tree(tmp_path / "class")) == [
        "ada/00_small.ipynb",
        "bob/00_small.ipynb",
        "cleo/00_small.ipynb",
        "dan_de/00_small.ipynb",
        "eve/mine.ipynb",
    ]
    assert [who.name for who in said.learners] == ["ada", "bob", "cleo", "dan_de", "eve", "flo", "gus"]
    assert dict(said.passed_over).keys() == {"flo/notes.txt", "nobody.ipynb"}


@pytest.mark.parametrize(
    ("file", "exercise", "known", "parted"),
    [
        ("ada_01_x.ipynb", None, (), ("ada", "01_x.ipynb")),
        ("ada_01_x.ipynb", "01_x", (), ("ada", "01_x.ipynb")),
        ("a_b_01_x.ipynb", "01_x", (), ("a_b", "01_x.ipynb")),
        ("a_b_c.ipynb", None, ("a", "A_B"), ("a_b", "c.ipynb")),
        ("_x.ipynb", None, (), None),
        ("x.ipynb", "x", ("x",), None),
    ],
)
def test_flat_names_are_taken_apart(file, exercise, known, parted):
    assert split_flat(file, exercise, known) == parted


@pytest.mark.parametrize(
    "files",
    [
        ["CS101-Homework 1-77/Ada_1_assignsubmission_file_/x.ipynb"],
        ["submissions/ada_11_1001_x.ipynb"],
        ["class/Ada/x.ipynb", "class/Bob/x.ipynb"],
    ],
)
def test_a_folder_around_everything_says_nothing(take, files):
    found = take(dict.fromkeys(files, notebook()))
    assert "Ada" in " ".join(found) or list(found) == ["ada/x.ipynb"]
    assert len(found.said.learners) == len(files)


def test_one_learner_alone_is_no_folder_around_everything(take):
    assert list(take({"ada/x.ipynb": notebook(), "ada/y.ipynb": notebook("y")})) == [
        "ada/x.ipynb",
        "ada/y.ipynb",
    ]


def test_a_flat_file_named_like_its_exercise_is_nobodys(tmp_path):
    files = {"00_small.ipynb": notebook(), "00_small (2).ipynb": notebook(), "00_small_ada.ipynb": notebook()}
    files |= {"01_x.ipynb": notebook(None), "bob_01_x.ipynb": notebook(None)}
    archive = pack(tmp_path / "in.zip", files)
    done = collect(archive, tmp_path / "class", Course(due={"01_x": datetime(2026, 12, 1, tzinfo=UTC)}))
    assert [(who.name, who.files) for who in done.learners] == [("bob", ("01_x.ipynb",))]
    assert set(dict(done.passed_over)) == set(files) - {"bob_01_x.ipynb"}
    assert "named like its exercise" in dict(done.passed_over)["00_small.ipynb"]
    with pytest.raises(BadCollection, match="nothing that names a learner"):
        collect(pack(tmp_path / "one.zip", {"00_small.ipynb": notebook()}), tmp_path / "other")


def test_nothing_that_names_a_learner(take, tmp_path):
    with pytest.raises(BadCollection, match="holds nothing that names a learner; wanted: a Moodle or Canvas"):
        take({"x.ipynb": notebook()})
    assert not (tmp_path / "class").exists()


# Two of one name


def test_namesakes_of_one_download_have_folders_of_their_own(take):
    found = take({f"Ada_{n}_assignsubmission_file/x.ipynb": notebook(text=str(n)) for n in (1, 2)})
    assert list(found) == ["Ada 1/x.ipynb", "Ada 2/x.ipynb"]
    assert found.remarks("Ada 1") == "is 'Ada', number 1 in the download"
    assert '"1"' in found["Ada 1/x.ipynb"] and '"2"' in found["Ada 2/x.ipynb"]


def test_names_that_differ_in_case_or_in_what_a_disk_refuses_do_not_meet(take):
    names = ["Ada", "ada", "ab:c", "ab?c", "CON", "Zoe\N{COMBINING DIAERESIS}", "x" * 150, "x" * 151]
    found = take({f"{name}/x.ipynb": notebook(text=name) for name in names})
    assert len(found) == len(names) and len({path.casefold() for path in found}) == len(names)
    again = take({f"{name}/x.ipynb": notebook(text=name) for name in names})
    assert again == found


def test_blind_participants_are_told_apart_by_number(take):
    assert list(take({"Participant_7_assignsubmission_file/x.ipynb": notebook()})) == [
        "Participant 7/x.ipynb"
    ]


def test_moodle_counts_anew_in_each_assignment(take):
    take(
        {
            "Ada_1_assignsubmission_file/x.ipynb": notebook("x"),
            "Bob_2_assignsubmission_file/x.ipynb": notebook("x"),
        }
    )
    found = take({"Ada_8_assignsubmission_file/y.ipynb": notebook("y")})
    assert list(found) == ["Ada/x.ipynb", "Ada/y.ipynb", "Bob/x.ipynb"]


def test_another_number_for_the_same_exercise_is_somebody_else(take):
    take({"Ada_1_assignsubmission_file/x.ipynb": notebook("x"), "Ada_3_assignsubmission_file/y.ipynb": "{"})
    take({"Bob_5_assignsubmission_file/x.ipynb": notebook("x")})
    take({"Bob_6_assignsubmission_file/y.ipynb": notebook("y")})
    found = take({"Bob_7_assignsubmission_file/x.ipynb": notebook("x", "a namesake")})
    assert [path for path in found if path.startswith("Bob")] == [
        "Bob 7/x.ipynb",
        "Bob/x.ipynb",
        "Bob/y.ipynb",
    ]


def test_where_two_could_be_meant_nobody_is(take):
    take({"Ada_1_assignsubmission_file/x.ipynb": notebook("x")})
    take({f"Ada_{n}_assignsubmission_file/y.ipynb": notebook("y") for n in (8, 9)})
    found = take({"Ada_15_assignsubmission_file/z.ipynb": notebook("z")})
    assert list(found) == ["Ada 15/z.ipynb", "Ada 8/y.ipynb", "Ada 9/y.ipynb", "Ada/x.ipynb"]


def test_a_folder_is_given_to_one_person_of_a_download(take):
    take({"Ada_1_assignsubmission_file/x.ipynb": notebook("x")})
    found = take(
        {
            "Countess_1_assignsubmission_file/x.ipynb": notebook("x", "renamed"),
            "Ada_9_assignsubmission_file/y.ipynb": notebook("y"),
        }
    )
    assert list(found) == ["Ada 9/y.ipynb", "Ada/x.ipynb", "Ada/x.ipynb.~1~"]


def test_two_numbers_of_canvas_are_two_people(take):
    take({"ada_11_1001_x.ipynb": notebook("x")})
    found = take({"ada_12_1002_y.ipynb": notebook("y")})
    assert list(found) == ["ada 12/y.ipynb", "ada/x.ipynb"]


def test_a_number_is_the_same_learner_under_a_new_name(take):
    take({"Ada Byron_1_assignsubmission_file/x.ipynb": notebook(text="1")})
    found = take({"Ada Lovelace_1_assignsubmission_file/x.ipynb": notebook(text="2")})
    assert list(found) == ["Ada Byron/x.ipynb", "Ada Byron/x.ipynb.~1~"]


def test_two_files_of_one_name_in_one_submission(take):
    found = take(
        {
            f"Ada_1{MOODLE}a/x.ipynb": notebook("x", "1"),
            f"Ada_1{MOODLE}b/X.ipynb": notebook("x", "2"),
            f"Ada_1{MOODLE}c/x.ipynb": notebook("x", "3"),
        }
    )
    assert list(found) == ["Ada/X-2.ipynb", "Ada/x-3.ipynb", "Ada/x.ipynb"]


# Again


def test_the_same_again_changes_nothing(take, tmp_path):
    files = {
        "Ada_1_assignsubmission_file/x.ipynb": notebook(),
        "bob/y.ipynb": notebook("y"),
        "cleo/z.txt": "x",
    }
    first = take(files)
    before = (tmp_path / "class" / "handed_in.csv").read_bytes()
    assert take(files) == first
    assert (tmp_path / "class" / "handed_in.csv").read_bytes() == before


def test_what_comes_later_stands_in_front_and_nothing_is_lost(take, tmp_path, key):
    for text in "123":
        found = take(
            {f"Ada_1{MOODLE}00_small.ipynb": notebook(text=text), f"Bob_2{MOODLE}x.ipynb": notebook("x")}
        )
    assert list(found) == [
        *("Ada/00_small.ipynb", "Ada/00_small.ipynb.~1~", "Ada/00_small.ipynb.~2~", "Bob/x.ipynb")
    ]
    assert ['"3"' in found["Ada/00_small.ipynb"], '"1"' in found["Ada/00_small.ipynb.~1~"]] == [True, True]
    assert "00_small.ipynb replaces 00_small.ipynb, which is kept as 00_small.ipynb.~2~" in found.remarks(
        "Ada"
    )
    assert find(tmp_path / "class" / "Ada", key).message == "", "the grader sees one claim"


@pytest.mark.parametrize(
    ("first", "second", "front"),
    [
        ("ada/00_small.ipynb", "ada/final.ipynb", "ada/final.ipynb"),  # another name, the same exercise
        ("ada_11_1001_00_small.ipynb", "ada_11_2001_00_small-1.ipynb", "ada/00_small.ipynb"),
        (f"ada_1{MOODLE}a.ipynb", f"ada_1{MOODLE}b.ipynb", "ada/b.ipynb"),
    ],
)
def test_a_second_attempt_replaces_the_first_whatever_it_is_called(take, tmp_path, key, first, second, front):
    take({first: notebook(text="1")})
    found = take({second: notebook(text="2")})
    assert '"2"' in found[front] and sum(path.endswith(".ipynb") for path in found) == 1
    assert '"1"' in found[next(path for path in found if path.endswith(".~1~"))]
    assert find(tmp_path / "class" / "ada", key).path.name == Path(front).name
    assert [row["file"] for row in records(tmp_path / "class")] == [Path(front).name]


def test_of_one_moodle_number_only_what_it_has_now_counts(take):
    take({f"Ada_1{MOODLE}a.ipynb": notebook(None), f"Ada_2{MOODLE}other.ipynb": notebook("other")})
    found = take({f"Ada_1{MOODLE}b.ipynb": notebook(None)})
    assert list(found) == ["Ada 1/a.ipynb.~1~", "Ada 1/b.ipynb", "Ada 2/other.ipynb"]


def test_an_older_one_does_not_replace_a_newer(take):
    late, early = (2026, 12, 3, 12, 0, 0), (2026, 12, 1, 12, 0, 0)
    take({"ada/x.ipynb": (notebook("x", "new"), late)})
    found = take({"ada/x.ipynb": (notebook("x", "old"), early)})
    assert list(found) == ["ada/x.ipynb"] and "new" in found["ada/x.ipynb"]
    assert found.remarks("ada") == "ada/x.ipynb is older than x.ipynb, which stays"
    assert len(take({"ada/x.ipynb": (notebook("x", "newest"), (2026, 12, 4, 12, 0, 0))})) == 2


def test_what_others_put_there_is_kept(take, tmp_path):
    lay(
        tmp_path / "class",
        {"ada/x.ipynb": notebook("x", "by hand"), "ada/notes.md": "mine", "eve/y.ipynb": "{}"},
    )
    found = take({"ada/x.ipynb": notebook("x", "new")})
    assert "by hand" in found["ada/x.ipynb.~1~"] and "new" in found["ada/x.ipynb"]
    assert found["ada/notes.md"] == "mine" and found["eve/y.ipynb"] == "{}"


def test_a_link_in_the_class_is_not_followed(take, tmp_path):
    outside = lay(tmp_path / "outside", {"x.ipynb": "precious"})
    (tmp_path / "class").mkdir()
    (tmp_path / "class" / "ada").symlink_to(outside)
    lay(tmp_path / "class", {"bob/z": ""})
    (tmp_path / "class" / "bob" / "x.ipynb").symlink_to(outside / "x.ipynb")
    found = take({f"{name}/x.ipynb": notebook() for name in ("ada", "bob", "cleo")})
    assert (outside / "x.ipynb").read_text() == "precious" and len(list(outside.iterdir())) == 1
    assert dict(found.said.passed_over).keys() == {"ada", "bob"} and "cleo/x.ipynb" in found


# What means harm


def test_an_archive_leads_nowhere_else(take, tmp_path):
    evil = [
        "../../evil.ipynb",
        "/evil.ipynb",
        "\\evil.ipynb",
        "C:evil.ipynb",
        "ada/../../evil.ipynb",
        "..\\evil.ipynb",
    ]
    found = take(dict.fromkeys([*evil, "ada/x.ipynb", "bob\\x.ipynb"], notebook()))
    assert list(found) == ["ada/x.ipynb", "bob/x.ipynb"]
    assert {source for source, why in found.said.passed_over if "leads out" in why} == set(evil)
    assert not list(tmp_path.rglob("*evil*"))


def broken_archive(path: Path) -> Path:
    """Six learners whose notebooks are no use, each for a reason of its own, and one whose is."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        link = zipfile.ZipInfo("link/x.ipynb", NOON)
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("damaged/x.ipynb", notebook(text="damage me " * 50), zipfile.ZIP_STORED)
        archive.writestr("secret/x.ipynb", notebook())
        archive.writestr("large/x.ipynb", b"0" * (20_000_001))
        archive.writestr("liar/x.ipynb", b"0" * (20_000_002))
        archive.writestr("other/x.ipynb", notebook(), zipfile.ZIP_BZIP2)
        archive.writestr("good/x.ipynb", notebook())
    data = bytearray(path.read_bytes())
    at = data.index(b"damage me")
    data[at : at + 9] = b"DAMAGE ME"
    for sign, flags, size in ((b"PK\x03\x04", 6, 22), (b"PK\x01\x02", 8, 24)):
        for name in (b"secret/x.ipynb", b"liar/x.ipynb"):
            start = data.rindex(sign, 0, data.index(name) if sign == b"PK\x03\x04" else data.rindex(name))
            if name.startswith(b"secret"):
                data[start + flags] |= 1
            else:
                data[start + size : start + size + 4] = struct.pack("<I", 100)
    path.write_bytes(data)
    return path


def test_each_broken_file_costs_one_learner_only(tmp_path):
    said = collect(broken_archive(tmp_path / "x.zip"), tmp_path / "class")
    why = {source.partition("/")[0]: reason for source, reason in said.passed_over}
    assert list(tree(tmp_path / "class")) == ["good/x.ipynb"]
    assert why.keys() == {"link", "damaged", "secret", "large", "liar", "other"}
    assert (
        "is a link" in why["link"] and "it is damaged" in why["damaged"] and why["secret"] == "is encrypted"
    )
    assert why["large"].startswith("has more than 20 MB") and "packed in a way" in why["other"]
    assert "it is damaged" in why["liar"]
    assert [who.name for who in said.learners] == sorted([*why, "good"]), (
        "everybody has a row, and a folder to grade"
    )


def test_a_download_has_a_limit_as_a_whole(take, monkeypatch):
    monkeypatch.setattr(downloads, "MAX_TOTAL_MB", 0.001)
    found = take({f"{name}/x.ipynb": notebook(text="x" * 400) for name in "abc"})
    assert list(found) == ["a/x.ipynb"] and "comes after" in found.passed("b/x.ipynb")
    monkeypatch.setattr(downloads, "MAX_ENTRIES", 2)
    with pytest.raises(BadDownload, match="more than 2 files"):
        take(dict.fromkeys(["a/x.ipynb", "b/x.ipynb", "c/x.ipynb"], notebook()))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no", bz2.compress(b"x"), b"%PDF"])
def test_what_is_no_archive_says_so(tmp_path, content):
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(BadDownload, match="is not a zip archive that can be read"):
        collect(tmp_path / "x.zip", tmp_path / "class")
    with pytest.raises(BadDownload, match="neither a folder nor a file"):
        collect(tmp_path / "none.zip", tmp_path / "class")


def test_links_and_pipes_in_a_folder_are_passed_over(tmp_path):
    secret = lay(tmp_path / "secret", {"x.ipynb": notebook(text="secret")})
    lay(tmp_path / "in", {"ada/x.ipynb": notebook(), "bob/y.txt": "x"})
    (tmp_path / "in" / "bob" / "x.ipynb").symlink_to(secret / "x.ipynb")
    (tmp_path / "in" / "cleo").symlink_to(secret)
    os.mkfifo(tmp_path / "in" / "ada" / "pipe.ipynb")
    said = collect(tmp_path / "in", tmp_path / "class")
    why = dict(said.passed_over)
    assert list(tree(tmp_path / "class")) == ["ada/x.ipynb"]
    assert (
        "is a link" in why["bob/x.ipynb"]
        and "is a link" in why["cleo"]
        and "no ordinary" in why["ada/pipe.ipynb"]
    )


def test_the_class_may_not_be_a_part_of_the_download(tmp_path):
    lay(tmp_path / "in", {"ada/x.ipynb": notebook()})
    for folder in (tmp_path / "in", tmp_path / "in" / "class"):
        with pytest.raises(BadCollection, match="is a part of"):
            collect(tmp_path / "in", folder)


def test_names_that_are_no_text(tmp_path):
    lay(tmp_path / "in", {"ada/x.ipynb": notebook()})
    for name in (b"bj\xf6rn", b"bj\xf8rn"):
        place = tmp_path / "in" / os.fsdecode(name)
        place.mkdir()
        (place / os.fsdecode(b"caf\xe9.ipynb")).write_text(notebook())
    first = tree(tmp_path / "class", collect(tmp_path / "in", tmp_path / "class"))
    assert len(first) == 3 and all(path.isprintable() for path in first)
    assert tree(tmp_path / "class", collect(tmp_path / "in", tmp_path / "class")) == first


LETTERS = st.text(
    st.sampled_from("ab_-. /\\:1é*\n\t\0=+@~'\"\u202e\u200b\ud800🙂漢") | st.characters(), max_size=130
)


@given(LETTERS)
def test_a_safe_name_is_one(text):
    name = safe_name(text)
    assert name and name == safe_name(name) == unicodedata.normalize("NFC", name)
    assert len(name) <= 100 and len(name.encode()) <= 200 and name.isprintable()
    assert not set(name) & set('/\\:*?"<>|') and name[0] not in ".-=+@~ " and name[-1] not in ". "
    assert name.split(".")[0].strip().upper() not in {"CON", "NUL", "COM1", "LPT9", "AUX", "PRN"}


@pytest.mark.parametrize(
    "name", ["Ada Lovelace", "Zoë Übel-Åse", "李小龙", "O'Brien, Pat", "мария", "01_complexity", "محمد"]
)
def test_readable_names_stay(name):
    assert safe_name(name) == name


@pytest.mark.parametrize(
    ("file", "safe"),
    [
        ("01_complexity.ipynb", "01_complexity.ipynb"),
        ("X.IPYNB", "X.ipynb"),
        (".ipynb", "notebook.ipynb"),
        ("...ipynb", "notebook.ipynb"),
        ("nul.ipynb", "_nul.ipynb"),
        ("a/b\x00.ipynb", "a_b.ipynb"),
        ("漢" * 120 + ".ipynb", "漢" * 60 + ".ipynb"),
    ],
)
def test_a_notebook_keeps_its_ending(file, safe):
    assert safe_file(file) == safe


def test_a_learner_cannot_take_the_place_of_the_record(take, tmp_path):
    found = take({"handed_in.csv/x.ipynb": notebook(), "HANDED_IN.CSV/x.ipynb": notebook()})
    assert len(found) == 2 and (tmp_path / "class" / "handed_in.csv").is_file()


@given(st.lists(LETTERS.map(safe_name), max_size=12), st.sampled_from(["", "12345"]))
def test_unique_names_are_unique(names, mark):
    taken = []
    for name in names:
        taken.append(unique(name, taken, mark))
    assert len({name.casefold() for name in taken}) == len(names)
    assert all(name == safe_name(name) for name in taken)


PART = st.text(st.sampled_from("ab_1 é=/\\"), min_size=1, max_size=12)
PATHS = st.tuples(PART, st.sampled_from(["/", "_1_assignsubmission_file/", "_11_1001_", "_"]), PART)


@settings(max_examples=60, deadline=None)
@given(files=st.lists(PATHS.map("".join), min_size=1, max_size=8, unique=True), again=st.booleans())
def test_every_notebook_is_collected_or_passed_over(files, again, tmp_path_factory):
    top = tmp_path_factory.mktemp("fuzz")
    pack(top / "in.zip", {f"{name}x.ipynb": notebook(None, f"<{n}>") for n, name in enumerate(files)})
    try:
        for _ in range(1 + again):
            said = collect(top / "in.zip", top / "class")
    except BadCollection as error:
        assert "names a learner" in str(error)
        return
    texts = " ".join(tree(top / "class").values())
    assert sum(f"<{n}>" in texts for n in range(len(files))) + len(said.passed_over) == len(files)
    assert {path.name for path in top.iterdir()} == {"in.zip", "class"}
    assert all(len(path.relative_to(top / "class").parts) <= 2 for path in (top / "class").rglob("*"))


# When


def test_times_of_packing_are_no_times(take, tmp_path):
    found = take(
        {"Ada_1_assignsubmission_file/x.ipynb": notebook(), "Bob_2_assignsubmission_file/x.ipynb": notebook()}
    )
    assert not found.said.has_times and read_handed_in(tmp_path / "class") == {}
    found = take({"Ada_1_assignsubmission_file/x.ipynb": notebook()}, trust_times=True)
    assert found.said.has_times
    assert read_handed_in(tmp_path / "class") == {("Ada", "x.ipynb"): datetime(2026, 12, 1, 12, tzinfo=UTC)}


def test_times_that_differ_are_kept_in_the_zone_of_the_course(take, tmp_path):
    berlin = Course(zone=ZoneInfo("Europe/Berlin"))
    files = {
        f"Ada_1{MOODLE}x.ipynb": (notebook(), (2026, 7, 1, 23, 30, 0)),
        f"Bob_2{MOODLE}x.ipynb": (notebook(), (2026, 12, 1, 9, 0, 2)),
        f"Cleo_3{MOODLE}x.ipynb": (notebook(), (1980, 1, 1, 0, 0, 0)),
    }
    assert take(files, course=berlin).said.has_times
    assert [row["handed_in"] for row in records(tmp_path / "class")] == [
        *("2026-07-01T23:30:00+02:00", "2026-12-01T09:00:02+01:00", "")
    ]
    times = read_handed_in(tmp_path / "class")
    assert times["Ada", "x.ipynb"] == datetime(2026, 7, 1, 21, 30, tzinfo=UTC) and len(times) == 2


def test_a_time_with_an_offset_is_believed_before_one_without(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        info = zipfile.ZipInfo("ada/x.ipynb", NOON)
        info.extra = struct.pack("<HHB", 0x9999, 1, 0) + struct.pack("<HHBi", 0x5455, 5, 1, 1_800_000_000)
        archive.writestr(info, notebook())
        torn = zipfile.ZipInfo("bob/x.ipynb", NOON)
        torn.extra = struct.pack("<HHB", 0x5455, 1, 1)
        archive.writestr(torn, notebook())
    collect(tmp_path / "x.zip", tmp_path / "class")
    times = read_handed_in(tmp_path / "class")
    assert times["ada", "x.ipynb"].timestamp() == 1_800_000_000
    assert times["bob", "x.ipynb"] == datetime(*NOON, tzinfo=UTC)


def test_a_month_that_is_none_costs_the_time_only(tmp_path):
    pack(tmp_path / "x.zip", {"ada/x.ipynb": notebook()})
    data = bytearray((tmp_path / "x.zip").read_bytes())
    data[data.index(b"PK\x01\x02") + 14 : data.index(b"PK\x01\x02") + 16] = b"\x00\x00"
    (tmp_path / "x.zip").write_bytes(data)
    collect(tmp_path / "x.zip", tmp_path / "class")
    assert read_handed_in(tmp_path / "class") == {} and len(tree(tmp_path / "class")) == 1


def test_a_folder_has_the_times_of_its_files(tmp_path):
    lay(tmp_path / "in", {"ada/x.ipynb": notebook(), "bob/x.ipynb": notebook()})
    os.utime(tmp_path / "in" / "ada" / "x.ipynb", (1_800_000_000, 1_800_000_000))
    collect(tmp_path / "in", tmp_path / "class")
    assert read_handed_in(tmp_path / "class")["ada", "x.ipynb"].timestamp() == 1_800_000_000


WORKSHEET = """\ufeffIdentifier,"Full name",Status,Grade,"Last modified (submission)","Last modified (grade)"
"Participant 1",Ada,"Submitted",,"Tuesday, 1 December 2026, 11:45 PM",-
"Participant 2",Bob,"Submitted",,"Wednesday, 2 December 2026, 08:15",-
"Participant 3",Cleo,"No submission",,-,-
"""


def test_moodles_worksheet_has_the_times(take, tmp_path):
    path = tmp_path / "worksheet.csv"
    path.write_text(WORKSHEET, encoding="utf-8")
    files = {f"{who}_{n}{MOODLE}x.ipynb": notebook() for n, who in enumerate(["Ada", "Bob"], 1)}
    take(files, trust_times=True)
    files[f"Cleo_3{MOODLE}x.ipynb"] = notebook()
    take(files)
    found = take(files, worksheet=path, course=Course(zone=ZoneInfo("Europe/Berlin")))
    assert found.said.has_times
    assert [row["handed_in"] for row in records(tmp_path / "class")] == [
        *("2026-12-01T23:45:00+01:00", "2026-12-02T08:15:00+01:00", "")
    ]
    take(files)
    assert len(read_handed_in(tmp_path / "class")) == 2, "they stay where nothing better is known"
    path.write_text(WORKSHEET.replace("Tuesday", "mardi"), encoding="utf-8")
    with pytest.raises(
        BadCollection, match=r"worksheet.csv, line 2: .*'mardi, 1 December.*downloaded in English"
    ):
        take(files, worksheet=path)
    path.write_text("Name\nAda\n")
    with pytest.raises(BadCollection, match="no column Identifier, Last modified"):
        take(files, worksheet=path)


def test_a_time_corrected_by_hand_stays(take, tmp_path):
    files = {
        f"Ada_1{MOODLE}x.ipynb": (notebook(), NOON),
        f"Bob_2{MOODLE}x.ipynb": (notebook(), (2026, 12, 3, 9, 0, 0)),
    }
    take(files)
    record = tmp_path / "class" / "handed_in.csv"
    text = record.read_text().replace("2026-12-01T12:00:00+00:00", "2026-12-01 23:10")
    record.write_text("\ufeff" + text.replace(",", ";"), encoding="utf-8")  # as a spreadsheet may save it
    assert read_handed_in(tmp_path / "class")["Ada", "x.ipynb"] == datetime(2026, 12, 1, 23, 10)
    take(files)
    assert read_handed_in(tmp_path / "class")["Ada", "x.ipynb"] == datetime(2026, 12, 1, 23, 10)
    files[f"Ada_1{MOODLE}x.ipynb"] = (notebook(text="new"), (2026, 12, 5, 9, 0, 0))
    take(files)
    assert read_handed_in(tmp_path / "class")["Ada", "x.ipynb"] == datetime(2026, 12, 5, 9, tzinfo=UTC)


def test_no_record_is_no_times(tmp_path):
    assert read_handed_in(tmp_path) == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"line 1: there is no column learner, file, .*; got nothing"),
        ("learner,file\nada,x.ipynb\n", "line 1: there is no column handed_in"),
        ("HEAD\nada,x.ipynb,tomorrow,,,,\n", "line 2: handed_in is 'tomorrow'; wanted a time such as"),
        ("HEAD\n\nada,x.ipynb,,,,,\n,x.ipynb,,,,,\n", "line 4: learner '' is no name"),
        ("HEAD\n../ada,x.ipynb,,,,,\n", "line 2: learner '../ada' is no name in the folder"),
        ("HEAD\nada,../x.ipynb,,,,,\n", "line 2: file '../x.ipynb' is no name"),
        ("HEAD\n..,x.ipynb,,,,,\n", "line 2: learner '..' is no name"),
        ("HEAD\nada,x.ipynb,,,,,\nada,x.ipynb,,,,,\n", "line 3: ada/x.ipynb stands there twice"),
        ("HEAD\nada,x.ipynb,,,,,,more\n", "line 2: got 8 cells; wanted 7"),
        ('HEAD\nada,"x.ipynb,,,,,\n', "line 2: unexpected end of data"),
        ("HEAD\nad\udcffa,x.ipynb,,,,,\n", "is not UTF-8 text; save it as CSV UTF-8"),
    ],
)
def test_a_damaged_record_names_its_line(tmp_path, text, words):
    head = "learner,file,handed_in,lms,lms_id,name,source"
    (tmp_path / "handed_in.csv").write_bytes(text.replace("HEAD", head).encode("utf-8", "surrogateescape"))
    with pytest.raises(BadCollection, match=words):
        read_handed_in(tmp_path)


# The roster


ROSTER = """learner;name;lms_id;email
ada;Ada Lovelace;11;x
grace;Grace Brewster Hopper;;x
s123;;;x
twin one;Sam Smith;;x
twin two;Sam Smith;;x
absent;Somebody Else;99;x
"""


def test_a_roster_says_what_learners_are_called(take, tmp_path):
    path = tmp_path / "roster.csv"
    path.write_text(ROSTER)
    found = take(
        {
            "lovelaceada_11_1001_x.ipynb": notebook(),
            "hoppergracebrewster_12_1002_x.ipynb": notebook(),
            "s123/x.ipynb": notebook(),
            "Sam Smith_7_assignsubmission_file/x.ipynb": notebook(),
            "stranger/x.ipynb": notebook(),
        },
        roster=path,
    )
    assert list(found) == [
        *("Sam Smith/x.ipynb", "ada/x.ipynb", "grace/x.ipynb", "s123/x.ipynb", "stranger/x.ipynb")
    ]
    assert found.remarks("absent") == "nothing of theirs is in the download"
    assert found.remarks("stranger") == "'stranger' is not on the roster"
    assert found.remarks("Sam Smith") == "'Sam Smith', number 7 is not on the roster", (
        "which of the two is not known"
    )
    assert found.remarks("ada") == "" and (tmp_path / "class" / "absent").is_dir()


def test_flat_names_may_begin_with_anybody_on_the_roster(take, tmp_path):
    path = tmp_path / "roster.csv"
    path.write_text("learner,lms_id\nvan_gogh,s_77\nzoë_b,\n", encoding="utf-8")
    decomposed = unicodedata.normalize("NFD", "zoë_b_c_d.ipynb")
    files = ["van_gogh_x_y.ipynb", "s_77_z.ipynb", decomposed]
    found = take({file: notebook(None) for file in files}, roster=path)
    assert list(found) == ["van_gogh/x_y.ipynb", "van_gogh/z.ipynb", "zoë_b/c_d.ipynb"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name\nada\n", "line 1: there is no column learner"),
        ("learner\n../ada\n", "line 2: '../ada' cannot be a folder's name; wanted something like '_ada'"),
        ("learner,lms_id\n,5\n", "line 2: '' cannot be a folder's name"),
        ("learner,lms_id\nada,5\nbob,5\n", "lms_id 5 stands for ada and bob"),
        ("learner\nAda\nada\n", "Ada and ada are one folder"),
    ],
)
def test_a_roster_that_cannot_be_used(take, tmp_path, text, words):
    path = tmp_path / "roster.csv"
    path.write_text(text)
    with pytest.raises(BadSheet, match=words):
        take({"ada/x.ipynb": notebook()}, roster=path)
    assert not (tmp_path / "class").exists()


# Tables


@given(
    st.text(st.sampled_from("=+-@'\" ab,;\n\t\r＝") | st.characters(exclude_categories=["Cs"]), max_size=20)
)
def test_what_is_guarded_is_no_formula_and_comes_back(text):
    flat = "".join(" " if unicodedata.category(c) == "Cc" else c for c in text)
    guarded = guard(text)
    assert unguard(guarded) == flat
    assert guarded.lstrip()[:1] not in set("=+-@＝＋－＠") - {""}
    (row,) = csv.reader(sheet([[text, 1.5, None, 3]]).splitlines())
    assert row == [guarded, "1.5", "", "3"]


def test_a_name_that_is_a_formula_is_none_in_the_record(take, tmp_path):
    name = '=HYPERLINK("x")'
    files = {f"{name}_1{MOODLE}x.ipynb": notebook(), f"-2+3_4{MOODLE}x.ipynb": notebook()}
    found = take(files)
    text = (tmp_path / "class" / "handed_in.csv").read_text()
    assert "'=HYPERLINK" in text and ",-2" not in text and list(take(files)) == list(found)
    assert all(path[0] == "_" for path in found)


# The command


def test_the_command_says_what_it_did(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    archive = pack(
        tmp_path / "in.zip",
        {"[red]Ada_1_assignsubmission_file/x.ipynb": notebook(), "../y.ipynb": notebook()},
    )
    (tmp_path / "course.toml").write_text('timezone = "Asia/Tokyo"')
    args = ["collect", str(archive), "--to", str(tmp_path / "class")]
    assert cli.main(args) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert ": 1 learner ┏" in printed and "[red]Ada" in printed
    assert "Passed over: ../y.ipynb has a name that leads out of the archive." in printed
    assert "When they were handed in is not known" in printed and "--worksheet" in printed
    assert cli.main([*args, "--trust-times"]) == 0
    assert "not known" not in capsys.readouterr().out
    assert records(tmp_path / "class")[0]["handed_in"] == "2026-12-01T12:00:00+09:00"


def test_canvas_has_no_worksheet_and_says_what_was_late(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    files = {"ada_LATE_1_1011_x.ipynb": notebook(), "bob_2_1012_x.ipynb": notebook(), "cleo_3_text.html": ""}
    archive = pack(tmp_path / "in.zip", files)
    for _ in range(2):
        assert cli.main(["collect", str(archive), "--to", str(tmp_path / "class")]) == 0
        printed = " ".join(capsys.readouterr().out.split())
        assert "--worksheet" not in printed and "what Canvas marked as late" in printed
        assert ": 3 learners, 1 of them without a notebook" in printed
        lines = [(line["learner"], line["late"], line["exercise"]) for line in records(tmp_path / "class")]
        assert lines == [("ada", "yes", ""), ("bob", "", ""), ("cleo", "", "00_small")]


def test_the_command_names_what_cannot_be_used(tmp_path, capsys):
    archive = pack(tmp_path / "in.zip", {"ada/x.ipynb": notebook()})
    (tmp_path / "file").touch()
    for options, words in (
        (["--to", str(tmp_path / "file")], "is a file; wanted: the folder of the class"),
        (["--to", str(tmp_path / "file" / "class")], "cannot be written (Not a directory)"),
        (["--to", str(tmp_path / "c"), "--roster", str(tmp_path)], "is not a file; wanted: a table"),
    ):
        assert cli.main(["collect", str(archive), *options]) == 2
        error = capsys.readouterr().err
        assert words in error and len(error.splitlines()) == 1


def test_the_command_says_what_it_could_not_do(tmp_path, capsys):
    assert cli.main(["collect", str(tmp_path / "none.zip"), "--to", str(tmp_path / "class")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("coursekit collect:") and len(error.splitlines()) == 1
