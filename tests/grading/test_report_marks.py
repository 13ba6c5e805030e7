"""What a report says of marks that are missing, still to come, of speed, or worded by a machine."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from coursekit.grading.checks import Check
from coursekit.grading.compare import decode, difference
from coursekit.grading.course.settings import Course
from coursekit.grading.course.wording import ended, readable
from coursekit.grading.judge import encode
from coursekit.grading.report import overview
from tests.grading.test_report import WRONG, mark, one, row, write

SPEED = mark("slow", 0, 2, title="Task 1: double: speed", message="3.1 times the solution's time")


def racing(name: str, exercise: str = "00_small", message: str = "its speed was not measured yet"):
    made = row(name, mark(), exercise=exercise, status="racing", message=message)
    return replace(made, result=replace(made.result, possible=3))


def test_what_was_not_handed_in_counts_as_nothing(tmp_path):
    rows = [
        row("ada", mark("right", 2, 2), exercise="00_a"),
        row("bob", mark("right", 2, 2), exercise="00_a"),
        row("bob", mark("right", 4, 4), mark("wrong", 0, 1, task="other"), exercise="01_b"),
    ]
    pages = write(rows, tmp_path)
    assert "00_a 2 of 2 01_b 0 of 5 not graded: missing Sum 2 of 7 29 %" in pages["ada"].text
    assert "01_b: 0 of 5 points Not graded (missing): nothing was handed in" in pages["ada"].text
    assert "Graded ," not in pages["ada"].text and "Sum 6 of 7 86 %" in pages["bob"].text
    assert "ada 2 of 7 29 % 2 of 2 missing bob 6 of 7 86 % 2 of 2 4 of 5" in pages[""].text
    assert "1 missing, 1 graded." in pages[""].text and "Before you use these marks" not in pages[""].text


def test_speed_that_is_still_to_come_is_said(tmp_path):
    reason = "its speed was not measured, which is no fault of its learner: the key is slow"
    rows = [row("bob", mark()), racing("ada"), racing("cleo", message=reason), racing("dan", message=reason)]
    pages = write(rows, tmp_path)
    assert "00_small: 1 of 3 points Speed not marked yet:" in pages["ada"].text
    assert "Not graded" not in pages["ada"].text and "right 1 of 1 point" in pages["ada"].text
    assert "3 speed not marked yet, 1 graded." in pages[""].text and "racing" not in pages[""].text
    assert "ada 1 of 3 33 % 1 of 3 speed not marked yet" in pages[""].text
    (caution,) = overview.cautions(rows)
    assert caution.startswith("00_small: for 3 submissions the speed is not marked yet")
    assert caution.count("which is no fault") == 1 and caution in pages[""].text
    assert overview.cautions([row("bob", mark())]) == []


def test_the_answer_is_shown_once_and_slow_is_no_mistake(tmp_path):
    source = "def double(x):\n    return 2 * x"
    rows = [row(n, mark(source=source), replace(SPEED, source=source)) for n in ("ada", "bob")]
    rows.append(row("cleo", replace(WRONG, hint=""), replace(SPEED, status="waiting")))
    pages = write(rows, tmp_path)
    assert pages["ada"].text.count("Your answer") == 1 and "slow 0 of 2 points" in pages["ada"].text
    assert [(m.text, m.learners) for m in overview.unrecognised(rows)] == [(WRONG.message, ("cleo",))]
    assert "Task 1: double: speed 0 of 3" in pages[""].text


def test_what_waits_for_another_task_shows_no_check_of_its_own(tmp_path):
    waiting = replace(WRONG, status="waiting", message="it calls total, whose own answer is not right yet")
    page = one(row("ada", waiting), tmp_path)
    assert "visible check" not in page.text and "Hint" not in page.text and "Your answer" in page.text
    assert "It calls total" in page.text and overview.recognised([row("ada", waiting)]) == []
    assert "visible check" in one(row("ada", WRONG), tmp_path).text


def test_the_due_time_that_counted_is_shown_by_the_courses_clock(tmp_path):
    due = datetime(2026, 12, 1, 22, 59, tzinfo=UTC)
    course = Course(
        zone=ZoneInfo("Europe/Berlin"),
        due={"00_small": due},
        extensions={"bob": {"00_small": due + timedelta(days=2)}},
    )
    pages = write([row("ada", WRONG), row("bob", WRONG)], tmp_path, course)
    assert "Due 2026-12-01 23:59 CET. Graded 2026-12-05 11:00 CET" in pages["ada"].text
    assert "Due 2026-12-03 23:59 CET, extended from 2026-12-01 23:59 CET." in pages["bob"].text
    assert "extended" not in pages["ada"].text and "Due 2026-12-01 23:59 CET." in pages[""].text
    assert "UTC" not in pages["ada"].text + pages[""].text
    assert "Due" not in one(row("ada", WRONG), tmp_path).text


@pytest.mark.parametrize(
    ("got", "want", "shown"),
    [
        ({"c": 2}, {"c": 3, "d": 1}, "got the keys 'c'; wanted 'c', 'd'"),
        ({"c": np.array(2)}, 3, "got {'c': 2}, wanted 3"),
        ({"c": np.array([1.5, 2])}, None, "got {'c': [1.5, 2]}, wanted None"),
        ({"a": {"b": np.float32(2)}}, 1, "got {'a': {'b': 2}}, wanted 1"),
        ({f"k{i}": np.ones(3) for i in range(9)}, 1, "'k2': [1, 1, 1]"),
    ],
)
def test_values_are_shown_without_what_numpy_writes_around_them(got, want, shown):
    said = difference(decode(encode(got)), decode(encode(want)), rtol=1e-6, atol=0)
    assert shown in readable(said) and "array" not in readable(said)


def test_a_visible_check_is_shown_without_it_too():
    check = Check("f")
    check(lambda x, y: 1, np.float64(2.5), {"n": np.arange(2), "ok": np.True_}, want=2)
    assert (
        readable(repr(check)).split("\n")[1] == "  <lambda>(2.5, {'n': [0, 1], 'ok': True}): got 1, wanted 2"
    )
    assert readable("array(3): got 1, f(array, 2)") == "array(3): got 1, f(array, 2)"


@pytest.mark.parametrize(
    "file", ["/tmp/ipykernel_12/3344923848.py", "3344923848.py", "<unknown>", "<ipython-input-3-a1>"]
)
def test_a_syntax_error_names_the_line_and_no_temporary_file(file):
    said = f"its answer cell stops with SyntaxError: '(' was never closed ({file}, line 3)"
    assert readable(said) == "its answer cell stops with SyntaxError: '(' was never closed (line 3)"
    assert readable("see (mine.py, line 3)") == "see (mine.py, line 3)"


@pytest.mark.parametrize(
    "hostile", ["array(" * 9000, "array([" + ", " * 9000, "(" + "a" * 20000 + "1.py", "np.float64(" * 9000]
)
def test_no_message_takes_long_to_read(hostile):
    started = datetime.now()
    readable(hostile)
    assert datetime.now() - started < timedelta(seconds=5)


def test_sentences_end_once(tmp_path):
    assert [ended(text) for text in ("a", "a.", "a? ", "a…")] == ["a.", "a.", "a?", "a…"]
    page = one(row("ada", WRONG, notes=("is there a loop?", "it was late")), tmp_path)
    assert "Note: is there a loop? Note: it was late. " in page.text
