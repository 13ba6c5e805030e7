"""``coursekit grade``: a class into a gradebook."""

import argparse
from pathlib import Path


def add(commands, solutions) -> None:
    command = commands.add_parser(
        "grade", parents=[solutions], help="grade FOLDER/<learner>/<notebook>.ipynb"
    )
    command.add_argument("folder", type=Path)
    command.add_argument("--gradebook", type=Path, required=True, help="the SQLite file that marks go to")
    command.add_argument(
        "--exercise", action="append", default=[], help="grade this one only (may be repeated)"
    )
    command.add_argument("--seed", type=int, help="repeat a run with the seed it reported")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from coursekit.grading.commands.places import find_solutions
    from coursekit.grading.course.classroom import grade_class, read_class
    from coursekit.grading.course.gradebook import Gradebook
    from coursekit.grading.report import tables

    group = read_class(args.folder, find_solutions(args.solutions, args.folder), args.exercise)
    with Gradebook(args.gradebook) as gradebook:
        rows = tables.follow(len(group), lambda told: grade_class(group, gradebook, args.seed, told))
    tables.print_class(rows, group.strays, args.gradebook)
    return 0
