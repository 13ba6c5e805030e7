"""What can be said against a task without running it: its text, answer, wrong answers, check, judging and race."""

import ast
import builtins
from collections.abc import Iterator, Sequence

from coursekit.grading.exercise.allowed import ASKED
from coursekit.grading.exercise.key import BEGIN, END, ROLES, Problem
from coursekit.grading.exercise.notebook import Cell
from coursekit.grading.exercise.release import skeleton
from coursekit.grading.lint.cases import DRAWN, FIXED, GUESSED, read_cases
from coursekit.grading.lint.imported import why_unreadable
from coursekit.grading.lint.lookup import why_nothing
from coursekit.grading.lint.needs import needs_problems
from coursekit.grading.lint.races import race_problems
from coursekit.grading.lint.trees import (
    BadCode,
    blocks,
    calls,
    defined,
    functions,
    imports,
    parse,
    texts,
    told,
    tree,
)

CODE = [role for role in ROLES if role != "given"]
Cells = Sequence[Cell]
Places = dict[str, list[int]]  # by role, where a task's cells stand


def task_problems(cells: Cells) -> Iterator[Problem]:
    """The problems of every task that has an answer, whole or not."""
    yield from _lists(cells)
    known = imports(cells)
    for index, cell in enumerate(cells):
        if cell.role != "answer" or not isinstance(cell.task, str):
            continue
        places = {
            role: [i for i, c in enumerate(cells) if c.task == cell.task and c.role == role] for role in ROLES
        }
        if any(why_unreadable(cells[i].source) for role in CODE for i in places[role]):
            continue  # what follows from that is no news
        yield from _text(index, [i for i in places["given"] if cells[i].kind == "markdown"], cells)
        yield from _answer(cell, index, known)
        yield from _shown(cell, index, cells)
        yield from needs_problems(index, cells)
        yield from _wrong(index, places, cells)
        for late in ("check", "judge", "race"):
            for i in places[late]:
                if i < index:
                    yield Problem(f"the {late} cell of {cell.task!r} stands before its answer; move it", i)
        yield from _check(places["check"], cells)
        yield from _judge(places["judge"], cells)
        yield from race_problems(places["race"], cells, cell)


def _lists(cells: Cells) -> Iterator[Problem]:
    """Where one answer has a list of what it may use, another one without could change what that stands on."""
    answers = [(i, cell) for i, cell in enumerate(cells) if cell.role == "answer"]
    listed = [cell.task for _, cell in answers if isinstance(cell.meta.get("allow"), list)]
    free = [(i, cell.task) for i, cell in answers if not cell.meta.get("allow")]
    if listed and free:
        index, task = free[0]
        text = f"{listed[0]!r} says what it allows, and {task!r}, which runs in the same kernel, does not"
        yield Problem(f"{text}: it could change what the other uses; add allow", index)


def _text(index: int, places: list[int], cells: Cells) -> Iterator[Problem]:
    name = cells[index].task
    if not places:
        todo = f'a markdown cell with {{"role": "given", "task": "{name}"}}'
        yield Problem(f"task {name!r} has no text: add {todo}", index)
        return
    sources = [cells[i].source for i in places]
    if not any(source.startswith("#") for source in sources):
        todo = "such as ## Task 1: ..."
        yield Problem(f"the text of {name!r} does not begin with a heading, {todo}", places[0])
    opened, closed = ("".join(sources).count(tag) for tag in ("<details>", "</details>"))
    if not opened or opened != closed:
        form = "<details><summary>Hint 1</summary>...</details>"
        yield Problem(f"the text of {name!r} needs a hint, or more, each as {form}", places[-1])


