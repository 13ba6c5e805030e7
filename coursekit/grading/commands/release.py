"""``coursekit release``: what learners get, made from the keys."""

import argparse
from pathlib import Path


def add(commands, solutions) -> None:
    command = commands.add_parser("release", parents=[solutions], help="make exercises/ from solutions/")
    command.add_argument("--exercises", type=Path, help="the folder to write (default: beside solutions)")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from coursekit.grading.commands.places import find_solutions
    from coursekit.grading.exercise.release import release_all

    solutions = find_solutions(args.solutions, Path.cwd())
    exercises = args.exercises or solutions.parent / "exercises"
    changed = release_all(solutions, exercises)
    print("\n".join(f"wrote {path}" for path in changed) or f"{exercises} is in step with {solutions}")
    return 0
