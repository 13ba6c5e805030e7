"""What the grading commands print: progress while they work, then a table."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from coursekit.grading.course.gradebook import Row, writable
from coursekit.grading.course.wording import ended, readable
from coursekit.grading.marking.result import Result
from coursekit.grading.report.text import visible


@contextlib.contextmanager
def steps(title: str) -> Iterator[Callable[[str], None]]:
    """A line on standard error that says what is running, where somebody looks at it."""
    console = Console(stderr=True)
    with console.status(title) as status:
        yield lambda text: status.update(f"{title}: {text}")


def follow(total: int, start: Callable[[Callable[[str], None]], Iterable[Row]]) -> list[Row]:
    """Run a class grading with a progress bar and the time left; returns its rows."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    rows = []
    with Progress(*columns, console=Console(stderr=True)) as bar:
        job = bar.add_task("starting", total=total)
        for row in start(lambda text: bar.update(job, description=text)):
            rows.append(row)
            bar.advance(job)
    return rows


def print_result(result: Result, seed: int) -> None:
    """A learner's own marks."""
    console = Console()
    if result.status != "graded":
        console.print(_shown(f"{result.exercise}: {result.message}"))
        return
    table = Table(
        title=f"{result.exercise}: {result.points} of {result.possible} points", title_justify="left"
    )
    table.add_column("Task")
    table.add_column("Points", justify="right", no_wrap=True)
    table.add_column("Cases", justify="right", no_wrap=True)
    table.add_column("First difference", overflow="fold")
    for mark in result.marks:
        cases = f"{mark.cases_right} of {mark.cases}" if mark.cases else ""
        table.add_row(
            _shown(mark.title), f"{mark.points} of {mark.possible}", cases, _shown(readable(mark.message))
        )
    console.print(table)
    for note in result.notes:
        console.print(_shown(ended(f"Note: {note}")))
    if not result.is_full:
        console.print(f"The same inputs again: --seed {seed}")


def print_class(rows: list[Row], strays: Iterable[Path], gradebook: Path) -> None:
    """A line for each submission."""
    console = Console()
    table = Table(title=f"{len(rows)} rows in {gradebook.name}", title_justify="left")
    for column in ("Learner", "Exercise", "Status"):
        table.add_column(column, overflow="fold")
    table.add_column("Points", justify="right", no_wrap=True)
    table.add_column("Remark", overflow="fold")
    for row in sorted(rows, key=lambda row: (row.learner, row.result.exercise)):
        result = row.result
        remark = result.message or "; ".join(result.notes)
        points = f"{result.points} of {result.possible}"
        table.add_row(_shown(row.learner), result.exercise, result.status, points, _shown(readable(remark)))
    console.print(table)
    for path in strays:
        console.print(_shown(f"Passed over, as it is no learner's folder: {writable(path.name)}"))


def _shown(text: str) -> Text:
    """A text that may be a learner's: no markup, and nothing that steers the terminal."""
    return Text(visible(text))
