"""Proof that a key grades: its solution earns all, the empty answer nothing, each wrong answer its hint."""

from collections.abc import Iterator

from coursekit.grading.exercise.forbidden import find_forbidden
from coursekit.grading.exercise.key import Key, Task
from coursekit.grading.exercise.release import skeleton
from coursekit.grading.marking import runner
from coursekit.grading.marking.grade import CELL_TIMEOUT_S, apart, expected, judge_task
from coursekit.grading.marking.runner import Plan, Step


def prove(key: Key, seed: int) -> list[str]:
    """What is wrong with a key, a sentence each; an empty list where it grades as it should.

    All variants of a task's answer run one after the other in one kernel, the solution last, so that
    tasks which need it find it.
    """
    wanted = expected(key, seed)
    results = runner.run(Plan(tuple(_steps(key, seed)), {}))
    problems = []
    for name, task in key.tasks.items():
        for variant in _variants(task):
            parts = {role: results[f"{role} {name} {variant}"] for role in ("answer", "check", "judge")}
            problems += _problems(task, variant, parts, wanted[name])
        problems += _forbidden_problems(task)
        if not task.wrongs:
            problems.append(f"{name}: there is no typical wrong answer")
    return problems


def _variants(task: Task) -> dict[str, str]:
    """The answers to try, by what they are."""
    wrongs = {f"wrong {i}": wrong.source for i, wrong in enumerate(task.wrongs, 1)}
    return {"empty": skeleton(task.solution), **wrongs, "solution": task.solution}


def _steps(key: Key, seed: int) -> Iterator[Step]:
    for index, cell in enumerate(key.cells):
        if cell.kind != "code":
            continue
        if cell.role == "given":
            yield Step(f"given {index}", "given", None, cell.source, CELL_TIMEOUT_S)
        elif cell.role == "judge":
            task = key.tasks[cell.task]
            for variant, source in _variants(task).items():
                parts = {"answer": source, "check": apart(task.check, seed), "judge": apart(task.judge, seed)}
                for role, text in parts.items():
                    yield Step(f"{role} {task.name} {variant}", role, task.name, text, task.timeout)


def _problems(task: Task, variant: str, parts: dict, wanted: list[dict]) -> Iterator[str]:
    mark = judge_task(task, parts["answer"], parts["check"], parts["judge"], wanted)
    said = parts["check"].text
    if variant == "solution":
        if mark.points != task.points:
            yield f"{task.name}: the solution earns {mark.points} of {task.points}: {mark.message}"
        if "right," not in said:
            yield f"{task.name}: the visible check refuses the solution: {said.strip()}"
        return
    if mark.points:
        yield f"{task.name}: the {variant} answer earns {mark.points} points"
    if "not yet" not in said:
        yield f"{task.name}: the visible check accepts the {variant} answer: {said.strip()}"
    if variant.startswith("wrong"):
        hint = task.wrongs[int(variant.split()[1]) - 1].hint
        if hint not in said:
            yield f"{task.name}: the {variant} answer should earn the hint {hint!r}; its check says: {said.strip()}"


def _forbidden_problems(task: Task) -> Iterator[str]:
    if find_forbidden(task.solution, task.forbid):
        yield f"{task.name}: the solution uses what the task forbids"
    for entry in task.forbid:
        use = "a @ b" if entry == "@" else f"x{entry}()" if entry.startswith(".") else f"{entry}()"
        top = entry.split(".")[0]
        source = f"import {top}\n{use}" if "." in entry[1:] else use
        if find_forbidden(f"{task.solution}\n{source}", task.forbid) is None:
            yield f"{task.name}: a call of {entry} is not refused"
