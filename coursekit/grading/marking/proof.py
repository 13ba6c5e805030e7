"""Proof that a key grades: its solution earns all, the empty answer nothing, each wrong answer its hint."""

from collections.abc import Callable, Iterator

from coursekit.grading.exercise.key import Key, Problem, Task
from coursekit.grading.exercise.release import skeleton
from coursekit.grading.marking import runner
from coursekit.grading.marking.emitted import Results, broken_problems, end, judging_problems, place_of
from coursekit.grading.marking.forbidding import forbidden, forbidding_problems, hidden_steps
from coursekit.grading.marking.grade import CELL_TIMEOUT_S, apart, judge_task
from coursekit.grading.marking.race import BadRace, add_races
from coursekit.grading.marking.result import Mark, Result
from coursekit.grading.marking.runner import Plan, Step

SAID_CHARACTERS = 200

Progress = Callable[[Step], None] | None


def prove(key: Key, seed: int) -> list[str]:
    """What is wrong with a key, a sentence each; an empty list where it grades as it should. Warnings are left out."""
    return [problem.text for problem in find_problems(key, seed) if not problem.is_warning]


def find_problems(key: Key, seed: int, progress: Progress = None) -> list[Problem]:
    """What is wrong with a key, each with its cell.

    The key runs once by itself, with `seed` and with another one. Then all variants of a task's answer run one
    after the other in a second kernel, the solution last, so that tasks which need it find it. At last every raced
    solution runs against itself.
    """
    needs = {name: task.needs for name, task in key.tasks.items()}
    alone = runner.run(Plan(tuple(_steps_alone(key, seed)), needs), progress)
    found = [*_given_problems(key, alone)]
    wanted = {}
    for name, task in key.tasks.items():
        broken = list(broken_problems(key, task, alone))
        found += broken or judging_problems(key, task, alone)
        if not broken:
            wanted[name] = alone[f"judge {name}"].values
    needs = {_variant_task(task, v): task.needs for task in key.tasks.values() for v in _variants(task)}
    results = runner.run(Plan(tuple(_steps(key, seed)), needs), progress)
    for name, task in key.tasks.items():
        used = forbidden(key, task, task.solution)
        if used:
            text = f"{name}: the solution uses what the task forbids: {used}"
            found.append(Problem(text, place_of(key, task, "answer")))
        elif name in wanted:
            found += _task_problems(key, task, results, wanted[name])
    return found


def _task_problems(key: Key, task: Task, results: Results, wanted: list[dict]) -> Iterator[Problem]:
    check = results[f"check {task.name} solution"]
    if check.status == "error":
        text = f"{task.name}: its check ends in {end(check)}"
        yield Problem(text, place_of(key, task, "check"))
    for variant in _variants(task):
        parts = {role: results[f"{role} {task.name} {variant}"] for role in ("answer", "check", "judge")}
        yield from _variant_problems(key, task, variant, parts, wanted, check.status == "error")
    yield from forbidding_problems(key, task, results)
    if task.race:
        yield from _race_problems(key, task)


def _given_steps(key: Key) -> Iterator[tuple[int, Step]]:
    for index, cell in enumerate(key.cells):
        if cell.kind == "code" and cell.role == "given":
            yield index, Step(f"given {index}", "given", None, cell.source, CELL_TIMEOUT_S)


def _steps_alone(key: Key, seed: int) -> Iterator[Step]:
    """The key as a learner who solved everything hands it in; at the end all judging once more, with another seed."""
    given = dict(_given_steps(key))
    for index, cell in enumerate(key.cells):
        if index in given:
            yield given[index]
        elif cell.role in ("answer", "judge"):
            task = key.tasks[cell.task]
            source = cell.source if cell.role == "answer" else apart(cell.source, seed, task.forbid)
            yield Step(f"{cell.role} {task.name}", cell.role, task.name, source, task.timeout)
    for name, task in key.tasks.items():
        again = apart(task.judge, seed + 1, task.forbid)
        yield Step(f"judge {name} again", "judge", name, again, task.timeout)


