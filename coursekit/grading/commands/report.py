"""``coursekit report``: pages of marks."""

import argparse
from pathlib import Path


def add(commands, solutions) -> None:
    command = commands.add_parser("report", help="pages of marks for learners, and an overview of the class")
    command.add_argument("--gradebook", type=Path, required=True)
    command.add_argument(
        "--out", type=Path, default=Path("reports"), help="the folder to write (default: reports)"
    )
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from coursekit.grading.course.gradebook import read_rows
    from coursekit.grading.report.pages import write_reports

    paths = write_reports(read_rows(args.gradebook), args.out)
    print(f"{len(paths) - 1} learners' pages and the overview: {paths[0]}")
    return 0
