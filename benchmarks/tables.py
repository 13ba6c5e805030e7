"""What is read off the rows of a benchmark: a table for a README, the targets, and what became slower."""

from collections.abc import Iterable

from race import Row
from targets import TARGETS, Target

from coursekit.measure.text import seconds, text_table

WORSE = 0.9
"""Slower is whoever has less than this share of the speed that it had, against the same rival."""


def markdown(rows: Iterable[Row], rival: str) -> str:
    """The public versions as a Markdown table: speed against ``rival`` and against the fastest rival."""
    lines = [
        "| operation | case | threads | time | times as fast as torch | fastest rival | share of the ceiling |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if not row.public or rival not in row.speed:
            continue
        name, speed = min(row.speed.items(), key=lambda item: item[1][0])
        best = "the same" if name == rival else f"{name}: {_speed(speed)}"
        lines.append(
            f"| `{row.operation}` | {row.case} | {row.threads} | {seconds(row.seconds)} | {_speed(row.speed[rival])} "
            f"| {best} | {row.share:.0%} |"
        )
    return "\n".join(lines)


def target_table(rows: Iterable[Row], targets: Iterable[Target] = TARGETS) -> str:
    """Each target whose case was measured: what was wanted, and what was reached; empty where there is none.

    "At most" is how many times as fast as the rival a kernel at this machine's ceiling would be. It is left out where a
    method needs fewer operations than are counted, and so has no such limit.
    """
    by_key = {(row.operation, row.case, row.version, row.threads): row for row in rows}
    lines = []
    for target in targets:
        row = by_key.get((target.operation, target.case, target.version or target.operation, target.threads))
        if row is None or target.rival not in row.speed:
            continue
        speed = row.speed[target.rival]
        limit = speed[0] / row.share if row.share < 1 else 0.0
        lines.append(
            [
                f"{row.version}{', all cores' if target.threads == 'all' else ''}", target.case, target.rival,
                f"{target.least:g}", f"{target.aim:g}" if target.aim else "", _speed(speed),
                _verdict(speed, target.least, limit), f"{limit:.2f}" if limit else "",
                f"{row.share:.0%}{f' of {target.share:.0%}' if target.share else ''}",
            ]
        )  # fmt: skip
    header = [
        "version",
        "case",
        "rival",
        "at least",
        "aim",
        "times as fast (95 %)",
        "",
        "at most",
        "of the ceiling",
    ]
    return text_table(header, lines) if lines else ""


def _verdict(speed: tuple[float, float, float], least: float, limit: float) -> str:
    median, low, high = speed
    if low >= least:
        return "reached"
    if limit and limit < least:
        return "out of reach"
    return "missed" if high < least else "reached, not surely" if median >= least else "missed, not surely"


def changes(earlier: Iterable[Row], now: Iterable[Row], rival: str) -> list[str]:
    """A sentence for each public version that became slower against ``rival``.

    Ratios within a run are compared, since two runs differ in all else: the machine's other work, its clock, its
    temperature. It has to be below nine tenths, with intervals that do not meet.
    """
    before = {row.key: row for row in earlier}
    found = []
    for row in now:
        old = before.get(row.key)
        if not row.public or old is None or rival not in row.speed or rival not in old.speed:
            continue
        (was, was_low, _), (is_now, _, high) = old.speed[rival], row.speed[rival]
        if is_now < WORSE * was and high < was_low:
            found.append(
                f"{row.operation}, {row.case} ({row.threads}): {_speed(row.speed[rival])} times as fast as {rival}, "
                f"before {_speed(old.speed[rival])}"
            )
    return found


def _speed(speed: tuple[float, float, float]) -> str:
    median, low, high = speed
    return f"{median:.2f} ({low:.2f} to {high:.2f})"
