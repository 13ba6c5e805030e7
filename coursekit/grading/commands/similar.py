"""``coursekit similar``: answers that are nearly the same, for a person to look at."""

import argparse
from collections.abc import Sequence
from pathlib import Path

LINES = 40


def add(commands, solutions) -> None:
    command = commands.add_parser(
        "similar", parents=[solutions], help="answers of different learners that are nearly the same"
    )
    command.add_argument("--gradebook", type=Path, required=True)
    command.add_argument("--exercise", help="look at this one only")
    command.add_argument(
        "--threshold", type=float, default=0.9, help="how alike, above 0 and at most 1 (default: 0.9)"
    )
    command.add_argument("--show", type=int, metavar="N", help="pair N of the table, side by side")
    command.add_argument("--lines", type=int, default=LINES, help=f"how many lines of it (default: {LINES})")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from coursekit.grading.commands.places import find_keys
    from coursekit.grading.course.gradebook import read_rows
    from coursekit.grading.course.similar import compare
    from coursekit.grading.exercise.release import handed_out

    rows = read_rows(args.gradebook)
    if args.exercise is not None:
        known = sorted({row.result.exercise for row in rows})
        rows = [row for row in rows if row.result.exercise == args.exercise]
        if not rows:
            raise ValueError(
                f"{args.gradebook} has no exercise {args.exercise!r}; it has {', '.join(known) or 'none'}"
            )
    found = compare(rows, handed_out(find_keys(rows, args.solutions, args.gradebook)), args.threshold)
    if args.show is None:
        _print_pairs(found)
    elif not 1 <= args.show <= len(found.pairs):
        raise ValueError(f"--show {args.show}: wanted a pair of the table, from 1 to {len(found.pairs)}")
    elif args.lines < 1:
        raise ValueError(f"--lines {args.lines}: wanted 1 or more")
    else:
        _print_pair(found.pairs[args.show - 1], args.lines)
    return 0


def _print_pairs(found) -> None:
    from rich.console import Console
    from rich.text import Text

    from coursekit.grading.report.overview import sentences
    from coursekit.grading.report.text import visible

    console = Console()
    if not found.pairs:
        console.print("No two answers are nearly the same.")
    else:
        _print_tables(console, found)
    for sentence in sentences(found):
        console.print(Text(visible(sentence)))
    if found.pairs:
        console.print("Alike is not copied: read both (--show N) before you think anything.")


def _print_tables(console, found) -> None:
    from rich.table import Table
    from rich.text import Text

    from coursekit.grading.report.overview import percent
    from coursekit.grading.report.text import visible

    _print_people(console, found.people)
    number = len(found.pairs)
    title = f"{number} pair{'' if number == 1 else 's'} of answers that are nearly the same"
    table = Table(title=title, title_justify="left")
    table.add_column("N", justify="right", no_wrap=True)
    for column in ("Exercise", "Task", "Learner", "Learner"):
        table.add_column(column, overflow="fold")
    table.add_column("Alike", justify="right", no_wrap=True)
    for number, pair in enumerate(found.pairs, 1):
        cells = [Text(visible(cell)) for cell in (pair.exercise, pair.task, pair.a, pair.b)]
        table.add_row(str(number), *cells, f"{percent(pair.likeness, 1)} %")
    console.print(table)


def _print_people(console, people: Sequence) -> None:
    """Who has how many answers alike with whom: one answer alike says little, many say more."""
    from rich.table import Table
    from rich.text import Text

    from coursekit.grading.report.text import visible

    title = f"{len(people)} pair{'' if len(people) == 1 else 's'} of learners with answers alike"
    table = Table(title=title, title_justify="left")
    table.add_column("Learner", overflow="fold")
    table.add_column("Learner", overflow="fold")
    table.add_column("Answers alike", justify="right", no_wrap=True)
    for two in people:
        table.add_row(Text(visible(two.a)), Text(visible(two.b)), f"{two.alike} of {two.compared}")
    console.print(table)


def _print_pair(pair, lines: int) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from coursekit.grading.report.overview import percent
    from coursekit.grading.report.text import visible

    title = f"{pair.exercise}, {pair.task}: {percent(pair.likeness, 1)} % alike"
    table = Table(title=Text(visible(title)), title_justify="left", expand=True)
    sources = [visible(source).splitlines() for source in (pair.source_a, pair.source_b)]
    for learner, source in zip((pair.a, pair.b), sources, strict=True):
        table.add_column(Text(f"{visible(learner)}, {len(source)} lines"), ratio=1, overflow="fold")
    table.add_row(*(_code(source[:lines]) for source in sources))
    Console().print(table)


def _code(lines: Sequence[str]):
    from rich.syntax import Syntax

    return Syntax("\n".join(lines), "python", theme="ansi_dark", word_wrap=True, background_color="default")
