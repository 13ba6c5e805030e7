"""What the key's own judge cells emit: whether answers can be compared with it, and whether it can be guessed."""

import ast
from collections import Counter
from collections.abc import Iterator

from coursekit.grading.exercise.key import Key, Problem, Task
from coursekit.grading.kernels.kernel import Execution
from coursekit.grading.lint.trees import tree

Results = dict[str, Execution]


def broken_problems(key: Key, task: Task, results: Results) -> Iterator[Problem]:
    """Why nobody's answer to the task could be judged."""
    for role in ("answer", "judge"):
        done = results[f"{role} {task.name}"]
        if done.status != "ok":
            yield Problem(
                f"{task.name}: the key's own {role} cell ends in {end(done)}", place_of(key, task, role)
            )
            return
    cases = [payload["case"] for payload in results[f"judge {task.name}"].values]
    judge = place_of(key, task, "judge")
    for payload in results[f"judge {task.name}"].values:
        reason = _why_incomparable(payload["value"])
        if reason:
            text = f"{task.name}: what the case {payload['case']!r} emits cannot be compared: {reason}"
            yield Problem(text, judge)
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


def _why_incomparable(value: dict) -> str | None:
    if value["kind"] == "unfit":
        return value["text"]
    if value["kind"] == "other":
        return f"it is, or holds, an object of type {value['type']}; emit what is in it, as numbers, texts and lists"
    items = value["items"] if value["kind"] in ("list", "set", "dict") else []
    parts = [part for item in items for part in (item if value["kind"] == "dict" else [item])]
    return next(filter(None, map(_why_incomparable, parts)), None)


def judging_problems(key: Key, task: Task, results: Results) -> Iterator[Problem]:
    """What judging gives away, and what the solution does that nobody may have meant."""
    first, other = (results[f"judge {task.name}{again}"].values for again in ("", " again"))
    judge = place_of(key, task, "judge")
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


def place_of(key: Key, task: Task, role: str, number: int = 0) -> int:
    """Where a task's cell stands among the key's."""
    return [i for i, c in enumerate(key.cells) if (c.role, c.task) == (role, task.name)][number]


def end(done: Execution) -> str:
    return f"{done.status} ({done.error})" if done.error else done.status
