"""What grading says of marks that are not complete, of seeds that differ, and of names that fit nobody."""

import pytest

from coursekit import cli
from coursekit.grading.course.advice import incomplete, new_inputs, said_of, without_effect
from coursekit.grading.course.classroom import RACING
from coursekit.grading.course.gradebook import Row, read_rows
from coursekit.grading.course.settings import BadCourse, Course, load_course
from coursekit.grading.marking.result import Mark, Result
from tests.grading.test_race import RACE, racing_key


def row(learner, exercise="01_x", seed=1, status="graded", message=""):
    marks = (Mark("one", "One", 1, 1, "right", ""),) if status in ("graded", RACING) else ()
    return Row(learner, Result(exercise, status, message, marks, possible=1), seed=seed)


@pytest.mark.alone
def test_a_race_that_cannot_be_measured_ends_grading_with_a_sentence(tmp_path, hand_in, right, capsys):
    racing_key(tmp_path, RACE.replace("100_000", "1"))
    hand_in(tmp_path / "class" / "ada" / "00_small.ipynb", right)
    book = tmp_path / "book.sqlite"
    args = ["grade", str(tmp_path / "class"), "--gradebook", str(book), "--workers", "1", "--no-sandbox"]
    args += ["--solutions", str(tmp_path / "solutions")]
    (tmp_path / "course.toml").write_text("[due]\n00_smal = 2027-01-01")
    for seed in (["--seed", "5"], []):
        assert cli.main([*args, *seed]) == 1
        error = capsys.readouterr().err
        assert "00_small: the marks of ada are not complete; its speed was not measured" in error
        assert "too little to be timed" in error and "'00_smal', which is no exercise here; perhaps" in error
        (found,) = read_rows(book)
        assert (found.result.status, found.seed, found.run) == (RACING, 5, 1), "the seed that marked it stays"


def test_seeds_that_differ_are_no_surprise():
    rows = [row("ada"), row("bob", seed=2), row("eve", status="missing", seed=3), row("ada", "02_y", seed=4)]
    (said,) = new_inputs(rows)
    assert said.startswith("01_x was graded in 2 runs") and "--regrade" in said
    assert new_inputs(rows[::2]) == []


def test_what_failed_is_not_complete_either():
    rows = [row("ada"), row("bob", status="failed"), row("eve", status="missing")]
    assert incomplete(rows) == ["without marks, as grading failed: bob (01_x); grade again"]
    assert incomplete(rows[::2]) == []


@pytest.fixture
def course(tmp_path) -> Course:
    (tmp_path / "course.toml").write_text(
        '[due]\n01_x = 2027-01-01\n02_y = 2027-01-08\n[extensions."A\u030asa Berg"]\n01_x = 2027-02-01\n',
        encoding="utf-8",
    )
    return load_course(tmp_path / "course.toml")


def test_a_name_of_the_course_that_fits_is_not_mentioned(course):
    assert without_effect(course, [row("Åsa Berg"), row("ada", "02_y")]) == []
    assert without_effect(course, [row("Åsa Berg")], keys=["01_x", "02_y"]) == []


def test_with_all_keys_known_every_other_name_is_a_mistake(course):
    assert without_effect(course, [row("Åsa Berg")], keys=["01_x"]) == [
        "[due] has '02_y', which is no exercise here; it has no effect"
    ]
    (said,) = without_effect(course, [row("Asa Berg"), row("ada")])
    assert (
        said
        == "[extensions] has 'Åsa Berg', who is no learner here; perhaps 'Asa Berg' was meant; it has no effect"
    )


def test_where_the_settings_are_from_is_said(course, tmp_path):
    assert said_of(None, Course()).startswith("no course.toml was found")
    assert (
        said_of(tmp_path / "a.toml", Course())
        == f"{tmp_path / 'a.toml'} has no due times, so nothing is late"
    )
    assert "due times and the late rule are those of" in said_of(tmp_path / "course.toml", course)


def test_a_broken_course_is_named_before_anything_is_graded(tmp_path, hand_in, right, solutions, capsys):
    hand_in(tmp_path / "class" / "ada" / "00_small.ipynb", right)
    (tmp_path / "course.toml").write_text("[du]")
    args = [
        "grade",
        str(tmp_path / "class"),
        "--gradebook",
        str(tmp_path / "b"),
        "--solutions",
        str(solutions),
    ]
    assert cli.main(args) == 2 and not (tmp_path / "b").exists()
    assert "du is not a key" in capsys.readouterr().err
    with pytest.raises(BadCourse):
        load_course(tmp_path / "course.toml")
