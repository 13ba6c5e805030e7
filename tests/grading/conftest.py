"""A small key, written down here cell by cell, and ways to make what learners hand in."""

import json
from pathlib import Path

import nbformat
import pytest

from coursekit.grading.exercise.key import load_key
from coursekit.grading.exercise.release import release

GIVEN = "import numpy as np\n\nfrom coursekit.grading import Check"

DOUBLE = '''def double(x):
    """Twice x."""
    # BEGIN SOLUTION
    return 2 * np.asarray(x)
    # END SOLUTION'''

TOTAL = '''def total(x):
    """The sum of x, without numpy.sum."""
    # BEGIN SOLUTION
    s = 0.0
    for value in x:
        s += value
    return s
    # END SOLUTION'''

MEAN = '''def mean(x):
    """The mean of x; ValueError where it is empty."""
    # BEGIN SOLUTION
    if len(x) == 0:
        raise ValueError("x is empty")
    return total(x) / len(x)
    # END SOLUTION'''


def code(source: str, role: str, task: str | None = None, **meta) -> nbformat.NotebookNode:
    own = {"role": role} | ({"task": task} if task else {}) | meta
    return nbformat.v4.new_code_cell(source, metadata={"coursekit": own})


def text(source: str, task: str | None = None) -> nbformat.NotebookNode:
    own = {"role": "given"} | ({"task": task} if task else {})
    return nbformat.v4.new_markdown_cell(source, metadata={"coursekit": own})


def judge(task: str, calls: str) -> str:
    return f'from coursekit.grading.judge import judge\n\nemit, rng = judge("{task}")\n{calls}'


def key_cells() -> list:
    return [
        text("# A small exercise"),
        code(GIVEN, "given"),
        text("## Task 1: double", "double"),
        code(DOUBLE, "answer", "double", points=1),
        code("def double(x):\n    return np.asarray(x) ** 2", "wrong", "double", hint="not its square"),
        code(
            'with Check("double") as check:\n'
            '    check(double, [1, 3], want=[2, 6], hints={"Twice, not its square.": [1, 9]})',
            "check",
            "double",
        ),
        code(
            judge("double", 'emit("drawn", double, rng.normal(size=5))\nemit("empty", double, np.zeros(0))'),
            "judge",
            "double",
        ),
        text("## Task 2: total", "total"),
        code(TOTAL, "answer", "total", points=2, forbid=["numpy.sum", ".sum", "sum", "math.fsum"]),
        code("def total(x):\n    return x[0]", "wrong", "total", hint="the first only"),
        code(
            'with Check("total") as check:\n    check(total, [1, 2], want=3.0, hints={"That is the first only.": 1})',
            "check",
            "total",
        ),
        code(
            judge("total", 'emit("drawn", total, rng.normal(size=5))\nemit("empty", total, [])'),
            "judge",
            "total",
            timeout=4,
        ),
        text("## Task 3: mean", "mean"),
        code(MEAN, "answer", "mean", points=3, needs=["total"]),
        code("def mean(x):\n    return total(x)", "wrong", "mean", hint="how many"),
        code(
            'with Check("mean") as check:\n'
            '    check(mean, [1, 3], want=2.0, hints={"Divide by how many there are.": 4})\n'
            "    check(mean, [], raises=ValueError)",
            "check",
            "mean",
        ),
        code(
            judge("mean", 'emit("drawn", mean, rng.normal(size=5))\nemit("empty", mean, [])'), "judge", "mean"
        ),
    ]


def write_notebook(path: Path, cells: list, metadata: dict | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=metadata or {})
    path.write_text(nbformat.writes(notebook), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def solutions(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("course") / "solutions"
    write_notebook(folder / "00_small.ipynb", key_cells())
    return folder


@pytest.fixture(scope="session")
def key(solutions):
    return load_key(solutions / "00_small.ipynb")


@pytest.fixture(scope="session")
def wanted(key):
    from coursekit.grading.marking.grade import expected

    return expected(key, seed=7)


@pytest.fixture
def hand_in(solutions):
    """Write a learner's notebook: the released exercise with these answers in place of its own."""

    def write(path: Path, answers: dict[str, str], **changes) -> Path:
        notebook = json.loads(release(solutions / "00_small.ipynb"))
        for cell in notebook["cells"]:
            task = cell["metadata"].get("coursekit", {}).get("task")
            if cell["id"].startswith("answer-") and task in answers:
                cell["source"] = answers[task]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(notebook | changes), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def right(key) -> dict[str, str]:
    return {name: task.solution for name, task in key.tasks.items()}
