"""``coursekit export``: marks as a table, for a program, for Canvas or for Moodle."""

import argparse
import sys
from pathlib import Path


def add(commands, solutions) -> None:
    command = commands.add_parser(
        "export", help="write the marks as a table: csv, or as Canvas or Moodle takes it"
    )
    command.add_argument("--gradebook", type=Path, required=True)
    command.add_argument("--format", choices=("csv", "canvas", "moodle"), default="csv", help="default: csv")
    command.add_argument("--out", type=Path, required=True, metavar="FILE", help="the file to write")
    command.add_argument("--detail", action="store_true", help="csv: a line for each task")
    command.add_argument("--course", type=Path, help="course.toml (default: found from the gradebook)")
    command.add_argument(
        "--collected",
        type=Path,
        metavar="FOLDER",
        help="where coursekit collect put them: has the platform's numbers",
    )
    command.add_argument(
        "--exercise", action="append", default=[], metavar="NAME", help="this one only (may be repeated)"
    )
    command.add_argument(
        "--title",
        action="append",
        default=[],
        metavar="NAME=TITLE",
        help="canvas: what an exercise is called there (may be repeated)",
    )
    command.add_argument(
        "--unfinished", action="store_true", help="go on while marks still wait for their race"
    )
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from coursekit.grading.commands.places import refuse_folder, writing
    from coursekit.grading.course import advice, export
    from coursekit.grading.course.gradebook import read_rows
    from coursekit.grading.course.records import read_records
    from coursekit.grading.course.settings import find_course, load_course
    from coursekit.grading.report.text import visible
    from coursekit.storage import write_atomically

    _refuse_misplaced(args)
    refuse_folder("--out", args.out, "marks.csv")
    everything = read_rows(args.gradebook)
    rows = export.choose(everything, args.exercise)
    if not args.unfinished:
        export.refuse_waiting(rows)
    found = find_course(args.course, args.gradebook.parent)
    course = load_course(found)
    made = _made(args, rows, course)
    with writing("--out", args.out):
        write_atomically(args.out, made.text)
    records = read_records(args.collected) if args.collected else []
    remarks = [*made.remarks, *advice.without_effect(course, everything)]
    remarks += [*advice.without_time(course, rows), *advice.marked_late(records, course, rows)]
    for remark in remarks:
        print(f"coursekit export: {visible(remark)}", file=sys.stderr)
    print(f"{len(rows)} rows of {args.gradebook.name} in {args.out}; {advice.said_of(found, course)}")
    return 0


def _made(args: argparse.Namespace, rows: list, course):
    from coursekit.grading.course import export

    if args.format == "canvas":
        return export.canvas(rows, course, args.collected, _titles(args.title))
    if args.format == "moodle":
        return export.moodle(rows, course, args.collected)
    return export.detail(rows) if args.detail else export.tidy(rows, course)


def _refuse_misplaced(args: argparse.Namespace) -> None:
    if args.detail and args.format != "csv":
        raise ValueError(f"--detail goes with --format csv, not with {args.format}")
    if args.title and args.format != "canvas":
        raise ValueError(f"--title goes with --format canvas, not with {args.format}")
    if args.out.resolve() == args.gradebook.resolve():
        raise ValueError(f"--out {args.out} is the gradebook; name another file")


def _titles(texts: list[str]) -> dict[str, str]:
    titles = {}
    for text in texts:
        name, equals, title = text.partition("=")
        if not (name and equals and title):
            raise ValueError(f"--title {text!r}: wanted NAME=TITLE, such as '01_complexity=Homework 1'")
        titles[name] = title
    return titles
