"""Tests and notebooks keep what they store apart from the user's own cache and ledger."""

import os
from pathlib import Path

HOME = Path(__file__).parent / ".pytest_cache" / "coursekit-home"


def pytest_configure(config):
    os.environ["COURSEKIT_HOME"] = str(HOME)
    os.environ.setdefault("MPLBACKEND", "agg")
    os.environ["COURSEKIT_BUDGET"] = "0.3"  # lessons measure less long: their figures are not compared
    # A ledger of the run before would make a lesson's table differ from a first run's.
    (HOME / "ledger.json").unlink(missing_ok=True)
