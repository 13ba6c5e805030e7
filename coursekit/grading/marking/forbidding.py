"""Proof that what a task forbids is found: in the source, and where a source hides it, as the answer runs."""

from collections.abc import Iterator

from coursekit.grading.exercise.allowed import find_refused
from coursekit.grading.exercise.key import Key, Problem, Task
from coursekit.grading.kernels.kernel import Execution
from coursekit.grading.lint.lookup import why_nothing
from coursekit.grading.lint.trees import imports
from coursekit.grading.marking.grade import apart
from coursekit.grading.marking.runner import Step

HIDDEN = """
from coursekit.grading.probe import load as _load, prepare as _prepare

_load({entries})

def _hidden(entry):
    function, args, kwargs = _prepare(entry)
    return function(*args, **kwargs)
"""  # the call stands in a cell, so it is the learner's


def hidden_steps(task: Task, seed: int) -> Iterator[Step]:
    """An answer that calls each entry under another name, and a judge cell that has it do so."""
    if not task.forbid:
        return
    cases = "".join(f"emit({entry!r}, _hidden, {entry!r})\n" for entry in dict.fromkeys(task.forbid))
    judge = f"from coursekit.grading.judge import judge\nemit, rng = judge({task.name!r})\n{cases}"
    for role, source in {
        "answer": HIDDEN.format(entries=task.forbid),
        "judge": apart(judge, seed, task.forbid),
    }.items():
        yield Step(f"{role} {task.name} hidden", role, f"{task.name}, hidden", source, task.timeout)


def forbidding_problems(key: Key, task: Task, results: dict[str, Execution]) -> Iterator[Problem]:
    """Entries of which a call, written out or hidden, costs no points. That of a hidden one is a warning, but where the
    task says what it allows: there nothing is at hand to hide it with."""
    place = next(i for i, c in enumerate(key.cells) if (c.role, c.task) == ("answer", task.name))
    known = imports(key.cells)
    for entry in dict.fromkeys(task.forbid):
        if not forbidden(key, task, f"{task.solution}\n{_use(entry)}"):
            yield Problem(f"{task.name}: a call of {entry} is not refused", place)
        elif (
            not task.allow
            and not why_nothing(entry, known, task.forbid)
            and not _is_seen(task, entry, results)
        ):
            text = f"{task.name}: a call of {entry} is found in the source of an answer, but not as it runs"
            yield Problem(f"{text}, so one that is hidden (by getattr, eval) costs nothing", place, True)


def forbidden(key: Key, task: Task, source: str) -> str | None:
    """What grading would find in this source before it runs."""
    given = "\n".join(cell.source for cell in key.cells if cell.kind == "code" and cell.role == "given")
    others = [other.solution for other in key.tasks.values() if other.name != task.name]
    return find_refused(source, task, given, others)


def _use(entry: str) -> str:
    """A cell that calls it by its name."""
    use = "a @ b" if entry == "@" else f"x{entry}()" if entry.startswith(".") else f"{entry}()"
    top = entry.split(".")[0]
    return f"import {top}\n{use}" if "." in entry[1:] and top else use


def _is_seen(task: Task, entry: str, results: dict[str, Execution]) -> bool:
    values = results[f"judge {task.name} hidden"].values
    return any(value.get("case") == entry and entry in value.get("used", ()) for value in values)
