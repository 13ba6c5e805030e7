"""The grading commands, a module each: ``add`` describes it to the parser, ``run`` does it.

What a command needs is loaded when it is called, so that ``coursekit --help`` stays quick.
"""

import argparse
from pathlib import Path

from coursekit.grading.commands import check, collect, export, grade, lint, release, report, similar

COMMANDS = (check, collect, grade, report, similar, export, release, lint)


def add_all(commands) -> None:
    """Add every grading command to the sub-parsers of ``coursekit``."""
    solutions = argparse.ArgumentParser(add_help=False)
    solutions.add_argument("--solutions", type=Path, help="the folder of keys (default: found from here)")
    for module in COMMANDS:
        module.add(commands, solutions)
