"""``coursekit lint``: what is wrong with an exercise of one's own."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

CLEAN, FOUND, UNREADABLE = 0, 1, 2
SEED = 1


def add(commands, solutions) -> None:
    command = commands.add_parser("lint", help="name everything that is wrong with an exercise of your own")
    command.add_argument("keys", type=Path, nargs="+", metavar="KEY", help="a notebook, or a folder of them")
    command.add_argument("--seed", type=int, default=SEED, help=f"for the drawn inputs (default: {SEED})")
    command.add_argument("--no-run", action="store_true", help="only what can be said without running it")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from coursekit.grading.exercise.notebook import BadNotebook

    if args.seed < 0:
        raise ValueError(f"--seed {args.seed}: a whole number from 0 is wanted")
    status = CLEAN
    for path in list(_notebooks(args.keys)):
        try:
            status = max(status, _lint(path, None if args.no_run else args.seed))
        except (BadNotebook, OSError) as error:
            print(f"coursekit lint: {error}", file=sys.stderr)
            status = UNREADABLE
    return status


def _notebooks(named: list[Path]) -> Iterator[Path]:
    """The keys that are meant: of a folder, the notebooks in it. Raises ValueError."""
    for path in named:
        found = sorted(path.glob("*.ipynb")) if path.is_dir() else [path]
        if not found:
            inner = path / "solutions"
            near = f"; did you mean {inner}?" if any(inner.glob("*.ipynb")) else ""
            raise ValueError(f"the folder {path} holds no notebooks (*.ipynb){near}")
        if path.suffix == ".py":
            raise ValueError(
                f"{path} is the text of a notebook; make the notebook of it, and lint that: "
                f"jupytext --to ipynb {path} && coursekit lint {path.with_suffix('.ipynb')}"
            )
        yield from found


def _lint(path: Path, seed: int | None) -> int:
    """Print the findings of one key, without running it where there is no seed; returns the status."""
    from coursekit.grading.exercise.key import load_key
    from coursekit.grading.exercise.notebook import read_cells
    from coursekit.grading.lint.findings import can_run, lint

    findings = lint(path)
    key = load_key(path) if can_run(list(read_cells(path))) else None
    if seed is not None and key and key.tasks:
        findings = sorted([*findings, *_proof(path, key, seed)])
    for finding in findings:
        print(f"{path}, {finding}" if finding.cell else f"{path}: {finding}")
    wrong = sum(not finding.is_warning for finding in findings)
    if wrong:
        later = "; the rest shows when these are mended" if key is None and seed is not None else ""
        print(f"{path}: {_count(wrong, 'finding')}{later}")
        return FOUND
    how = "" if seed is not None else ", without running it"
    warned = f", {_count(len(findings), 'warning')}" if findings else ""
    print(f"{path}: nothing to mend in {len(key.tasks)} tasks, {key.points} points{how}{warned}")
    return CLEAN


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _proof(path: Path, key, seed: int) -> list:
    """What shows when the key runs."""
    from coursekit.grading.lint.findings import located
    from coursekit.grading.marking.proof import find_problems
    from coursekit.grading.report import tables

    with tables.steps(key.name) as step:
        return located(path, find_problems(key, seed, lambda done: step(done.label)))
