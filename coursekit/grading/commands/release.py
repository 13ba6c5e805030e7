"""``coursekit release``: what learners get, made from the keys."""

import argparse
from pathlib import Path


def add(commands, solutions) -> None:
    command = commands.add_parser(
        "release", parents=[solutions], help="make exercises/ from solutions/, or a folder to hand out"
    )
    place = command.add_mutually_exclusive_group()
    place.add_argument("--exercises", type=Path, help="the folder to write (default: beside solutions)")
    place.add_argument("--to", type=Path, metavar="FOLDER", help="make a folder to hand out to learners")
    command.add_argument(
        "--exercise",
        action="append",
        default=[],
        metavar="NAME",
        help="with --to: this one (may be repeated)",
    )
    command.add_argument("--course", type=Path, help="with --to: course.toml (default: found from solutions)")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from coursekit.grading.commands.places import find_solutions, writing
    from coursekit.grading.exercise.release import release_all

    solutions = find_solutions(args.solutions, Path.cwd())
    if args.to:
        return _hand_out(args, solutions)
    if args.exercise or args.course:
        raise ValueError("--exercise and --course go with --to FOLDER; without it every exercise is released")
    exercises = args.exercises or solutions.parent / "exercises"
    with writing("--exercises", exercises):
        changed = release_all(solutions, exercises)
    print("\n".join(f"wrote {path}" for path in changed) or f"{exercises} is in step with {solutions}")
    return 0


def _hand_out(args: argparse.Namespace, solutions: Path) -> int:
    from coursekit.grading.commands.places import writing
    from coursekit.grading.course.settings import find_course, load_course
    from coursekit.grading.exercise.handout import hand_out

    course = load_course(find_course(args.course, solutions))
    due = {name: _spell(course.due_for("", name)) for name in course.due}
    with writing("--to", args.to):
        paths = hand_out(solutions, args.to, args.exercise, course.title, due)
    print("\n".join(f"wrote {path}" for path in paths))
    return 0


def _spell(due) -> str:
    return f"{due.day} {due:%B %Y, %H:%M} ({due.tzinfo})"
