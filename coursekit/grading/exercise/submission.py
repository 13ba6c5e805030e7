"""What a learner handed in: which file it is, and the answers in it. Nothing else of it is used."""

import re
from dataclasses import dataclass
from pathlib import Path

from coursekit.grading.exercise.key import Key
from coursekit.grading.exercise.notebook import BadNotebook, Cell, exercise_of, read_cells
from coursekit.grading.exercise.release import skeleton

MAX_CHARACTERS = 200_000  # of an answer
MAX_LOOKED_AT = 50  # notebooks in a folder, where none has the exercise's name


@dataclass(frozen=True)
class Answers:
    """Answer sources by task (a task whose cell is gone is not in it), and remarks for the learner."""

    sources: dict[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """The file that stands for a learner's exercise. Without a path, ``status`` and ``message`` say why."""

    path: Path | None
    status: str = "found"
    message: str = ""


def read_answers(path: Path, key: Key) -> Answers:
    """The learner's answer cells, by the id that release gave them, else by their task's name."""
    code = [cell for cell in read_cells(path) if cell.kind == "code"]
    sources, notes = {}, []
    for task in key.tasks:
        cells = _claims(task, key.tasks[task].solution, code)
        written = [c for c in cells if not is_empty(c.source, key.tasks[task].solution)]
        if cells:
            source = (written or cells)[0].source
            sources[task] = source[:MAX_CHARACTERS]
            if len(source) > MAX_CHARACTERS:
                notes.append(
                    f"the answer of {task!r} is too long and was cut at {MAX_CHARACTERS:,} characters"
                )
        if len(written) > 1:
            notes.append(f"{len(written)} cells claim to answer {task!r}; the first was graded")
    own = sum(_is_own(cell, key) for cell in code)
    if own:
        notes.append(
            f"{own} code cell{'s' if own > 1 else ''} of your own {'were' if own > 1 else 'was'} not run: "
            "what an answer needs belongs in its answer cell"
        )
    return Answers(sources, tuple(notes))


def is_empty(source: str, task_solution: str) -> bool:
    """Whether nothing was added to what release handed out."""
    return _bare(source) == _bare(skeleton(task_solution))


def find(folder: Path, key: Key) -> Found:
    """Which file of a learner's folder is the exercise."""
    exercise = key.name
    exact = folder / f"{exercise}.ipynb"
    claims = sorted(p for p in _notebooks(folder) if p != exact and _is_exercise(p, key))
    if exact.is_symlink() or exact.exists():
        others = ", ".join(p.name for p in claims)
        return Found(exact, message=f"{exact.name} was graded; {others} was not" if claims else "")
    if len(claims) == 1:
        return Found(claims[0], message=f"the file was called {claims[0].name}, not {exact.name}")
    if claims:
        names = ", ".join(p.name for p in claims)
        return Found(
            None, "duplicated", f"{names} all claim to be {exercise}, and none is called {exact.name}"
        )
    return Found(None, "missing", f"there is no {exact.name}{_instead(folder)}")


def _claims(task: str, solution: str, code: list[Cell]) -> list[Cell]:
    """The cells that can be the task's answer: by id, by metadata, or else by what they define."""
    by_id = [c for c in code if c.id == f"answer-{task}"]
    by_task = [c for c in code if c.role == "answer" and c.task == task and c.id != f"answer-{task}"]
    if by_id or by_task:
        return by_id + by_task
    start = re.search(r"^(?:def|class) \w+", solution, re.MULTILINE)
    return [c for c in code if start and re.search(rf"^{start[0]}\b", c.source, re.MULTILINE)]


def _is_exercise(path: Path, key: Key) -> bool:
    """Whether the notebook says so, or, where it says nothing, has an answer cell for every task."""
    said = exercise_of(path)
    if said is not None:
        return said == key.name
    try:
        return len(read_answers(path, key).sources) == len(key.tasks)
    except (BadNotebook, OSError):
        return False


def _notebooks(folder: Path) -> list[Path]:
    named = sorted(p for p in folder.iterdir() if p.suffix.lower() == ".ipynb")
    return [p for p in named if p.is_file() and not p.is_symlink()][:MAX_LOOKED_AT]


def _instead(folder: Path) -> str:
    """What stands in the folder, and why it is not taken."""
    names = []
    for path in sorted(p for p in folder.iterdir() if not p.name.startswith("."))[:5]:
        try:
            list(read_cells(path))
            names.append(f"{path.name} (of another exercise)")
        except (BadNotebook, OSError):
            names.append(f"{path.name} (no readable notebook)")
    return f"; the folder holds {', '.join(names)}" if names else "; the folder is empty"


def _is_own(cell: Cell, key: Key) -> bool:
    if not cell.source.strip() or cell.id.startswith(("answer-", "check-", "given-")):
        return False
    known = {c.source.strip() for c in key.cells if c.kind == "code"}
    return cell.source.strip() not in known and cell.role != "answer"


def _bare(source: str) -> list[str]:
    return [line.strip() for line in source.splitlines() if line.strip()]
