"""``coursekit check``: a learner's own marks, now."""

import argparse
from pathlib import Path

OK, NOT_FULL = 0, 1


def add(commands, solutions) -> None:
    command = commands.add_parser("check", parents=[solutions], help="mark your own notebook, now")
    command.add_argument("notebook", type=Path)
    command.add_argument("--seed", type=int, help="repeat a run with the seed it reported")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from coursekit.grading.commands.places import key_path
    from coursekit.grading.exercise.key import load_key
    from coursekit.grading.exercise.notebook import read_notebook
    from coursekit.grading.marking.grade import draw_seed, expected
    from coursekit.grading.marking.notebook import mark_file
    from coursekit.grading.report import tables

    read_notebook(args.notebook)
    key = load_key(key_path(args.notebook, args.solutions))
    seed = draw_seed() if args.seed is None else args.seed
    with tables.steps(key.name) as step:
        wanted = expected(key, seed, lambda s: step(f"key, {s.label}"))
        result = mark_file(key, args.notebook, wanted, seed, lambda text: step(f"yours, {text}"))
    tables.print_result(result, seed)
    return OK if result.is_full else NOT_FULL
