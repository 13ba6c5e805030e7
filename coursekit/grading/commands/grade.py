"""``coursekit grade``: a class into a gradebook."""

import argparse
import sys
from pathlib import Path

DONE, INCOMPLETE = 0, 1
WARNING = "Warning: --no-sandbox: every submission runs as you, and can read and change what you can."


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
    command.add_argument("--workers", type=int, help="submissions at once (default: one for each core)")
    command.add_argument("--scheduler", metavar="ADDRESS", help="grade on the machines of a Dask scheduler")
    command.add_argument("--regrade", action="store_true", help="grade what has not changed, too")
    command.add_argument(
        "--no-sandbox", action="store_true", help="run submissions as you, unbound; the gradebook says so"
    )
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from coursekit.grading.commands.places import find_solutions, refuse_folder, refuse_negative, writing
    from coursekit.grading.course.classroom import Options, grade_class, read_class
    from coursekit.grading.course.gradebook import Gradebook
    from coursekit.grading.course.settings import find_course, load_course
    from coursekit.grading.report import tables

    refuse_negative(args.seed)
    refuse_folder("--gradebook", args.gradebook, "marks.sqlite")
    course = load_course(find_course(None, args.folder))
    group = read_class(args.folder, find_solutions(args.solutions, args.folder), args.exercise)
    options = Options(args.seed, args.workers, args.scheduler, not args.no_sandbox, args.regrade)
    if args.no_sandbox:
        print(WARNING, file=sys.stderr)
    with writing("--gradebook", args.gradebook):
        opened = Gradebook(args.gradebook)
    with opened as gradebook:
        rows = tables.follow(len(group), lambda told: grade_class(group, gradebook, options, told))
    tables.print_class(rows, group.strays, args.gradebook)
    return _say(rows, course, [path.stem for path in group.solutions.glob("*.ipynb")])


def _say(rows: list, course, keys: list[str]) -> int:
    """Print what to know of these rows; returns the status."""
    from coursekit.grading.course.advice import incomplete, new_inputs, without_effect
    from coursekit.grading.report.text import visible

    for sentence in (*new_inputs(rows), *without_effect(course, rows, keys)):
        print(f"coursekit grade: {visible(sentence)}", file=sys.stderr)
    left = incomplete(rows)
    for sentence in left:
        print(f"coursekit grade: {visible(sentence)}", file=sys.stderr)
    return INCOMPLETE if left else DONE
