"""Due dates and late rules: what a submission still earns, on every clock, and what a course.toml may not say."""

import math
import tomllib
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coursekit.grading.course.gradebook import Row
from coursekit.grading.course.settings import BadCourse, Course, LateRule, find_course, load_course
from coursekit.grading.marking.result import Mark, Result

WHOLE = """
title = "Making models fast"
timezone = "Europe/Berlin"

[due]
"01_complexity" = 2026-12-01T23:59:00
"02_measuring" = 2026-12-15
"03_abroad" = 2026-12-20T12:00:00-05:00
"04_autumn" = 2026-10-24T23:59:00
"05_spring" = 2026-03-28T23:59:00

[late]
grace_minutes = 15
percent_per_day = 10
days = 3

[extensions."Zoë"]
"01_complexity" = 2026-12-03T23:59:00
"""


def write(folder, text):
    path = folder / "course.toml"
    path.write_text(text, encoding="utf-8")
    return path


def row(exercise, handed_in, learner="ada", points=10, status="graded"):
    marks = (Mark("t", "t", points, 10, "right", ""),) if points else ()
    return Row(learner, Result(exercise, status, marks=marks, possible=10), handed_in=handed_in)


@pytest.fixture
def course(tmp_path):
    return load_course(write(tmp_path, WHOLE))


@pytest.mark.parametrize(
    ("exercise", "handed_in", "points", "words"),
    [
        ("01_complexity", "2026-12-01T12:00:00+01:00", 10, ""),
        ("01_complexity", "2026-12-01T23:59:00+01:00", 10, ""),
        ("01_complexity", "2026-12-01T22:59:00Z", 10, ""),  # the same moment, written in UTC
        ("01_complexity", "2026-12-01 23:59", 10, ""),  # no offset: the clock of the course
        (
            "01_complexity",
            "2026-12-02T00:14:00+01:00",
            10,
            "15 minutes after the due time, which still counts",
        ),
        (
            "01_complexity",
            "2026-12-02T00:14:01+01:00",
            9,
            "15 minutes after the due time: 10 % of the points",
        ),
        ("01_complexity", "2026-12-02T23:59:00+01:00", 9, "handed in 1 day after the due time: 10 %"),
        ("01_complexity", "2026-12-03T01:59:00+01:00", 8, "1 day and 2 hours after the due time: 20 %"),
        ("01_complexity", "2026-12-04T23:59:00+01:00", 7, "3 days after the due time: 30 %"),
        ("01_complexity", "2026-12-04T23:59:01+01:00", 0, "more than 3 days late earns no points"),
        ("02_measuring", "2026-12-15T23:59:59+01:00", 10, ""),
        ("02_measuring", "2026-12-16T00:20:00+01:00", 9, "20 minutes after the due time: 10 %"),
        ("03_abroad", "2026-12-20T18:00:00+01:00", 10, ""),
        ("03_abroad", "2026-12-20T18:20:00+01:00", 9, "20 minutes"),
        # This day has 25 hours, and its end is where the clock shows 23:59 again.
        ("04_autumn", "2026-10-25T23:59:00+01:00", 9, "handed in 1 day after the due time: 10 %"),
        ("04_autumn", "2026-10-25T23:30:00+01:00", 9, "24 hours and 31 minutes after the due time: 10 %"),
        ("04_autumn", "2026-10-27T23:30:00+01:00", 7, "2 days and 23 hours after the due time: 30 %"),
        ("04_autumn", "2026-10-26T00:30:00+01:00", 8, "1 day and 31 minutes after the due time: 20 %"),
        # This one has 23.
        ("05_spring", "2026-03-29T23:59:00+02:00", 9, "handed in 1 day after the due time: 10 %"),
        ("05_spring", "2026-03-30T00:30:00+02:00", 8, "1 day and 31 minutes after the due time: 20 %"),
        ("06_never_due", "2030-01-01T00:00:00Z", 10, ""),
        ("01_complexity", None, 10, "it is not known when it was handed in"),
        ("01_complexity", "yesterday", 10, "it is not known when it was handed in"),
    ],
)
def test_what_is_earned(course, exercise, handed_in, points, words):
    standing = course.standing(row(exercise, handed_in))
    assert standing.points == points
    assert words in standing.remark and bool(words) == bool(standing.remark)


