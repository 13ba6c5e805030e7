"""The ``coursekit`` command. Each sub-command loads what it needs when it is called."""

import argparse
import sys

import coursekit
from coursekit.grading import commands as grading

OK, USAGE, INTERRUPTED = 0, 2, 130


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status: 0 done, 1 not full marks, 2 it could not be done."""
    args = _parser().parse_args(argv)
    try:
        return args.run(args)
    except KeyboardInterrupt:
        print("\ncoursekit: interrupted; what was graded so far is kept", file=sys.stderr)
        return INTERRUPTED
    except (ValueError, OSError, RuntimeError) as error:
        print(f"coursekit {args.command}: {error}", file=sys.stderr)
        return USAGE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="coursekit", description=coursekit.__doc__.splitlines()[0])
    parser.add_argument("--version", action="version", version=f"coursekit {coursekit.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    command = commands.add_parser("doctor", help="what this machine is, what it can reach, what is missing")
    command.add_argument("--refresh", action="store_true", help="measure the ceilings anew")
    command.set_defaults(run=_doctor)

    command = commands.add_parser("lessons", help="the lessons, and which are here")
    command.set_defaults(run=_lessons)

    grading.add_all(commands)
    return parser


def _doctor(args: argparse.Namespace) -> int:
    from coursekit.measure.doctor import print_report

    print_report(refresh=args.refresh)
    return OK


def _lessons(args: argparse.Namespace) -> int:
    from coursekit import syllabus

    print(syllabus.plain_table())
    return OK
