"""What an attack is, the key that is attacked, and how an attack becomes a file that is handed in."""

import json
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from coursekit.grading.exercise.release import release
from coursekit.grading.marking.result import Mark, Result
from tests.grading.conftest import DOUBLE, MEAN, TOTAL, key_cells, write_notebook

NAME = "00_small"
SECONDS = 2  # for the task under attack
HONEST = "def double(x):\n    return 2 * np.asarray(x)"
WRONG = "def double(x):\n    return 3 * np.asarray(x)"
RIGHT = {"double": DOUBLE, "total": TOTAL, "mean": MEAN}
ALL = (1, 2, 3)
REST = (0, 2, 3)  # all but the points of the task under attack
CANARY = "canary-7f3a"  # stands wherever no kernel may look


@dataclass(frozen=True)
class Attack:
    """A hostile learner, and what has to come of it.

    The notebook is the exercise with the right answers, save for `source` as the answer of ``double`` (or `answers`, by
    task), and then `change`, which gets its JSON. Or `write` makes whatever it wants of the learner's folder.
    `status` (of ``double``, or of the submission where nothing was graded), `says` (the learner's sentence) and
    `shows` (what its visible check printed) are regular expressions. `open` says where a defect is that lets the
    attack succeed: the test then expects to fail.
    """

    source: str = ""
    answers: dict[str, str] = field(default_factory=dict)
    change: Callable[[dict], None] | None = None
    write: Callable[[Path], None] | None = None
    points: tuple[int, ...] = REST
    status: str = "wrong"
    says: str = ""
    shows: str = ""
    task: str = "double"
    quick: bool = False
    open: str = ""

    def hand_in(self, folder: Path, course: "Course") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        if self.write is not None:
            self.write(folder)
            return
        answers = RIGHT | ({self.task: self.source} if self.source else {}) | self.answers
        answers = {task: course.fill(textwrap.dedent(source)) for task, source in answers.items()}
        notebook = exercise(course.solutions, answers)
        if self.change is not None:
            self.change(notebook)
        (folder / f"{NAME}.ipynb").write_text(json.dumps(notebook), encoding="utf-8")

    def verify(self, result: Result) -> None:
        """Whether the marks, the status and the sentence are what they have to be."""
        mark = next((mark for mark in result.marks if mark.task == self.task), None)
        found = mark if mark is not None else Mark("", "", 0, 0, result.status, result.message)
        earned = tuple(mark.points for mark in result.marks)
        told = f"{earned}, {found.status}: {found.message}\n{found.feedback[-300:]}\n{result.notes}"
        assert earned == self.points, told
        assert re.fullmatch(self.status, found.status), told
        assert re.search(self.says, found.message), told
        assert re.search(self.shows, found.feedback, re.DOTALL), told
        for text in (found.message, found.feedback, *result.notes):
            assert CANARY not in text, told
            assert len(text) <= 5000, "a learner's text has to be bounded"


@dataclass(frozen=True)
class Course:
    """The folders of a grading run, and what a payload may be told of this machine: ``@NAME@`` in its source."""

    solutions: Path
    group: Path
    facts: dict[str, object]

    def fill(self, source: str) -> str:
        for name, value in self.facts.items():
            source = source.replace(f"@{name}@", repr(value))
        return source


def when_called(lines: str, task: str = "total", **options) -> Attack:
    """An answer that is right, had it not done this before. (There is more time for ``total``.)"""
    body = "\n".join("    " + line for line in lines.strip("\n").splitlines())
    head = f"import os, re, signal, subprocess, sys, threading, time\ndef {task}(x):\n"
    end = {"double": "2 * np.asarray(x)", "total": "float(np.add.reduce(x))"}[task]
    points = {"double": REST, "total": (1, 0, 0)}[task]
    return Attack(f"{head}{body}\n    return {end}", **({"points": points, "task": task} | options))


def exercise(solutions: Path, answers: dict[str, str]) -> dict:
    """The released exercise as JSON, with these answers in it."""
    notebook = json.loads(release(solutions / f"{NAME}.ipynb"))
    for cell in notebook["cells"]:
        task = cell["metadata"].get("coursekit", {}).get("task")
        if cell["id"].startswith("answer-") and task in answers:
            cell["source"] = answers[task]
    return notebook


def answer_cell(notebook: dict, task: str = "double") -> dict:
    return next(cell for cell in notebook["cells"] if cell["id"] == f"answer-{task}")


def write_key(folder: Path) -> Path:
    """The small key, with little time for the task under attack and a canary in a solution."""
    cells = key_cells()
    times = {"double": SECONDS, "total": 15, "mean": 15}
    for cell in cells:
        own = cell["metadata"]["coursekit"]
        if own["role"] == "judge":
            own["timeout"] = times[own["task"]]
        if own["role"] == "answer" and own["task"] == "mean":
            cell["source"] = cell["source"].replace("# BEGIN SOLUTION", f"# BEGIN SOLUTION\n    # {CANARY}")
    return write_notebook(folder / f"{NAME}.ipynb", cells)
