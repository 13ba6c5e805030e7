"""Marking one submission: the key's cells with the learner's answers in them, run, and compared.

``expected`` runs the key once for a seed; ``mark`` runs a learner's answers and compares. Neither trusts
the learner's notebook for anything but the source of its answer cells.
"""

import ast
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace

from coursekit.grading.checks import STOPPED
from coursekit.grading.compare import BadValue, decode, difference
from coursekit.grading.exercise.allowed import calls_answer, find_refused
from coursekit.grading.exercise.key import Key, Task
from coursekit.grading.exercise.submission import is_empty
from coursekit.grading.kernels.kernel import GONE, Execution
from coursekit.grading.kernels.pool import Pool
from coursekit.grading.marking import runner
from coursekit.grading.marking.result import Mark, Result
from coursekit.grading.marking.runner import Plan, Step
from coursekit.grading.watch import OPERATOR, spellings

CELL_TIMEOUT_S = 60.0

Progress = Callable[[Step], None] | None


class BadKey(RuntimeError):
    """The key does not earn its own points; nobody can be graded with it."""


def draw_seed() -> int:
    """A seed for a grading run; it is recorded with the marks."""
    return secrets.randbelow(2**31)


def expected(
    key: Key, seed: int, progress: Progress = None, pool: Pool | None = None
) -> dict[str, list[dict]]:
    """The values the key itself emits for this seed, by task. Raises :class:`BadKey`."""
    plan = _plan(key, {name: task.solution for name, task in key.tasks.items()}, seed)
    results = runner.run(plan, progress, pool)
    values = {}
    for name in key.tasks:
        for label in (f"answer {name}", f"judge {name}"):
            done = results[label]
            if done.status != "ok":
                raise BadKey(f"{key.name}: the key's own {label} ended in {done.status} {done.error}")
        values[name] = results[f"judge {name}"].values
        if not values[name]:
            raise BadKey(f"{key.name}: the judge cell of {name!r} emits nothing")
    return values


def mark(
    key: Key,
    sources: Mapping[str, str],
    wanted: Mapping,
    seed: int,
    notes: tuple[str, ...] = (),
    progress: Progress = None,
    pool: Pool | None = None,
) -> Result:
    """Mark answers given as source by task, against what :func:`expected` returned for the seed."""
    refused = {name: _refusal(key, task, sources) for name, task in key.tasks.items()}
    runnable = {name: sources[name] for name in key.tasks if refused[name] is None}
    results = runner.run(_plan(key, runnable, seed), progress, pool) if runnable else {}
    marks: dict[str, Mark] = {}
    for name, task in key.tasks.items():
        waiting = [
            need
            for need in task.needs
            if marks[need].status != "right" and calls_answer(sources.get(name, ""), key.tasks[need].solution)
        ]
        parts = [results.get(f"{role} {name}") for role in ("answer", "check", "judge")]
        marks[name] = refused[name] or _judge_safely(task, parts, wanted[name])
        if waiting and marks[name].status not in ("right", "empty", "refused", "missing"):
            message = f"it calls {waiting[0]}, whose own answer is not right yet"
            marks[name] = _none(task, "waiting", message, marks[name].feedback)
        marks[name] = replace(
            marks[name], source=sources.get(name, ""), hint=_hint(task, marks[name].feedback)
        )
    seconds = sum(done.seconds for done in results.values())
    return Result(key.name, "graded", "", tuple(marks.values()), notes, key.points, seconds)


def _plan(key: Key, sources: Mapping[str, str], seed: int) -> Plan:
    steps = []
    for index, cell in enumerate(key.cells):
        if cell.kind != "code" or (cell.role != "given" and cell.task not in sources):
            continue
        source, timeout = cell.source, CELL_TIMEOUT_S
        if cell.role == "answer":
            source = sources[cell.task]
        elif cell.role in ("check", "judge"):
            source = apart(source, seed, key.tasks[cell.task].forbid)
        elif cell.role != "given":
            continue
        if cell.role != "given":
            timeout = key.tasks[cell.task].timeout
        label = f"{cell.role} {cell.task}" if cell.role != "given" else f"given {index}"
        steps.append(Step(label, cell.role, cell.task, source, timeout))
    return Plan(tuple(steps), {name: task.needs for name, task in key.tasks.items()}, gives_up=True)


def apart(source: str, seed: int, forbid: tuple[str, ...] = ()) -> str:
    """A trusted cell with the run's seed, in a namespace of its own."""
    return (
        "import coursekit.grading.judge as _judge\n"
        f"_judge.SEED, _judge.FORBID = {seed}, {forbid!r}\n"
        f"_judge.run_apart({source!r}, globals())"
    )


