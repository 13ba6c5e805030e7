"""Tests and notebooks keep what they store apart from the user's own cache and ledger."""

import os
from pathlib import Path

from hypothesis import settings

# An example takes longer where a kernel is compiled, or others work on the machine.
settings.register_profile("course", deadline=None)
settings.load_profile("course")

HOME = Path(__file__).parent / ".pytest_cache" / "coursekit-home"


def pytest_configure(config):
    # Neither a worker nor a run that a test has started.
    is_outermost = os.environ.get("COURSEKIT_HOME") != str(HOME)
    os.environ["COURSEKIT_HOME"] = str(HOME)
    os.environ.setdefault("MPLBACKEND", "agg")
    os.environ["COURSEKIT_BUDGET"] = "0.3"  # lessons measure less long: their figures are not compared
    if is_outermost:  # a ledger of the run before would make a lesson's table differ from a first run's
        (HOME / "ledger.json").unlink(missing_ok=True)


def pytest_terminal_summary(terminalreporter):
    """The table of the CUDA kernels' machine code, which tests hand over line by line, and why it is missing."""
    lines = {
        value: None
        for outcome in ("passed", "failed")
        for done in terminalreporter.getreports(outcome)
        for name, value in done.user_properties
        if name == "cuda code"
    }
    if lines:
        from coursekit.kernels.cuda.report import HEADER

        terminalreporter.section("machine code of the CUDA kernels")
        for line in (HEADER, *sorted(lines)):
            terminalreporter.line(line)
