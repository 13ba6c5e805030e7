"""The key: a notebook of ``solutions/``, read into tasks. It is the one source of an exercise.

Cell metadata ``coursekit = {"role": ..., "task": ...}`` says what a cell is for:

=========  ===========================================================================
given      text and scaffolding, released as it stands (the role of a cell without one)
answer     what the learner writes, between ``# BEGIN SOLUTION`` and ``# END SOLUTION``
wrong      a typical wrong answer, and in ``hint`` the words its visible check must say
check      visible, instant feedback in the notebook
judge      hidden; emits values for inputs that the learner has not seen
race       hidden, at most one a task; time, or what it ``counts``, against the solution's, for own ``points``
=========  ===========================================================================

``METADATA`` says what else each may carry; docs/exercises.md says what it means.
"""

import hashlib
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from coursekit.grading.exercise.notebook import BadNotebook, Cell, read_cells

METADATA = {
    "given": (),
    "answer": ("points", "forbid", "allow", "needs"),
    "wrong": ("hint",),
    "check": (),
    "judge": ("rtol", "atol", "timeout"),
    "race": ("points", "none", "counts"),
}
ROLES = tuple(METADATA)
NAME = re.compile(r"[A-Za-z0-9_-]{1,57}")  # role and name make a cell's id, of 64 characters at most
BEGIN, END = "# BEGIN SOLUTION", "# END SOLUTION"


@dataclass(frozen=True)
class Wrong:
    """A typical wrong answer, and the words that its check must say."""

    source: str
    hint: str


@dataclass(frozen=True)
class Task:
    """One task of an exercise. ``timeout`` is in seconds and holds for each of its cells.

    ``race`` is the source of its race cell, empty where it has none; ``race_points`` are what speed can earn, and
    ``race_none`` is how many times the solution's time earns none of them. ``race_counts`` names what is counted in
    the place of time, as in "sectors"; it is empty where the clock decides.
    """

    name: str
    title: str
    points: int
    solution: str
    check: str
    judge: str
    wrongs: tuple[Wrong, ...]
    forbid: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    rtol: float = 1e-6
    atol: float = 1e-9
    timeout: float = 20.0
    race: str = ""
    race_points: int = 0
    race_none: float = 10.0
    race_counts: str = ""


@dataclass(frozen=True)
class Key:
    """An exercise: its cells in order, and its tasks by name."""

    name: str
    cells: tuple[Cell, ...]
    digest: str
    tasks: dict[str, Task] = field(default_factory=dict)

    @property
    def points(self) -> int:
        return sum(task.points + task.race_points for task in self.tasks.values())

    @property
    def title(self) -> str:
        """The exercise's first heading; its name where it has none."""
        lines = (line for cell in self.cells if cell.kind == "markdown" for line in cell.source.splitlines())
        return next((line.lstrip("#").strip() for line in lines if line.startswith("#")), self.name)


class Problem(NamedTuple):
    """What is wrong with a key. ``index`` is the place of the cell among its cells, None where it is none's.

    A warning need not be mended.
    """

    text: str
    index: int | None = None
    is_warning: bool = False


def load_key(path: Path) -> Key:
    """Read a key. Raises :class:`BadNotebook` with the first of its :func:`problems`."""
    cells = tuple(read_cells(path))
    for problem in problems(cells):
        raise BadNotebook(f"{path.name}: {problem.text}")
    tasks = {cell.task: _task(cell.task, cells) for cell in cells if cell.role == "answer"}
    return Key(path.stem, cells, hashlib.sha256(path.read_bytes()).hexdigest(), tasks)


def problems(cells: Sequence[Cell]) -> Iterator[Problem]:
    """Whatever keeps these cells from being a key."""
    for index, cell in enumerate(cells):
        yield from _cell_problems(index, cell)
    answers = {i: c.task for i, c in enumerate(cells) if c.role == "answer" and isinstance(c.task, str)}
    names = list(answers.values())
    for place, (index, name) in enumerate(answers.items()):
        if name in names[:place]:
            yield Problem(f"each answer cell needs a task name of its own; got {names}", index)
    for index, cell in enumerate(cells):
        if isinstance(cell.task, str) and cell.task not in names:
            yield Problem(f"a {cell.role} cell is for task {cell.task!r}, which has no answer", index)
    for index, name in answers.items():
        yield from _task_problems(index, name, cells)
        late = [need for need in _strings(cells[index], "needs") if need not in names[: names.index(name)]]
        if late:
            yield Problem(f"{name!r} needs {', '.join(late)}, which does not stand before it", index)