def test_late_is_the_time_that_really_went_by(course):
    standing = course.standing(row("04_autumn", "2026-10-25T23:59:00+01:00"))
    assert standing.late == timedelta(hours=25)
    assert course.standing(row("01_complexity", "2026-12-02T00:10:00+01:00")).late is None
    assert course.standing(row("01_complexity", "2026-12-01T00:10:00+01:00")).late is None
    assert course.standing(row("01_complexity", None)).late is None


def test_an_extension_is_for_one_learner_however_the_name_is_written(course):
    handed_in = "2026-12-03T20:00:00+01:00"
    assert course.standing(row("01_complexity", handed_in)).points == 8
    for name in ("Zoë", "Zoe\N{COMBINING DIAERESIS}"):
        assert course.standing(row("01_complexity", handed_in, name)).points == 10
        assert course.standing(row("01_complexity", "2026-12-04T01:00:00+01:00", name)).points == 9
    assert course.due_for("Zoë", "01_complexity").isoformat() == "2026-12-03T23:59:00+01:00"
    assert course.due_for("ada", "09_other") is None


def test_what_was_not_handed_in_is_not_late(course):
    assert course.standing(row("01_complexity", None, points=0, status="missing")).remark == ""


def test_without_a_late_rule_lateness_is_shown_and_costs_nothing(tmp_path):
    course = load_course(write(tmp_path, "[due]\nx = 2026-12-01T23:59:00"))
    standing = course.standing(row("x", "2026-12-09T00:59:00"))
    assert standing.points == 10 and standing.late == timedelta(days=7, hours=1)
    assert standing.remark == "handed in 7 days and 1 hour after the due time; nothing is taken off"


def test_no_file_is_a_course_in_which_nothing_is_due():
    assert load_course(None) == Course()
    assert load_course(None).standing(row("x", "2026-12-09T00:59:00")).points == 10


def test_points_have_two_decimals(tmp_path):
    text = "[due]\nx = 2026-12-01T12:00:00\n[late]\npercent_per_day = 33.3"
    course = load_course(write(tmp_path, text))
    assert course.standing(row("x", "2026-12-01T13:00:00", points=7)).points == 4.67  # 7 * 0.667 = 4.669
    assert course.standing(row("x", "2026-12-04T13:00:00", points=7)).points == 0  # 133 % are 100 %


def test_a_time_that_the_clock_shows_twice_or_never_is_read_as_the_later(tmp_path):
    text = 'timezone = "Europe/Berlin"\n[due]\ntwice = 2026-10-25T02:30:00\nnever = 2026-03-29T02:30:00'
    course = load_course(write(tmp_path, text))
    assert course.due["twice"] == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    assert course.due["never"] == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def test_lateness_within_an_hour_that_comes_twice(tmp_path):
    text = 'timezone = "Europe/Berlin"\n[due]\nx = 2026-10-25T02:30:00+02:00\n[late]\npercent_per_day = 10'
    course = load_course(write(tmp_path, text))
    standing = course.standing(row("x", "2026-10-25T02:10:00+01:00"))
    assert standing.points == 9 and "40 minutes after" in standing.remark


@given(
    percent=st.integers(0, 100),
    grace=st.integers(0, 3000),
    days=st.one_of(st.none(), st.integers(0, 9)),
    seconds=st.integers(-100_000, 1_500_000),
    points=st.integers(0, 30),
)
def test_where_no_clock_changes_it_is_plain_arithmetic(percent, grace, days, seconds, points):
    due = datetime(2026, 12, 1, 12, tzinfo=UTC)
    course = Course(due={"x": due}, late=LateRule(timedelta(minutes=grace), percent, days))
    mark = Mark("t", "t", points, 30, "right", "")
    handed_in = (due + timedelta(seconds=seconds)).isoformat()
    standing = course.standing(Row("ada", Result("x", "graded", marks=(mark,)), handed_in=handed_in))
    begun = math.ceil(seconds / 86400)
    share = 1 - min(1, percent / 100 * begun)
    if seconds <= max(0, grace * 60):
        share = 1
    elif days is not None and begun > days:
        share = 0
    assert standing.points == pytest.approx(points * share, abs=0.005001)
    assert (standing.late is None) == (seconds <= grace * 60)


