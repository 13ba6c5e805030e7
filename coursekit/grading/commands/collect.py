"""``coursekit collect``: from a learning platform's download to a class's folder."""

import argparse
from pathlib import Path

TIMES_OF = {
    "moodle": "Give Moodle's grading worksheet with --worksheet, or write them into handed_in.csv.",
    "canvas": "Its column late has what Canvas marked as late; write the times into handed_in.csv.",
}


def add(commands, solutions) -> None:
    command = commands.add_parser(
        "collect", help="sort a download of Moodle's, Canvas's or your own into FOLDER/<learner>/"
    )
    command.add_argument("downloads", type=Path, help="a folder, or a zip archive as the platform packs it")
    command.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="the class's folder")
    command.add_argument("--roster", type=Path, help="a table of the class: learner, and name or lms_id")
    command.add_argument(
        "--course", type=Path, help="course.toml, for its time zone (default: found from FOLDER)"
    )
    command.add_argument("--worksheet", type=Path, help="Moodle's grading worksheet, for the times in it")
    command.add_argument(
        "--trust-times",
        action="store_true",
        help="note the times of the download even where they look like those of packing it",
    )
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from coursekit.grading.collecting.collect import collect
    from coursekit.grading.commands.places import writing
    from coursekit.grading.course.settings import find_course, load_course

    course = load_course(find_course(args.course, args.to))
    if args.to.exists() and not args.to.is_dir():
        raise ValueError(f"--to {args.to} is a file; wanted: the folder of the class")
    for option, path in (("--roster", args.roster), ("--worksheet", args.worksheet)):
        if path and not path.is_file():
            raise ValueError(f"{option} {path} is not a file; wanted: a table saved as CSV")
    with writing("--to", args.to):
        done = collect(args.downloads, args.to, course, args.roster, args.worksheet, args.trust_times)
    print_collected(done, args.to)
    return 0


def print_collected(collected, folder: Path) -> None:
    """A line for each learner, and what was passed over."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    count, without = len(collected.learners), sum(not learner.files for learner in collected.learners)
    said = f", {without} of them without a notebook" if without else ""
    title = Text(f"Collected into {folder}: {count} learner{'' if count == 1 else 's'}{said}")
    table = Table(title=title, title_justify="left")
    for column in ("Learner", "Notebooks", "Remark"):
        table.add_column(column, overflow="fold")
    for learner in collected.learners:
        remarks = Text("; ".join(learner.remarks))
        table.add_row(Text(learner.name), Text("\n".join(learner.files)), remarks)
    console.print(table)
    for source, reason in collected.passed_over:
        console.print(Text(f"Passed over: {source} {reason}."))
    platform = next(iter(collected.platforms)) if len(collected.platforms) == 1 else ""
    if not collected.has_times:
        console.print(
            "When they were handed in is not known: all times in the download lie within minutes, so they are "
            f"those of packing it. {TIMES_OF.get(platform, 'Write them into handed_in.csv.')}",
            markup=False,
        )