def _cell_problems(index: int, cell: Cell) -> Iterator[Problem]:
    role, task, meta = cell.role, cell.task, cell.meta
    if role not in ROLES:
        yield Problem(f"role {role!r} is not one of {', '.join(ROLES)}", index)
        return
    if role != "given" and cell.kind != "code":
        yield Problem(f"a {cell.kind} cell has the role {role!r}; it has to be a code cell", index)
    if role != "given" and task is None:
        yield Problem(f'a {role} cell needs a task: "task": "..." in its coursekit metadata', index)
    if task is not None and not (isinstance(task, str) and NAME.fullmatch(task)):
        yield Problem(f"task {task!r} is no name: letters, digits, _ and - are wanted, at most 57", index)
    whose = f"the race of {task!r}" if role == "race" else f"task {task!r}"
    if "points" in METADATA[role] and not _is_points(meta.get("points")):
        yield Problem(f"{whose} needs points, a whole number from 1; got {meta.get('points')!r}", index)
    if role == "wrong" and not (isinstance(meta.get("hint"), str) and meta["hint"].strip()):
        yield Problem(f"a wrong answer of {task!r} needs a hint: words that the task's check says", index)
    if role == "race" and not (isinstance(meta.get("counts", "x"), str) and meta.get("counts", "x").strip()):
        yield Problem(
            f"counts of {whose} has to be a word for what is counted; got {meta['counts']!r}", index
        )
    for name in ("forbid", "allow", "needs"):
        if name in METADATA[role] and name in meta and _strings(cell, name) != meta[name]:
            yield Problem(f"{name} of {whose} has to be a list of names; got {meta[name]!r}", index)
    for name, wanted in (
        ("rtol", "from 0"),
        ("atol", "from 0"),
        ("timeout", "above 0"),
        ("none", "above 1.2"),
    ):
        if name in METADATA[role] and name in meta and not _is_amount(meta[name], wanted):
            yield Problem(f"{name} of {whose} has to be a number {wanted}; got {meta[name]!r}", index)


def _task_problems(index: int, name: str, cells: Sequence[Cell]) -> Iterator[Problem]:
    for role in ("check", "judge", "race"):
        found = [i for i, cell in enumerate(cells) if cell.role == role and cell.task == name]
        if not found and role != "race":
            todo = f'add a code cell with {{"role": "{role}", "task": "{name}"}}'
            yield Problem(f"task {name!r} needs one {role} cell and has 0: {todo}", index)
        if len(found) > 1:
            todo = "make one of them"
            yield Problem(f"task {name!r} needs one {role} cell and has {len(found)}: {todo}", found[1])
    marks = [line.strip() for line in cells[index].source.splitlines() if line.strip() in (BEGIN, END)]
    if not marks or marks != [BEGIN, END] * (len(marks) // 2):
        todo = f"a line {BEGIN} before what the learner writes, and a line {END} after it"
        yield Problem(f"the answer of {name!r} needs {todo}", index)


def _task(name: str, cells: Sequence[Cell]) -> Task:
    by_role = {role: [c for c in cells if c.task == name and c.role == role] for role in ROLES}
    answer, judge, races = by_role["answer"][0], by_role["judge"][0], by_role["race"]
    return Task(
        name=name,
        title=_title(name, by_role["given"]),
        points=answer.meta["points"],
        solution=answer.source,
        check=by_role["check"][0].source,
        judge=judge.source,
        wrongs=tuple(Wrong(c.source, c.meta["hint"]) for c in by_role["wrong"]),
        forbid=tuple(answer.meta.get("forbid", ())),
        allow=tuple(answer.meta.get("allow", ())),
        needs=tuple(answer.meta.get("needs", ())),
        race=races[0].source if races else "",
        race_points=races[0].meta["points"] if races else 0,
        race_none=races[0].meta.get("none", Task.race_none) if races else Task.race_none,
        race_counts=races[0].meta.get("counts", "") if races else "",
        **{option: judge.meta[option] for option in METADATA["judge"] if option in judge.meta},
    )


def _strings(cell: Cell, name: str) -> list[str]:
    """The texts in a list of the metadata; whatever else stands there is left out."""
    value = cell.meta.get(name)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _is_points(value: object) -> bool:
    return type(value) is int and value >= 1


def _is_amount(value: object, wanted: str) -> bool:
    how, least = wanted.split()
    is_number = type(value) in (int, float) and value < math.inf
    return is_number and (value > float(least) or (value == float(least) and how == "from"))


def _title(name: str, given: list[Cell]) -> str:
    """The heading of the task's text."""
    for cell in given:
        if cell.kind == "markdown" and cell.source.startswith("#"):
            return cell.source.splitlines()[0].lstrip("# ")
    return name
