"""Tests and notebooks keep what they store apart from the user's own cache and ledger."""

import os
from pathlib import Path

import pytest

HOME = Path(__file__).parent / ".pytest_cache" / "coursekit-home"


def pytest_configure(config):
    os.environ["COURSEKIT_HOME"] = str(HOME)
    os.environ.setdefault("MPLBACKEND", "agg")
    os.environ["COURSEKIT_BUDGET"] = "0.3"  # lessons measure less long: their figures are not compared
    # A ledger of the run before would make a lesson's table differ from a first run's.
    (HOME / "ledger.json").unlink(missing_ok=True)


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items):
    """With --dist loadgroup the tests of a file stay in one process, as a notebook's cells have to.

    The longest file is cut into operations, whose kernels take most of its time to compile.
    """
    for item in items:
        group = str(item.path)
        if item.path.name == "test_agreement.py" and hasattr(item, "callspec"):
            group += item.callspec.params["op"].name
        item.add_marker(pytest.mark.xdist_group(group))
