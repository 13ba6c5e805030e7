"""The ``coursekit`` command. Each sub-command loads what it needs when it is called."""

import argparse
import sys
from pathlib import Path

import coursekit

OK, NOT_FULL, USAGE = 0, 1, 2


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status: 0 done, 1 not full marks, 2 it could not be done."""
    args = _parser().parse_args(argv)
    try:
        return args.run(args)
    except KeyboardInterrupt:
        print("\ncoursekit: interrupted; what was graded so far is kept", file=sys.stderr)
        return 130
    except (ValueError, OSError, RuntimeError) as error:
        print(f"coursekit {args.command}: {error}", file=sys.stderr)
        return USAGE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="coursekit", description=coursekit.__doc__.splitlines()[0])
    parser.add_argument("--version", action="version", version=f"coursekit {coursekit.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    solutions = argparse.ArgumentParser(add_help=False)
    solutions.add_argument("--solutions", type=Path, help="the folder of keys (default: found from here)")

    command = commands.add_parser("doctor", help="what this machine is, what it can reach, what is missing")
    command.add_argument("--refresh", action="store_true", help="measure the ceilings anew")
    command.set_defaults(run=_doctor)

    command = commands.add_parser("lessons", help="the lessons, and which are here")
    command.set_defaults(run=_lessons)

    command = commands.add_parser("check", parents=[solutions], help="mark your own notebook, now")
    command.add_argument("notebook", type=Path)
    command.add_argument("--seed", type=int, help="repeat a run with the seed it reported")
    command.set_defaults(run=_check)

    command = commands.add_parser(
        "grade", parents=[solutions], help="grade FOLDER/<learner>/<notebook>.ipynb"
    )
    command.add_argument("folder", type=Path)
    command.add_argument("--gradebook", type=Path, required=True, help="the SQLite file that marks go to")
    command.add_argument(
        "--exercise", action="append", default=[], help="grade this one only (may be repeated)"
    )
    command.add_argument("--seed", type=int, help="repeat a run with the seed it reported")
    command.set_defaults(run=_grade)

    command = commands.add_parser("report", help="pages of marks for learners, and an overview of the class")
    command.add_argument("--gradebook", type=Path, required=True)
    command.add_argument(
        "--out", type=Path, default=Path("reports"), help="the folder to write (default: reports)"
    )
    command.set_defaults(run=_report)

    command = commands.add_parser("release", parents=[solutions], help="make exercises/ from solutions/")
    command.add_argument("--exercises", type=Path, help="the folder to write (default: beside solutions)")
    command.set_defaults(run=_release)
    return parser


def _doctor(args: argparse.Namespace) -> int:
    from coursekit.measure.doctor import print_report

    print_report(refresh=args.refresh)
    return OK


def _lessons(args: argparse.Namespace) -> int:
    from coursekit import syllabus

    print(syllabus.plain_table())
    return OK


def _check(args: argparse.Namespace) -> int:
    from coursekit.grading import grade, tables
    from coursekit.grading.key import load_key
    from coursekit.grading.notebook import read_notebook

    read_notebook(args.notebook)
    key = load_key(_key_path(args.notebook, args.solutions))
    seed = grade.draw_seed() if args.seed is None else args.seed
    with tables.steps(key.name) as step:
        wanted = grade.expected(key, seed, lambda s: step(f"key, {s.label}"))
        result = grade.mark_file(key, args.notebook, wanted, seed, lambda s: step(f"yours, {s.label}"))
    tables.print_result(result, seed)
    return OK if result.is_full else NOT_FULL


def _grade(args: argparse.Namespace) -> int:
    from coursekit.grading import tables
    from coursekit.grading.classroom import grade_class, read_class
    from coursekit.grading.gradebook import Gradebook

    group = read_class(args.folder, _solutions(args.solutions, args.folder), args.exercise)
    with Gradebook(args.gradebook) as gradebook:
        rows = tables.follow(len(group), lambda told: grade_class(group, gradebook, args.seed, told))
    tables.print_class(rows, group.strays, args.gradebook)
    return OK


def _report(args: argparse.Namespace) -> int:
    from coursekit.grading.gradebook import Gradebook
    from coursekit.grading.report import write_reports

    if not args.gradebook.is_file():
        raise ValueError(f"there is no gradebook {args.gradebook}; coursekit grade makes one")
    with Gradebook(args.gradebook) as gradebook:
        rows = gradebook.rows()
    paths = write_reports(rows, args.out)
    print(f"{len(paths) - 1} learners' pages and the overview: {paths[0]}")
    return OK


def _release(args: argparse.Namespace) -> int:
    from coursekit.grading.release import release_all

    solutions = _solutions(args.solutions, Path.cwd())
    exercises = args.exercises or solutions.parent / "exercises"
    changed = release_all(solutions, exercises)
    print("\n".join(f"wrote {path}" for path in changed) or f"{exercises} is in step with {solutions}")
    return OK


def _solutions(named: Path | None, near: Path) -> Path:
    """The folder of keys: as named, or the nearest ``solutions/`` above `near`, here, or the checkout's."""
    if named is not None:
        if not named.is_dir():
            raise ValueError(f"--solutions {named} is not a folder")
        return named
    places = [*near.resolve().parents, Path.cwd(), *Path.cwd().parents, Path(coursekit.__file__).parents[1]]
    for place in [near.resolve(), *places]:
        if any((place / "solutions").glob("*.ipynb")):
            return place / "solutions"
    raise ValueError("there is no solutions/ folder here or above; name it with --solutions DIR")


def _key_path(notebook: Path, named: Path | None) -> Path:
    """The key for a notebook: by the exercise it says it is, else by its file name."""
    from coursekit.grading.notebook import exercise_of

    solutions = _solutions(named, notebook)
    for name in (exercise_of(notebook), notebook.stem):
        if name and (solutions / f"{Path(name).name}.ipynb").is_file():
            return solutions / f"{Path(name).name}.ipynb"
    known = ", ".join(path.stem for path in sorted(solutions.glob("*.ipynb")))
    raise ValueError(f"{notebook.name} is none of the exercises in {solutions}: {known}")
