"""``course.toml``: what a course is called, when its exercises are due, and what a late one still earns.

::

    title = "Making models fast"
    timezone = "Europe/Berlin"      # for every time without an offset; UTC where it is not said

    [due]
    "01_complexity" = 2026-12-01T23:59:00
    "02_measuring" = 2026-12-15     # the end of that day

    [late]                          # without it lateness is shown and costs nothing
    grace_minutes = 15              # decides only whether somebody is late at all
    percent_per_day = 10            # of the points earned, for each day begun after the due time
    days = 3                        # later than that earns nothing

    [extensions."ada"]
    "01_complexity" = 2026-12-03T23:59:00

A day ends at the hour it began, by the clock on the wall, also where the clock is put forward or back in it.
"""

import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from coursekit.grading.course.gradebook import Row
from coursekit.grading.course.times import after_days, counted, days_begun, moment, spell

NAME = "course.toml"
MANY_DAYS = 1000


class BadCourse(ValueError):
    """The file does not describe a course; the message names the key, what stands there and what is wanted."""


@dataclass(frozen=True)
class LateRule:
    """What lateness costs. ``days`` is None where nothing is ever too late."""

    grace: timedelta = timedelta(0)
    percent_per_day: float = 0
    days: int | None = None


@dataclass(frozen=True)
class Standing:
    """What a submission earns once its time is looked at.

    ``late`` is how long after the due time it came, None where it was not late or nobody knows; ``remark`` is a
    sentence for the learner, empty where there is nothing to say.
    """

    points: float
    late: timedelta | None = None
    remark: str = ""


@dataclass(frozen=True)
class Course:
    """A term's settings. Due times are in UTC; ``zone`` is for reading and showing them."""

    title: str = ""
    zone: tzinfo = UTC
    due: Mapping[str, datetime] = field(default_factory=dict)
    extensions: Mapping[str, Mapping[str, datetime]] = field(default_factory=dict)
    late: LateRule | None = None

    def due_for(self, learner: str, exercise: str) -> datetime | None:
        """When a learner's exercise is due, in the course's time zone; None where it never is."""
        own = self.extensions.get(plain(learner), {})
        due = own.get(exercise, self.due.get(exercise))
        return None if due is None else due.astimezone(self.zone)

    def moment(self, text: str | None) -> datetime | None:
        """A time in ISO 8601 as UTC; without an offset it is in the course's zone. None where it is no time."""
        try:
            return moment(datetime.fromisoformat(text or ""), self.zone)
        except (ValueError, OverflowError):
            return None

    def is_timeless(self, row: Row) -> bool:
        """Whether something was handed in that has a due time, and nobody knows when."""
        due = self.due_for(row.learner, row.result.exercise)
        return due is not None and row.result.status != "missing" and self.moment(row.handed_in) is None

    def standing(self, row: Row) -> Standing:
        """What the row's points are after the late rule. What was not handed in is not late."""
        points = round(float(row.result.points), 2)
        due = self.due_for(row.learner, row.result.exercise)
        if due is None or row.result.status == "missing":
            return Standing(points)
        if self.is_timeless(row):
            return Standing(points, remark="it is not known when it was handed in")
        return self._judge(points, due, self.moment(row.handed_in))

    def _judge(self, points: float, due: datetime, handed_in: datetime) -> Standing:
        """The standing of what was handed in at a known time."""
        rule = self.late or LateRule()
        late = handed_in - due.astimezone(UTC)
        if late <= timedelta(0):
            return Standing(points)
        after = f"handed in {spell(due, handed_in)} after the due time"
        if late <= rule.grace:
            return Standing(points, remark=f"{after}, which still counts as in time")
        if rule.days is not None and handed_in > after_days(due, rule.days):
            limit = f"more than {counted(rule.days, 'day')} late" if rule.days else "a late exercise"
            return Standing(0.0, late, f"{after}: {limit} earns no points")
        percent = min(100, rule.percent_per_day * days_begun(due, handed_in))
        if not percent:
            return Standing(points, late, f"{after}; nothing is taken off")
        remark = f"{after}: {percent:g} % of the points are taken off"
        return Standing(round(points * (100 - percent) / 100, 2), late, remark)


