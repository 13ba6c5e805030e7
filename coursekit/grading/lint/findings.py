"""What can be said against a key without running it. What only shows when it runs is in ``marking/proof.py``."""

import ast
import difflib
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from coursekit.grading.exercise.format import nbformat
from coursekit.grading.exercise.handout import Leak, refuse_leaks
from coursekit.grading.exercise.key import BEGIN, END, METADATA, ROLES, Problem, load_key, problems
from coursekit.grading.exercise.notebook import Cell, read_cells, read_notebook
from coursekit.grading.exercise.release import release
from coursekit.grading.lint.imported import why_unreadable
from coursekit.grading.lint.tasks import task_problems
from coursekit.grading.lint.trees import tree

SHOWN_CHARACTERS = 60


@dataclass(frozen=True, order=True)
class Finding:
    """One thing to mend, or to know (a warning).

    ``cell`` is its number in the notebook, from 1 (0 where it is no cell's), ``first`` its first line.
    """

    cell: int
    first: str
    text: str
    is_warning: bool = False

    def __str__(self) -> str:
        place = f"cell {self.cell} ({self.first}): " if self.cell else ""
        return _plain(place + "warning: " * self.is_warning + self.text)


def lint(path: Path) -> list[Finding]:
    """Everything that can be said without running, by cell. Raises BadNotebook where it cannot be read."""
    notebook = read_notebook(path)
    own = _own(notebook)
    if "generated" in own:
        text = f"this is what learners get, {own['generated']}"
        return [Finding(0, "", text)]
    cells = list(read_cells(path))
    found = [*problems(cells), *_cell_problems(cells), *task_problems(cells)]
    outside = [*_file_findings(notebook, cells), *_outside_findings(notebook)]
    return sorted([*located(path, found), *outside]) or list(_leaks(path))


def can_run(cells: Sequence[Cell]) -> bool:
    """Whether it makes sense to run these cells: they are a key, and nothing is seen that stops one of them."""
    return not any(problems(cells)) and not any(why_unreadable(c.source) for c in cells if c.kind == "code")


def located(path: Path, found: Iterable[Problem]) -> list[Finding]:
    """Problems with the number and the first line of their cells."""
    places = [(n, cell) for n, cell in enumerate(read_notebook(path)["cells"], 1) if _is_read(cell)]
    cells = list(read_cells(path))
    return [
        Finding(0, "", text, is_warning)
        if index is None
        else Finding(places[index][0], _first(cells[index].source), text, is_warning)
        for text, index, is_warning in found
    ]


def _file_findings(notebook: dict, cells: Sequence[Cell]) -> Iterator[Finding]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            nbformat.validate(nbformat.from_dict(notebook))
    except nbformat.ValidationError as error:
        yield Finding(0, "", f"it is no valid notebook of format 4: {error.message}; save it with Jupyter")
    own = _own(notebook)
    for name in own.keys() - {"points"}:
        yield Finding(0, "", _unknown(name, "the notebook's coursekit metadata", ["points"]))
    points = [cell.meta.get("points") for cell in cells if cell.role in ("answer", "race")]
    if not points:
        yield Finding(0, "", 'there is no task: no code cell has the role "answer"')
    elif "points" in own and all(type(value) is int for value in points) and own["points"] != sum(points):
        text = f"the notebook's metadata promise {own['points']!r} points, and its tasks have {sum(points)}"
        yield Finding(0, "", f"{text}; make the two agree")


def _leaks(path: Path) -> Iterator[Finding]:
    """The first thing for which ``coursekit release --to`` would refuse to hand it out."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / path.name).write_text(release(path), encoding="utf-8")
        try:
            refuse_leaks(Path(folder), [load_key(path)])
        except Leak as leak:
            yield Finding(0, "", str(leak))


def _outside_findings(notebook: dict) -> Iterator[Finding]:
    """Metadata where nobody reads them: beside "coursekit", under a misspelt name, or in a raw cell."""
    meant = {"role", *(name for names in METADATA.values() for name in names)}
    for number, cell in enumerate(notebook["cells"], 1):
        meta = cell.get("metadata") if isinstance(cell, dict) else None
        if not isinstance(meta, dict):
            continue
        first = _first(cell.get("source"))
        stray = sorted(meant & meta.keys())
        if stray:
            yield Finding(number, first, f'{", ".join(stray)} of its metadata must stand within "coursekit"')
        for name in meta.keys() - {"coursekit"}:
            if difflib.get_close_matches(name, ["coursekit"], cutoff=0.8):
                yield Finding(number, first, f'its metadata have {name!r}; did you mean "coursekit"?')
        if "coursekit" in meta and not isinstance(meta["coursekit"], dict):
            text = f'"coursekit" in its metadata has to be an object; got {meta["coursekit"]!r}'
            yield Finding(number, first, text)
        if "coursekit" in meta and not _is_read(cell):
            yield Finding(
                number, first, f"a {cell.get('cell_type')} cell is not read; make it code or markdown"
            )


def _cell_problems(cells: Sequence[Cell]) -> Iterator[Problem]:
    for index, cell in enumerate(cells):
        if cell.role not in ROLES:
            continue
        for name in cell.meta.keys() - {"role", "task", *METADATA[cell.role]}:
            known = ["role", "task", *METADATA[cell.role]]
            yield Problem(_unknown(name, f"the metadata of a cell with the role {cell.role!r}", known), index)
        if cell.kind != "code":
            continue
        unreadable = why_unreadable(cell.source)
        if unreadable:
            yield Problem(unreadable, index)
        if cell.role in ("given", "check"):
            yield from _released_problems(index, cell)


def _released_problems(index: int, cell: Cell) -> Iterator[Problem]:
    """What only cells that are not released may hold."""
    lines = {line.strip() for line in cell.source.splitlines()}
    if lines & {BEGIN, END}:
        yield Problem(f'it has {BEGIN} and is released as it stands; make its role "answer"', index)
    names = {node.module for node in ast.walk(tree(cell.source)) if isinstance(node, ast.ImportFrom)}
    if "coursekit.grading.judge" in names:
        text = f'it judges, has the role "{cell.role}", and is released as it stands; make its role "judge"'
        yield Problem(text, index)


def _own(notebook: dict) -> dict:
    """The notebook's own coursekit metadata."""
    metadata = notebook.get("metadata")
    own = metadata.get("coursekit") if isinstance(metadata, dict) else None
    return own if isinstance(own, dict) else {}


def _is_read(cell: object) -> bool:
    return isinstance(cell, dict) and cell.get("cell_type") in ("code", "markdown")


def _unknown(name: str, where: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    roles = [role for role, names in METADATA.items() if name in names]
    meant = f"; did you mean {near[0]!r}?" if near else f"; known there: {', '.join(known)}"
    if roles:
        meant = f"; it belongs in those of the task's {' or '.join(roles)} cell"
    return f"{name!r} means nothing in {where}{meant}"


def _first(source: object) -> str:
    text = "".join(map(str, source)) if isinstance(source, list) else str(source)
    line = next((line.strip() for line in text.splitlines() if line.strip()), "empty")
    return line if len(line) <= SHOWN_CHARACTERS else line[: SHOWN_CHARACTERS - 3] + "..."


def _plain(text: str) -> str:
    """In one line, and without characters that steer a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split()))
