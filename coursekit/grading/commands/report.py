"""``coursekit report``: pages of marks."""

import argparse
import sys
from collections.abc import Iterable, Mapping
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
    command.add_argument(
        "--collected",
        type=Path,
        metavar="FOLDER",
        help="where coursekit collect put them: its numbers of the learners go into pages.csv",
    )
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from coursekit.grading.commands.places import find_keys
    from coursekit.grading.course.advice import said_of, without_effect
    from coursekit.grading.course.gradebook import read_rows
    from coursekit.grading.course.settings import find_course, load_course
    from coursekit.grading.exercise.release import handed_out
    from coursekit.grading.report.files import LIST, old_pages
    from coursekit.grading.report.pages import write_reports
    from coursekit.grading.report.text import visible

    if args.out.exists() and not args.out.is_dir():
        raise ValueError(f"--out {args.out} is a file; wanted: a folder for the pages")
    rows = read_rows(args.gradebook)
    if not rows:
        raise ValueError(f"{args.gradebook} holds no marks, so no page was written; coursekit grade fills it")
    found = find_course(args.course, args.gradebook)
    course = load_course(found)
    keys = find_keys(rows, args.solutions, args.gradebook)
    titles = {name: key.title for name, key in keys.items()}
    ids = _numbers(args.collected)
    before = old_pages(args.out)
    try:
        paths = write_reports(rows, args.out, course, handed_out(keys), titles=titles, ids=ids)
    except OSError as error:
        raise ValueError(
            f"the pages cannot be written to {args.out} ({error.strerror}); name another folder with --out"
        ) from None
    said = said_of(found, course)
    print(f"{said[0].upper()}{said[1:]}")
    for sentence in without_effect(course, rows):
        print(f"coursekit report: {visible(sentence)}", file=sys.stderr)
    print(f"{len(paths) - 1} learners' pages and the overview: {paths[0]}; their list: {args.out / LIST}")
    gone = [path for path in before if not path.exists()]
    if gone:
        print(
            f"Deleted, of learners who are no longer in the gradebook: {len(gone)} old page{'s' * (len(gone) > 1)}"
        )
    return 0


def _numbers(collected: Path | None) -> Mapping[str, str]:
    """A learner's number on the platform, as ``handed_in.csv`` has it."""
    from coursekit.grading.course.records import RECORDS, read_records

    if collected is None:
        return {}
    records: Iterable = read_records(collected)
    if not records:
        raise ValueError(f"--collected {collected} has no {RECORDS}; coursekit collect writes one")
    return {record.learner: record.lms_id for record in records if record.lms_id}