def find_course(named: Path | None, near: Path) -> Path | None:
    """The course's file: as named, or the nearest ``course.toml`` in `near`, above it, or here; None without one."""
    if named is not None:
        if not named.is_file():
            raise BadCourse(f"there is no {named}; wanted: a {NAME}")
        return named
    places = [near.resolve(), *near.resolve().parents, Path.cwd()]
    return next((place / NAME for place in places if (place / NAME).is_file()), None)


def load_course(path: Path | None) -> Course:
    """Read a course's settings; without a file, a course in which nothing is ever due.

    Raises :class:`BadCourse` for a key that is not known, a value of the wrong kind, or an unknown time zone.
    """
    if path is None:
        return Course()
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise BadCourse(f"{path} is not TOML: {error}") from None
    try:
        return _course(data)
    except BadCourse as error:
        raise BadCourse(f"{path}: {error}") from None


def _course(data: dict) -> Course:
    _refuse_unknown("", data, ("title", "timezone", "late", "due", "extensions"))
    zone = _zone(_get(data, "timezone", str, "UTC"))
    due = _times("due", _get(data, "due", dict, {}), zone)
    extensions = {}
    for learner, own in _get(data, "extensions", dict, {}).items():
        key = f'extensions."{learner}"'
        if not isinstance(own, dict):
            raise BadCourse(f"{key}: got {own!r}; wanted a table [{key}] of exercises and times")
        extensions[plain(learner)] = _extension(key, _times(key, own, zone), due)
    rule = _late_rule(_get(data, "late", dict, {})) if "late" in data else None
    return Course(_get(data, "title", str, ""), zone, due, extensions, rule)


def _extension(key: str, own: dict[str, datetime], due: dict[str, datetime]) -> dict[str, datetime]:
    for exercise, until in own.items():
        if exercise not in due:
            known = ", ".join(due) or "nothing"
            raise BadCourse(f'{key}."{exercise}": wanted an exercise of [due], which has {known}')
        if until < due[exercise]:
            raise BadCourse(
                f'{key}."{exercise}": got {until}; wanted a time after the due time, {due[exercise]}'
            )
    return own


def _late_rule(data: dict) -> LateRule:
    _refuse_unknown("late.", data, ("grace_minutes", "percent_per_day", "days"))
    grace = _number("late.grace_minutes", data.get("grace_minutes", 0), most=365 * 24 * 60)
    percent = _number("late.percent_per_day", data.get("percent_per_day", 0), most=100)
    days = data.get("days")
    if days is not None and (type(days) is not int or not 0 <= days <= MANY_DAYS):
        raise BadCourse(f"late.days: got {days!r}; wanted a whole number from 0 to {MANY_DAYS}")
    return LateRule(timedelta(minutes=grace), percent, days)


def _refuse_unknown(prefix: str, data: dict, known: tuple[str, ...]) -> None:
    unknown = [key for key in data if key not in known]
    if unknown:
        raise BadCourse(f"{prefix}{unknown[0]} is not a key; wanted: {', '.join(known)}")


def _get(data: dict, key: str, kind: type, default):
    value = data.get(key, default)
    if not isinstance(value, kind):
        wanted = "text in quotes" if kind is str else f"a table, [{key}]"
        raise BadCourse(f"{key}: got {value!r}; wanted {wanted}")
    return value


def _number(key: str, value: object, most: int) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise BadCourse(f"{key}: got {value!r}; wanted a number from 0 to {most}")
    return value


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise BadCourse(
            f"timezone: got {name!r}, which is not a zone known here; wanted one such as 'Europe/Berlin' or 'UTC'"
        ) from None


def _times(key: str, table: dict, zone: tzinfo) -> dict[str, datetime]:
    times = {}
    for exercise, value in table.items():
        if not isinstance(value, date):
            raise BadCourse(
                f'{key}."{exercise}": got {value!r}; wanted a date or a time such as 2026-12-01T23:59:00, bare'
            )
        try:
            end = value if isinstance(value, datetime) else datetime.combine(value, time.max)
            times[exercise] = moment(end, zone)
        except OverflowError:
            raise BadCourse(
                f'{key}."{exercise}": got {value}; wanted a time between the years 2 and 9998'
            ) from None
    return times


def plain(name: str) -> str:
    """A learner's name as it is compared: letters that can be written in two ways are written in one."""
    return unicodedata.normalize("NFC", name)