@given(
    zone=st.sampled_from(
        ["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kolkata"]
    ),
    due=st.datetimes(datetime(2010, 1, 1), datetime(2030, 1, 1)),
    seconds=st.integers(1, 40 * 86400),
)
def test_each_day_more_costs_more_in_every_zone(zone, due, seconds):
    due = due.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    course = Course(zone=ZoneInfo(zone), due={"x": due}, late=LateRule(percent_per_day=1))
    handed_in = due + timedelta(seconds=seconds)
    taken = 100 - course.standing(row("x", handed_in.isoformat(), points=100)).points
    assert (
        taken == int(taken) and abs(taken - seconds / 86400 - 0.5) <= 1.6
    )  # Apia left out a whole day in 2011
    later = course.standing(row("x", (handed_in + timedelta(days=3)).isoformat(), points=100))
    assert later.points < 100 - taken


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("titel = 'x'", "titel is not a key; wanted: title, timezone"),
        ("title = 3", "title: got 3; wanted text in quotes"),
        ("timezone = 'Europe/Bern'", "timezone: got 'Europe/Bern'"),
        ("timezone = '../../etc/passwd'", "timezone: got '../../etc/passwd'"),
        ("timezone = 'Europe'", "timezone: got 'Europe'"),
        ("timezone = ''", "timezone: got ''"),
        ("due = 2026-12-01", r"due: got .* wanted a table, \[due\]"),
        ("[due]\nx = '2026-12-01'", "due.\"x\": got '2026-12-01'; wanted a date or a time"),
        ("[due]\nx = 12:00:00", 'due."x": got datetime.time'),
        ("[due]\nx = 9999-12-31T23:59:00-05:00", 'due."x": .*between the years'),
        ("[late]\ngrace = 3", "late.grace is not a key; wanted: grace_minutes"),
        ("[late]\ngrace_minutes = -1", "late.grace_minutes: got -1; wanted a number from 0"),
        ("[late]\npercent_per_day = 101", "late.percent_per_day: got 101; wanted a number from 0 to 100"),
        ("[late]\npercent_per_day = nan", "late.percent_per_day: got nan"),
        ("[late]\npercent_per_day = true", "late.percent_per_day: got True"),
        ("[late]\ndays = 1.5", "late.days: got 1.5; wanted a whole number"),
        ("[late]\ndays = true", "late.days: got True"),
        ("late = 3", "late: got 3; wanted a table"),
        ("[extensions]\nada = 2026-12-01", 'extensions."ada": got .* wanted a table'),
        (
            "[extensions.ada]\nx = 2026-12-01",
            'extensions."ada"."x": wanted an exercise of .due., which has nothing',
        ),
        (
            "[due]\nx = 2026-12-01\n[extensions.ada]\nx = 2026-11-01",
            'extensions."ada"."x": got 2026-11-01 .* after the due time',
        ),
        ("[due", "is not TOML"),
        ("title = '\udcff'", "is not TOML"),
    ],
)
def test_what_is_wrong_in_a_course_is_named(tmp_path, text, words):
    path = tmp_path / "course.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(BadCourse, match=words) as caught:
        load_course(path)
    assert str(caught.value).startswith(str(path)) and str(caught.value).count(str(path)) == 1


def test_the_example_in_the_docstring_is_a_course(tmp_path):
    from coursekit.grading.course import settings

    text = settings.__doc__.split("::\n", 1)[1].split("\nA day ends", 1)[0]
    course = load_course(write(tmp_path, "\n".join(line.removeprefix("    ") for line in text.splitlines())))
    assert course.title == tomllib.loads(WHOLE)["title"] and course.late == LateRule(
        timedelta(minutes=15), 10, 3
    )
    assert set(course.due) == {"01_complexity", "02_measuring"} and "ada" in course.extensions


def test_a_byte_order_mark_is_no_mistake(tmp_path):
    path = tmp_path / "course.toml"
    path.write_bytes(b"\xef\xbb\xbftitle = 'x'")
    assert load_course(path).title == "x"


def test_the_course_is_found_as_named_or_nearest(tmp_path, monkeypatch):
    near = tmp_path / "a" / "b"
    near.mkdir(parents=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    if find_course(None, tmp_path.parent) is not None:
        pytest.skip("this machine keeps a course.toml above its temporary folder")
    assert find_course(None, near) is None
    here = write(elsewhere, "title = 'here'")
    assert find_course(None, near) == here
    top = write(tmp_path, "title = 'top'")
    assert find_course(None, near) == top
    nearest = write(near, "title = 'nearest'")
    assert find_course(None, near) == nearest
    assert find_course(top, near) == top
    with pytest.raises(BadCourse, match="there is no"):
        find_course(tmp_path / "none.toml", near)
