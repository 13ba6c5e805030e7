"""Reading notebooks that nobody has vouched for: whatever is in the file, an answer or a BadNotebook."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

MAX_MB = 20
MAX_VALUES = 1_500_000  # in its JSON: each takes up to a hundred times its bytes in memory


class BadNotebook(ValueError):
    """The file is not a notebook that can be read; the message says why, for a learner to read."""


@dataclass(frozen=True)
class Cell:
    """A cell: ``kind`` is 'code' or 'markdown', ``meta`` its coursekit metadata."""

    kind: str
    source: str
    id: str = ""
    meta: dict = field(default_factory=dict)

    @property
    def role(self) -> str:
        return self.meta.get("role", "given")

    @property
    def task(self) -> str | None:
        return self.meta.get("task")


def read_notebook(path: Path) -> dict:
    """The notebook's JSON, in format 4. Raises :class:`BadNotebook`."""
    if path.is_symlink():
        raise BadNotebook(f"{path.name} is a link; links are not followed")
    if not path.is_file():
        raise BadNotebook(f"{path.name} is not a file")
    size = path.stat().st_size / 1e6
    if size > MAX_MB:
        raise BadNotebook(f"{path.name} has {size:.0f} MB; more than {MAX_MB} MB is not read")
    content = path.read_bytes()
    if sum(map(content.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise BadNotebook(f"{path.name} holds too many values to be read; clear the outputs of its cells")
    try:
        data = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise BadNotebook(f"{path.name} is not UTF-8 text, so it is no notebook") from None
    except (ValueError, RecursionError) as error:
        raise BadNotebook(
            f"{path.name} is not a notebook: its JSON breaks off or is damaged ({error})"
        ) from None
    if not isinstance(data, dict):
        raise BadNotebook(f"{path.name} is not a notebook: its JSON is a {type(data).__name__}")
    return data if data.get("nbformat") == 4 else _upgrade(path, data)


def read_cells(path: Path) -> Iterator[Cell]:
    """The notebook's cells. Cells that are no cells are passed over."""
    cells = read_notebook(path).get("cells")
    if not isinstance(cells, list):
        raise BadNotebook(f"{path.name} is not a notebook: it has no list of cells")
    for cell in cells:
        if isinstance(cell, dict) and cell.get("cell_type") in ("code", "markdown"):
            yield _cell(cell)


def exercise_of(path: Path) -> str | None:
    """The exercise that the notebook says it is, from its metadata; None where it says nothing."""
    try:
        metadata = read_notebook(path).get("metadata")
    except (BadNotebook, OSError):
        return None
    own = metadata.get("coursekit") if isinstance(metadata, dict) else None
    name = own.get("exercise") if isinstance(own, dict) else None
    return name if isinstance(name, str) else None


def _cell(cell: dict) -> Cell:
    source = cell.get("source", "")
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    metadata = cell.get("metadata")
    own = metadata.get("coursekit") if isinstance(metadata, dict) else None
    source = source if isinstance(source, str) else ""
    return Cell(
        kind=cell["cell_type"],
        source=source.encode("utf-8", "replace").decode("utf-8"),
        id=cell.get("id") if isinstance(cell.get("id"), str) else "",
        meta=own if isinstance(own, dict) else {},
    )


def _upgrade(path: Path, data: dict) -> dict:
    from coursekit.grading.exercise.format import nbformat

    version = data.get("nbformat")
    try:
        if version not in (1, 2, 3):
            raise ValueError
        return nbformat.convert(nbformat.from_dict(data), 4)
    except Exception:
        said = repr(version)[:20] if isinstance(version, str | int | float | None) else "something else"
        raise BadNotebook(f"{path.name}: notebook format 4 is wanted, and this says {said}") from None
