"""The key: a notebook of ``solutions/``, read into tasks. It is the one source of an exercise.

Cell metadata ``coursekit = {"role": ..., "task": ...}`` says what a cell is for:

=========  ===========================================================================
given      text and scaffolding, released as it stands (the role of a cell without one)
answer     what the learner writes, between ``# BEGIN SOLUTION`` and ``# END SOLUTION``
wrong      a typical wrong answer, and in ``hint`` the words its visible check must say
check      visible, instant feedback in the notebook
judge      hidden; emits values for inputs that the learner has not seen
race       hidden, at most one a task; timed from outside against the solution, for ``points`` of its own
=========  ===========================================================================

An answer cell also carries ``points``, and may carry ``forbid`` (calls the task does not allow) and
``needs`` (tasks whose answers this one calls). A judge cell may carry ``rtol``, ``atol``, ``timeout``.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from coursekit.grading.exercise.notebook import BadNotebook, Cell, read_cells

ROLES = ("given", "answer", "wrong", "check", "judge", "race")
BEGIN, END = "# BEGIN SOLUTION", "# END SOLUTION"


@dataclass(frozen=True)
class Wrong:
    """A typical wrong answer, and the words that its check must say."""

    source: str
    hint: str


@dataclass(frozen=True)
class Task:
    """One task of an exercise. ``timeout`` is in seconds and holds for each of its cells.

    ``race`` is the source of its race cell, empty where it has none; ``race_points`` are what speed can earn.
    """

    name: str
    title: str
    points: int
    solution: str
    check: str
    judge: str
    wrongs: tuple[Wrong, ...]
    forbid: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    rtol: float = 1e-6
    atol: float = 1e-9
    timeout: float = 20.0
    race: str = ""
    race_points: int = 0


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


def load_key(path: Path) -> Key:
    """Read a key. Raises :class:`BadNotebook` where a role is unknown or a task is incomplete."""
    cells = tuple(read_cells(path))
    names = []
    for cell in cells:
        if cell.role not in ROLES:
            raise BadNotebook(f"{path.name}: role {cell.role!r} is not one of {', '.join(ROLES)}")
        if cell.role == "answer":
            names.append(cell.task)
    if len(set(names)) != len(names) or not all(names):
        raise BadNotebook(f"{path.name}: each answer cell needs a task name of its own; got {names}")
    tasks = {name: _task(path, name, cells) for name in names}
    for cell in cells:
        if cell.task is not None and cell.task not in tasks:
            raise BadNotebook(
                f"{path.name}: a {cell.role} cell is for task {cell.task!r}, which has no answer"
            )
    for index, name in enumerate(names):
        late = set(tasks[name].needs) - set(names[:index])
        if late:
            raise BadNotebook(
                f"{path.name}: {name!r} needs {', '.join(sorted(late))}, which does not stand before it"
            )
    return Key(path.stem, cells, hashlib.sha256(path.read_bytes()).hexdigest(), tasks)


def _task(path: Path, name: str, cells: tuple[Cell, ...]) -> Task:
    by_role = {role: [c for c in cells if c.task == name and c.role == role] for role in ROLES}
    for role in ("answer", "check", "judge"):
        if len(by_role[role]) != 1:
            raise BadNotebook(
                f"{path.name}: task {name!r} needs one {role} cell and has {len(by_role[role])}"
            )
    answer, judge = by_role["answer"][0], by_role["judge"][0]
    if not _is_points(answer.meta.get("points")):
        raise BadNotebook(f"{path.name}: task {name!r} needs points, a whole number from 1")
    lines = [line.strip() for line in answer.source.splitlines()]
    if lines.count(BEGIN) != lines.count(END) or BEGIN not in lines:
        raise BadNotebook(f"{path.name}: the answer of {name!r} needs {BEGIN} and {END}")
    races = by_role["race"]
    if len(races) > 1:
        raise BadNotebook(f"{path.name}: task {name!r} has {len(races)} race cells; one is wanted")
    if races and not _is_points(races[0].meta.get("points")):
        raise BadNotebook(f"{path.name}: the race of {name!r} needs points, a whole number from 1")
    options = {k: judge.meta[k] for k in ("rtol", "atol", "timeout") if k in judge.meta}
    return Task(
        name=name,
        title=_title(name, by_role["given"]),
        points=answer.meta["points"],
        solution=answer.source,
        check=by_role["check"][0].source,
        judge=judge.source,
        wrongs=tuple(Wrong(c.source, c.meta["hint"]) for c in by_role["wrong"]),
        forbid=tuple(answer.meta.get("forbid", ())),
        needs=tuple(answer.meta.get("needs", ())),
        race=races[0].source if races else "",
        race_points=races[0].meta["points"] if races else 0,
        **options,
    )


def _is_points(value: object) -> bool:
    return type(value) is int and value >= 1


def _title(name: str, given: list[Cell]) -> str:
    """The heading of the task's text."""
    for cell in given:
        if cell.kind == "markdown" and cell.source.startswith("#"):
            return cell.source.splitlines()[0].lstrip("# ")
    return name
