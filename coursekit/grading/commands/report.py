"""``coursekit report``: pages of marks."""

import argparse
from pathlib import Path


def add(commands, solutions) -> None:
    command = commands.add_parser(
        "report", parents=[solutions], help="pages of marks for learners, and an overview of the class"
    )
    command.add_argument("--gradebook", type=Path, required=True)
    command.add_argument(
        "--out", type=Path, default=Path("reports"), help="the folder to write (default: reports)"
    )
    command.add_argument(
        "--course",
        type=Path,
        help="the course.toml with due times and the late rule (default: found from here)",
    )
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from coursekit.grading.commands.similar import handed_out
    from coursekit.grading.course.gradebook import read_rows
    from coursekit.grading.course.settings import find_course, load_course
    from coursekit.grading.report.pages import write_reports

    rows = read_rows(args.gradebook)
    course = load_course(find_course(args.course, args.gradebook))
    paths = write_reports(rows, args.out, course, handed_out(rows, args.solutions, args.gradebook))
    print(f"{len(paths) - 1} learners' pages and the overview: {paths[0]}")
    return 0
