"""What can be said against a race cell without running it."""

import ast
from collections.abc import Iterator, Sequence

from coursekit.grading.exercise.key import Problem
from coursekit.grading.exercise.notebook import Cell
from coursekit.grading.lint.trees import calls, defined, tree

WANTED = "race(function, lambda rng: [arguments drawn from rng])"


def race_problems(places: list[int], cells: Sequence[Cell], answer: Cell) -> Iterator[Problem]:
    """What is timed has to be the answer, or a helper that calls it; its arguments, a list that is drawn."""
    own = defined(tree(answer.source))
    for i in places:
        if cells[i].meta.get("counts") and not answer.meta.get("allow"):
            text = "what it counts is counted beside the answer, which could change it; say in the answer's metadata"
            yield Problem(f"{text} what it may use (allow)", i)
        module = tree(cells[i].source)
        found = calls(module, "race")
        if len(found) != 1 or len(found[0].args) not in (2, 3):
            yield Problem(f"one call is wanted: {WANTED}", i)
            continue
        function, draw = found[0].args[:2]
        name = ast.unparse(function)
        helper = next((n for n in module.body if getattr(n, "name", None) == name), None)
        if isinstance(function, ast.Lambda):
            helper, name = function, "a lambda"
        if helper is not None and not own & _names(helper):
            text = f"it times {name}, which does not call the answer of {answer.task!r}"
            yield Problem(f"{text}; call {' or '.join(sorted(own)) or 'it'} in it", i)
        elif helper is None and isinstance(function, ast.Name) and name not in own:
            text = f"it times {name}, which the answer of {answer.task!r} does not define, nor this cell"
            yield Problem(f"{text}; time the answer, or a helper defined here that calls it", i)
        if isinstance(draw, ast.Lambda):
            yield from _draw_problems(i, draw)


def _draw_problems(index: int, draw: ast.Lambda) -> Iterator[Problem]:
    names = [argument.arg for argument in draw.args.args]
    if not names or names[0] not in _names(draw.body):
        yield Problem(f"its arguments do not come from the generator; wanted: {WANTED}", index)
    elif _is_no_list(draw.body, names[0]):
        text = f"its arguments are no list, but {ast.unparse(draw.body)}"
        yield Problem(f"{text}; wanted, be it for one argument: [{ast.unparse(draw.body)}]", index)


def _is_no_list(body: ast.expr, rng: str) -> bool:
    """Whether it is sure to be none: what a method of the generator draws, a number, a text."""
    if isinstance(body, ast.Call) and isinstance(body.func, ast.Attribute):
        return isinstance(body.func.value, ast.Name) and body.func.value.id == rng
    return isinstance(
        body, ast.Dict | ast.Set | ast.Constant | ast.JoinedStr | ast.Compare | ast.GeneratorExp
    )


def _names(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