def _refusal(key: Key, task: Task, sources: Mapping[str, str]) -> Mark | None:
    """The mark of a task whose answer need not be run."""
    if task.name not in sources:
        return _none(task, "missing", "its answer cell is gone; take a new copy of the exercise")
    source = sources[task.name]
    if is_empty(source, task.solution):
        return _none(task, "empty", "nothing was written yet")
    given = "\n".join(c.source for c in key.cells if c.kind == "code" and c.role == "given")
    others = [text for name, text in sources.items() if name != task.name]
    found = find_refused(source, task, given, others)
    return _none(task, "refused", found) if found else None


def _hint(task: Task, feedback: str) -> str:
    """The hint that the visible check gave, where it is one that stands in the key's check cell."""
    _, _, hint = feedback.partition("\n  Hint: ")
    texts = {node.value for node in ast.walk(ast.parse(task.check)) if isinstance(node, ast.Constant)}
    return hint if hint in texts else ""


def _judge_safely(task: Task, parts: list[Execution], wanted: list[dict]) -> Mark:
    """A value that breaks the comparison costs its own task's points only."""
    try:
        return judge_task(task, *parts, wanted)
    except Exception as error:
        return _none(task, "error", f"what it returned cannot be compared ({type(error).__name__})")


def judge_task(task: Task, answer: Execution, check: Execution, judge: Execution, wanted: list[dict]) -> Mark:
    """The mark for what became of a task's three cells; `wanted` is what the key's judge cell emitted."""
    feedback = check.text.strip()
    for done in (answer, check, judge):
        if done.status in GONE:
            return _none(task, done.status, stop_sentence(done, task), feedback)
    if answer.status == "error":
        return _none(task, "error", f"its answer cell stops with {answer.error}", feedback)
    used = _used(task, judge.values)
    if used:
        return _none(task, "refused", f"it uses {used}, which this task does not allow", feedback)
    right, problem = _compare(task, judge.values, wanted)
    if problem and judge.status == "error":
        problem = f"judging stopped with {judge.error}"
    message = problem or "right"
    earned = 0 if problem else task.points
    status = "wrong" if problem else "right"
    return Mark(task.name, task.title, earned, task.points, status, message, right, len(wanted), feedback)


def _used(task: Task, got: list[dict]) -> str:
    """What the task forbids and the answer was seen to use as it ran."""
    seen = [
        name for p in got if isinstance(p, dict) and isinstance(p.get("used"), list) for name in p["used"]
    ]
    found = next((name for name in spellings(task.forbid) if name in seen), "")
    return "the operator @" if found == "@" or found in OPERATOR else found


def _compare(task: Task, got: list[dict], wanted: list[dict]) -> tuple[int, str | None]:
    """How many cases are right, and the first difference."""
    values = {
        p.get("case"): p.get("value") for p in got if isinstance(p, dict) and isinstance(p.get("case"), str)
    }
    right, problem = 0, None
    for payload in wanted:
        case, want = payload["case"], decode(payload["value"])
        try:
            found = difference(decode(values[case]), want, rtol=task.rtol, atol=task.atol)
        except KeyError:
            found = "no value came"
        except BadValue as error:
            found = f"what came is no value: {error}"
        if found is None:
            right += 1
        problem = problem or (found and f"{case}: {found}{_called(payload)}")
    return right, problem


def _called(payload: dict) -> str:
    """What the case calls the answer with, as the key's own kernel tells it."""
    return f"; called with {payload['arguments']}" if "arguments" in payload else ""


def stop_sentence(done: Execution, task: Task) -> str:
    if done.error.startswith(runner.GAVE_UP):
        return done.error
    return {
        "timeout": f"it was stopped after {task.timeout:g} s; {STOPPED}",
        "died": "it ended the Python process (out of memory, a crash, or a call of exit)",
        "memory": "it used more memory than an answer may, and was stopped",
        "processes": "it started more processes or threads than an answer may, and was stopped",
        "disk": "it wrote more files or bytes than an answer may, and was stopped",
        "flooded": "it printed or displayed too much, and was stopped",
        "garbled": "it broke the connection between the notebook and Python, and was stopped",
    }[done.status]


def _none(task: Task, status: str, message: str, feedback: str = "") -> Mark:
    return Mark(task.name, task.title, 0, task.points, status, message, feedback=feedback)
