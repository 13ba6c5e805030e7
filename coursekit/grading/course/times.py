"""Due times and days by the clock on the wall, also where it is put forward or back."""

from datetime import UTC, datetime, timedelta, tzinfo
from itertools import count


def moment(when: datetime, zone: tzinfo) -> datetime:
    """A time in UTC. Where the clock of the zone shows it twice or never, the later reading counts."""
    if when.tzinfo is not None:
        return when.astimezone(UTC)
    return max(when.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))


def after_days(due: datetime, days: int) -> datetime:
    """The end of the nth day after the due time, by the clock on the wall, in UTC."""
    if not days:
        return due.astimezone(UTC)
    return moment((due + timedelta(days=days)).replace(tzinfo=None), due.tzinfo)


def days_begun(due: datetime, handed_in: datetime) -> int:
    """How many days were begun after the due time."""
    first = max(0, (handed_in - due.astimezone(UTC)).days - 1)
    return next(n for n in count(first) if handed_in <= after_days(due, n))


def spell(due: datetime, handed_in: datetime) -> str:
    """How long after the due time, in words: days by the clock on the wall, and what is left of the last."""
    days = days_begun(due, handed_in)
    days -= handed_in < after_days(due, days)
    seconds = int((handed_in - after_days(due, days)).total_seconds())
    hours, minutes = divmod(seconds // 60, 60)
    parts = [counted(n, unit) for n, unit in ((days, "day"), (hours, "hour"), (minutes, "minute")) if n]
    return " and ".join(parts[:2]) if parts else "less than a minute"


def counted(number: int, unit: str) -> str:
    """A number with its unit, in the plural where it is not 1."""
    return f"{number} {unit}{'' if number == 1 else 's'}"