def _steps(key: Key, seed: int) -> Iterator[Step]:
    given = dict(_given_steps(key))
    for index, cell in enumerate(key.cells):
        if index in given:
            yield given[index]
        elif cell.role == "judge":
            task = key.tasks[cell.task]
            yield from hidden_steps(task, seed)
            check, judge = (apart(source, seed, task.forbid) for source in (task.check, task.judge))
            for variant, source in _variants(task).items():
                for role, text in {"answer": source, "check": check, "judge": judge}.items():
                    label = f"{role} {task.name} {variant}"
                    yield Step(label, role, _variant_task(task, variant), text, task.timeout)


def _variants(task: Task) -> dict[str, str]:
    """The answers to try, by what they are."""
    wrongs = {f"wrong {i}": wrong.source for i, wrong in enumerate(task.wrongs, 1)}
    return {"empty": skeleton(task.solution), **wrongs, "solution": task.solution}


def _variant_task(task: Task, variant: str) -> str:
    """A task of its own for each variant: one that stops the kernel is no reason not to run the others."""
    return task.name if variant == "solution" else f"{task.name}, {variant}"


def _given_problems(key: Key, results: Results) -> Iterator[Problem]:
    for index, step in _given_steps(key):
        done = results[step.label]
        if done.status != "ok":
            yield Problem(f"it ends in {end(done)}", index)


def _variant_problems(
    key: Key, task: Task, variant: str, parts: Results, wanted: list[dict], is_bad_check: bool
) -> Iterator[Problem]:
    """Whether one answer earns what it should, and whether the visible check says of it what it should."""
    mark, check = judge_task(task, parts["answer"], parts["check"], parts["judge"], wanted), parts["check"]
    said = _short(check.text)
    number = int(variant.split()[1]) - 1 if variant.startswith("wrong") else 0
    place = place_of(key, task, "wrong" if variant.startswith("wrong") else "answer", number)
    called = _called(task, variant)
    if check.status != "ok" and not is_bad_check:
        text = f"{task.name}: with {called} its check ends in {end(check)}"
        yield Problem(text, place)
    if variant == "solution":
        if mark.status == "refused":
            text = f"{task.name}: the solution uses what the task forbids: {mark.message}"
            yield Problem(text, place)
        elif mark.points != task.points:
            text = f"{task.name}: the solution earns {mark.points} of {task.points}: {mark.message}"
            again = " (other values than before with the same seed: draw from rng alone, and ask no clock)"
            yield Problem(text + again * (mark.status == "wrong"), place_of(key, task, "judge"))
        if check.status == "ok" and "right," not in check.text:
            text = f"{task.name}: the visible check refuses the solution: {said}"
            yield Problem(text, place_of(key, task, "check"))
        return
    if mark.points:
        text = f"{task.name}: {called} earns {mark.points} point{'s' * (mark.points > 1)}"
        yield Problem(f"{text}; add a case to the judge cell that tells it from the solution", place)
    if check.status == "ok" and "not yet" not in check.text:
        text = f"{task.name}: the visible check accepts {called}: {said}"
        yield Problem(f"{text}; add a case to the check", place)
    elif check.status == "ok" and variant != "empty" and task.wrongs[number].hint not in check.text:
        text = f"{task.name}: {called} should earn the hint {task.wrongs[number].hint!r}"
        yield Problem(f"{text}; its check says: {said}", place)


def _race_problems(key: Key, task: Task) -> Iterator[Problem]:
    """Why a race of the solution against itself comes to nothing: too short to be timed, or not right in it."""
    right = Mark(task.name, task.title, task.points, task.points, "right", "")
    solutions = {name: other.solution for name, other in key.tasks.items()}
    try:
        *_, raced = add_races(key, solutions, Result(key.name, "graded", marks=(right,))).marks
        problem = "" if raced.points else raced.message
    except BadRace as error:
        problem = str(error)
    if problem:
        yield Problem(f"{task.name}: {problem}", place_of(key, task, "race"))


def _called(task: Task, variant: str) -> str:
    """An answer in words: a wrong one by its first line that is not the solution's, too."""
    if not variant.startswith("wrong"):
        return f"the {variant} answer"
    known = {line.strip() for line in task.solution.splitlines()}
    lines = [line.strip() for line in task.wrongs[int(variant.split()[1]) - 1].source.splitlines()]
    own = next((line for line in lines if line and line not in known), lines[0] if lines else "")
    return f"the wrong answer with the line {_short(own)!r}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SAID_CHARACTERS else line[: SAID_CHARACTERS - 3] + "..."
