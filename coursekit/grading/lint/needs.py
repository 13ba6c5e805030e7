"""Answers that call the answers of other tasks, and do not say so.

An answer is run with nothing but the answers of its ``needs`` where another one has ended the kernel, and in a race.
"""

from collections.abc import Iterator, Sequence

from coursekit.grading.exercise.key import Problem
from coursekit.grading.exercise.notebook import Cell
from coursekit.grading.lint.trees import defined, free, functions, tree


def needs_problems(index: int, cells: Sequence[Cell]) -> Iterator[Problem]:
    """The tasks whose functions an answer calls, be it through another answer, and that its ``needs`` leave out."""
    answer = cells[index]
    said = answer.meta.get("needs", [])
    for name, (place, via) in _called(index, cells).items():
        if isinstance(said, list) and cells[place].task not in said:
            text = f"it calls {name}, which the answer of {cells[place].task!r} defines"
            text += f" (the answer of {via!r} calls it)" * (via != answer.task)
            todo = f'add {cells[place].task!r} to its "needs"'
            yield Problem(f"{text}; {todo}" + ", and move it behind that answer" * (place > index), index)


def _called(index: int, cells: Sequence[Cell]) -> dict[str, tuple[int, str]]:
    """One function of each answer that is called: the place of that answer, and the task that calls it."""
    given = set().union(*(defined(tree(c.source)) for c in cells if c.kind == "code" and c.role == "given"))
    owners = {
        name: place
        for place, cell in enumerate(cells)
        if cell.role == "answer" and isinstance(cell.task, str)
        for name in functions(tree(cell.source)) - given
    }
    found: dict[str, tuple[int, str]] = {}
    seen, waiting = {index}, [index]
    while waiting:
        caller = waiting.pop(0)
        for name in sorted(free(tree(cells[caller].source)) & owners.keys()):
            if owners[name] not in seen:
                seen.add(owners[name])
                waiting.append(owners[name])
                found[name] = (owners[name], cells[caller].task)
    return found
