"""Proof that a key grades: its solution earns all, the empty answer nothing, each wrong answer its hint."""

import ast
from collections import Counter
from collections.abc import Callable, Iterator

from coursekit.grading.exercise.key import Key, Problem, Task
from coursekit.grading.exercise.release import skeleton
from coursekit.grading.kernels.kernel import Execution
from coursekit.grading.lint.trees import tree
from coursekit.grading.marking import runner
from coursekit.grading.marking.forbidding import forbidden, forbidding_problems, hidden_steps
from coursekit.grading.marking.grade import CELL_TIMEOUT_S, apart, judge_task
from coursekit.grading.marking.race import BadRace, add_races
from coursekit.grading.marking.result import Mark, Result
from coursekit.grading.marking.runner import Plan, Step

SAID_CHARACTERS = 200

Results = dict[str, Execution]
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
        broken = list(_broken(key, task, alone))
        found += broken or _judging_problems(key, task, alone)
        if not broken:
            wanted[name] = alone[f"judge {name}"].values
    needs = {_variant_task(task, v): task.needs for task in key.tasks.values() for v in _variants(task)}
    results = runner.run(Plan(tuple(_steps(key, seed)), needs), progress)
    for name, task in key.tasks.items():
        used = forbidden(key, task, task.solution)
        if used:
            text = f"{name}: the solution uses what the task forbids: {used}"
            found.append(Problem(text, _place(key, task, "answer")))
        elif name in wanted:
            found += _task_problems(key, task, results, wanted[name])
    return found


def _task_problems(key: Key, task: Task, results: Results, wanted: list[dict]) -> Iterator[Problem]:
    for variant in _variants(task):
        parts = {role: results[f"{role} {task.name} {variant}"] for role in ("answer", "check", "judge")}
        yield from _variant_problems(key, task, variant, parts, wanted)
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
            yield Problem(f"it ends in {_end(done)}", index)


def _broken(key: Key, task: Task, results: Results) -> Iterator[Problem]:
    """Why nobody's answer to the task could be judged."""
    for role in ("answer", "judge"):
        done = results[f"{role} {task.name}"]
        if done.status != "ok":
            yield Problem(
                f"{task.name}: the key's own {role} cell ends in {_end(done)}", _place(key, task, role)
            )
            return
    cases = [payload["case"] for payload in results[f"judge {task.name}"].values]
    judge = _place(key, task, "judge")
    if not cases:
        yield Problem(f"{task.name}: its judge cell emits nothing", judge)
    for case, count in Counter(map(str, cases)).items():
        if count > 1:
            yield Problem(
                f"{task.name}: {count} cases are called {case!r}; give each a name of its own", judge
            )
    for case in cases:
        if not isinstance(case, str):
            yield Problem(f"{task.name}: a case is called {case!r}; a name in quotes is wanted", judge)


def _judging_problems(key: Key, task: Task, results: Results) -> Iterator[Problem]:
    """What judging gives away, and what the solution does that nobody may have meant."""
    first, other = (results[f"judge {task.name}{again}"].values for again in ("", " again"))
    judge = _place(key, task, "judge")
    yield from _guessable(task, judge, [p["value"] for p in first], [p["value"] for p in other])
    for case, value in ((p["case"], p["value"]) for p in first):
        if value["kind"] == "raised" and not _is_meant(task, value["type"]):
            text = f"{task.name}: in the case {case!r} the solution raises {value['type']} ({value['text']})"
            yield Problem(f"{text}; if that is meant, check it with raises={value['type']}", judge)


def _guessable(task: Task, judge: int, first: list[dict], other: list[dict]) -> Iterator[Problem]:
    """Judging whose values a learner could know or guess."""
    if all(value["kind"] in ("bool", "none") for value in first):
        text = "its judge cell emits only truth values, which can be guessed"
        yield Problem(f"{task.name}: {text}; emit values, or a list of many of them in one case", judge)
    elif all(value == first[0] for value in [*first, *other]):
        text = "all cases have one and the same value, so a constant would earn the points"
        yield Problem(f"{task.name}: {text}; add cases that differ", judge)
    elif first == other:
        text = "two seeds give the same values in every case, so a learner could write them down"
        yield Problem(f"{task.name}: {text}; draw inputs from rng that change what comes out", judge)


def _is_meant(task: Task, exception: str) -> bool:
    """Whether the solution or its check names the exception."""
    named = {
        getattr(node, "id", None) or getattr(node, "attr", None)
        for source in (task.solution, task.check)
        for node in ast.walk(tree(source))
    }
    return exception in named


def _variant_problems(
    key: Key, task: Task, variant: str, parts: Results, wanted: list[dict]
) -> Iterator[Problem]:
    """Whether one answer earns what it should, and whether the visible check says of it what it should."""
    mark, check = judge_task(task, parts["answer"], parts["check"], parts["judge"], wanted), parts["check"]
    said = _short(check.text)
    number = int(variant.split()[1]) - 1 if variant.startswith("wrong") else 0
    place = _place(key, task, "wrong" if variant.startswith("wrong") else "answer", number)
    if check.status != "ok":
        text = f"{task.name}: with the {variant} answer its check ends in {_end(check)}"
        yield Problem(text, _place(key, task, "check") if check.status == "error" else place)
    if variant == "solution":
        if mark.status == "refused":
            text = f"{task.name}: the solution uses what the task forbids: {mark.message}"
            yield Problem(text, place)
        elif mark.points != task.points:
            text = f"{task.name}: the solution earns {mark.points} of {task.points}: {mark.message}"
            again = " (other values than before with the same seed: draw from rng alone, and ask no clock)"
            yield Problem(text + again * (mark.status == "wrong"), _place(key, task, "judge"))
        if check.status == "ok" and "right," not in said:
            text = f"{task.name}: the visible check refuses the solution: {said}"
            yield Problem(text, _place(key, task, "check"))
        return
    if mark.points:
        text = f"{task.name}: the {variant} answer earns {mark.points} point{'s' * (mark.points > 1)}"
        yield Problem(f"{text}; add a case to the judge cell that tells it from the solution", place)
    if check.status == "ok" and "not yet" not in said:
        text = f"{task.name}: the visible check accepts the {variant} answer: {said}"
        yield Problem(f"{text}; add a case to the check", place)
    elif check.status == "ok" and variant != "empty" and task.wrongs[number].hint not in check.text:
        text = f"{task.name}: the {variant} answer should earn the hint {task.wrongs[number].hint!r}"
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
        yield Problem(f"{task.name}: {problem}", _place(key, task, "race"))


def _place(key: Key, task: Task, role: str, number: int = 0) -> int:
    """Where a task's cell stands among the key's."""
    return [i for i, c in enumerate(key.cells) if (c.role, c.task) == (role, task.name)][number]


def _end(done: Execution) -> str:
    return f"{done.status} ({done.error})" if done.error else done.status


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SAID_CHARACTERS else line[: SAID_CHARACTERS - 3] + "..."
