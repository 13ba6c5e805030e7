"""Tests and notebooks keep what they store apart from the user's own cache and ledger; and who runs beside whom."""

import os
from pathlib import Path

import pytest

HOME = Path(__file__).parent / ".pytest_cache" / "coursekit-home"


def pytest_configure(config):
    # Neither a worker nor a run that a test has started.
    is_outermost = os.environ.get("COURSEKIT_HOME") != str(HOME)
    os.environ["COURSEKIT_HOME"] = str(HOME)
    os.environ.setdefault("MPLBACKEND", "agg")
    os.environ["COURSEKIT_BUDGET"] = "0.3"  # lessons measure less long: their figures are not compared
    if is_outermost:  # a ledger of the run before would make a lesson's table differ from a first run's
        (HOME / "ledger.json").unlink(missing_ok=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """What a worker takes at a time, with ``--dist loadgroup --no-loadscope-reorder``.

    A file, whose cells or fixtures belong together; or those tests of it that share an operation, since they compile
    the same kernels, a notebook, or a machine's settings. What takes long comes first, so that no worker is left with
    it at the end.
    """
    groups = {}
    for item in items:
        groups.setdefault(f"{item.path.parent.name}/{item.path.stem} {_topic(item)}", []).append(item)
    for name, members in groups.items():
        for item in members:
            item.add_marker(pytest.mark.xdist_group(name))
    items[:] = [item for members in sorted(groups.values(), key=_is_short) for item in members]


def _topic(item) -> str:
    if item.get_closest_marker("xdist_group"):
        return ""
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    path = parameters.get("path")
    if getattr(path, "suffix", "") == ".ipynb":
        return path.stem
    return getattr(parameters.get("op"), "name", "") or parameters.get("setting", "")


def _is_short(members) -> bool:
    is_notebook = members[0].path.suffix == ".ipynb"
    return not is_notebook and all(item.get_closest_marker("slow") is None for item in members)


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
