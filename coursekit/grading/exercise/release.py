"""From the key to what a learner gets: answers, wrong answers, judging and races are taken out.

What is left is the learner's notebook as it will be graded, so solving only adds lines.
"""

from collections.abc import Mapping
from pathlib import Path

from coursekit.grading.exercise.format import nbformat
from coursekit.grading.exercise.key import BEGIN, END, Key, load_key

PLACE = "# Write your answer here."
RELEASED = ("given", "answer", "check")
MADE = "made by coursekit release from solutions/{name}.ipynb; edit that file"


def release(key_path: Path) -> str:
    """The text of the released notebook."""
    key = load_key(key_path)
    notebook = nbformat.v4.new_notebook()
    notebook.metadata = {
        "coursekit": {"exercise": key.name, "generated": MADE.format(name=key.name)},
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    notebook.cells = [_released(key, i) for i, cell in enumerate(key.cells) if cell.role in RELEASED]
    nbformat.validate(notebook)
    return nbformat.writes(notebook) + "\n"


def release_all(solutions: Path, exercises: Path) -> list[Path]:
    """Release every key of a folder; returns the files that were new or changed."""
    changed = []
    exercises.mkdir(parents=True, exist_ok=True)
    for path in sorted(solutions.glob("*.ipynb")):
        text, target = release(path), exercises / path.name
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            target.write_text(text, encoding="utf-8")
            changed.append(target)
    return changed


def handed_out(keys: Mapping[str, Key]) -> dict[str, str]:
    """The answer cells as learners get them, by "exercise/task"."""
    return {
        f"{exercise}/{task.name}": skeleton(task.solution)
        for exercise, key in keys.items()
        for task in key.tasks.values()
    }


def skeleton(source: str) -> str:
    """An answer cell without its answer."""
    lines, inside = [], False
    for line in source.splitlines():
        if line.strip() == BEGIN:
            lines.append(line.replace(BEGIN, PLACE))
            inside = True
        elif line.strip() == END:
            inside = False
        elif not inside:
            lines.append(line)
    return "\n".join(lines)


def _released(key: Key, index: int) -> nbformat.NotebookNode:
    cell = key.cells[index]
    if cell.kind == "markdown":
        return nbformat.v4.new_markdown_cell(_with_points(key, index), id=f"text-{index}")
    source = skeleton(cell.source) if cell.role == "answer" else cell.source
    identity = f"given-{index}" if cell.role == "given" else f"{cell.role}-{cell.task}"
    own = {"role": cell.role} | ({"task": cell.task} if cell.task else {})
    folded = (
        {"jupyter": {"source_hidden": True}} if cell.role == "check" else {}
    )  # its hints are not for reading ahead
    return nbformat.v4.new_code_cell(source, id=identity, metadata={"coursekit": own} | folded)


def _with_points(key: Key, index: int) -> str:
    """The task's text, with its points in the heading: they are written down once, in the answer cell."""
    cell = key.cells[index]
    if cell.task is None or not cell.source.startswith("#"):
        return cell.source
    task = key.tasks[cell.task]
    points = f"{task.points} point{'s' if task.points > 1 else ''}"
    if task.race_points:
        points += (
            f", and up to {task.race_points} for {f'few {task.race_counts}' if task.race_counts else 'speed'}"
        )
    heading, *rest = cell.source.split("\n")
    return "\n".join([f"{heading} ({points})", *rest])