def _answer(answer: Cell, index: int, known: dict[str, str]) -> Iterator[Problem]:
    lines = answer.source.splitlines()
    for block in blocks(answer.source):
        inside = [lines[n - 1].strip() for n in block]
        if not any(line and not line.startswith("#") for line in inside):
            yield Problem(f"nothing stands between {BEGIN} and {END}", index)
    left = skeleton(answer.source)
    try:
        parse(left)
    except BadCode as error:
        text = f"without its solution it is no Python ({error})"
        yield Problem(f"{text}; a docstring above {BEGIN} helps", index)
    for name in sorted(defined(tree(answer.source)) & set(dir(builtins))):
        text = f"it defines {name}, and check and judge cells call the builtin of that name"
        yield Problem(f"{text}; give it another one", index)
    for name in ("forbid", "allow"):
        value = answer.meta.get(name)
        entries = [entry for entry in value if isinstance(entry, str)] if isinstance(value, list) else []
        for entry in entries:
            nothing = why_nothing(entry.removesuffix(".*" if name == "allow" else ""), known, entries)
            if nothing and not (name == "allow" and entry.removesuffix("=") in ASKED):
                yield Problem(nothing.replace("forbid", name, 1), index)


def _shown(answer: Cell, index: int, cells: Cells) -> Iterator[Problem]:
    """Cells that learners get, and that hold half of the solution or more."""
    for i, cell in enumerate(cells):
        is_shown = cell.role in ("given", "check") or (cell.role == "answer" and i != index)
        shown = Cell(cell.kind, skeleton(cell.source)) if cell.role == "answer" else cell
        found, share = told(answer.source, [shown]) if is_shown else ([], 0)
        if share >= 0.5:
            text = f"learners get this cell, and it holds the solution of {answer.task!r}: {found[0]}"
            yield Problem(f"{text}; take it out", i)
            continue
        own = functions(tree(cell.source)) & functions(tree(answer.source)) if cell.kind == "code" else set()
        if cell.role == "given" and own:
            text = f"it defines {min(own)}, which the answer of {answer.task!r} is to define"
            yield Problem(f"{text}; give it another name, or take it out", i)


def _wrong(index: int, places: Places, cells: Cells) -> Iterator[Problem]:
    name = cells[index].task
    if not places["wrong"]:
        todo = f'before the answer, a code cell with {{"role": "wrong", "task": "{name}", "hint": "..."}}'
        yield Problem(f"task {name!r} has no typical wrong answer: add one {todo}", index)
    said = {text for i in places["check"] for text in texts(tree(cells[i].source))}
    for i in places["wrong"]:
        if i > index:
            text = "a wrong answer stands after the answer, and replaces it when the notebook runs"
            yield Problem(f"{text}; move it before", i)
        hint = cells[i].meta.get("hint")
        if isinstance(hint, str) and places["check"] and not any(hint in text for text in said):
            text = f"its hint {hint!r} stands in no plain text of the check cell of {name!r}"
            yield Problem(f"{text}; add it to the hints of a case there", i)


def _check(places: list[int], cells: Cells) -> Iterator[Problem]:
    for i in places:
        opened = calls(tree(cells[i].source), "Check")
        name = opened[0].args[0] if opened and opened[0].args else None
        wanted = f'with Check("{cells[i].task}") as check:'
        if not opened:
            yield Problem(f"it does not open a check; wanted: {wanted}", i)
        elif isinstance(name, ast.Constant) and name.value != cells[i].task:
            yield Problem(
                f"it checks {name.value!r} and is the check of {cells[i].task!r}; wanted: {wanted}", i
            )


def _judge(places: list[int], cells: Cells) -> Iterator[Problem]:
    for i in places:
        cases, name = read_cases(tree(cells[i].source)), cells[i].task
        if cases.task is None:
            yield Problem(f'it does not begin to judge; wanted: emit, rng = judge("{name}")', i)
        elif cases.task != name:
            yield Problem(f'it judges {cases.task!r} and is for {name!r}; wanted: judge("{name}")', i)
        if cases.task is None:
            continue
        if not cases.kinds:
            yield Problem('it emits nothing; wanted: emit("a case", function, arguments)', i)
            continue
        for call, kinds in cases.kinds.items():
            if kinds == {GUESSED}:
                text = f"line {call.lineno} emits what can be guessed, {ast.unparse(call)}"
                yield Problem(f"{text}; emit a value that the answer computes", i)
        if not cases.has(DRAWN):
            yield Problem("no case takes its input from rng; a learner could write the answers down", i)
        if not cases.has(FIXED):
            yield Problem("every case is drawn; add fixed ones for the edges (empty, one, equal, ...)", i)
