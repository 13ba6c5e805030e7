"""What can be seen of a judge cell without running it: which cases are drawn, which are fixed, which can be guessed."""

import ast
from collections import defaultdict
from dataclasses import dataclass, field

DRAWN, FIXED, GUESSED = "drawn", "fixed", "guessed"
LOOPS = (ast.For, ast.AsyncFor, ast.While)


@dataclass
class Cases:
    """The cases of a judge cell: of each call of emit, what it may be. ``task`` is what the cell calls judge with,
    and None where it has no ``emit, rng = judge("task")``."""

    task: str | None = None
    kinds: dict[ast.Call, set[str]] = field(default_factory=lambda: defaultdict(set))

    def has(self, kind: str) -> bool:
        return any(kind in kinds for kinds in self.kinds.values())


def read_cases(module: ast.Module) -> Cases:
    """Follow the generator through the cell, statement by statement.

    A case is drawn where an argument may hang on the generator, and guessed where it emits a constant or a
    comparison. What a function of the cell emits may be drawn or fixed.
    """
    reader = _Reader()
    reader.run(module.body, set())
    return reader.cases


class _Reader:
    """``drawn`` holds at each place the names that may hang on the generator there."""

    def __init__(self) -> None:
        self.cases = Cases()
        self.emit: str | None = None
        self.bound: set[str] = set()  # what the cell itself has assigned

    def run(self, statements: list[ast.stmt], drawn: set[str]) -> None:
        for statement in statements:
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                self._define(statement, drawn)
                continue
            for part in ast.iter_child_nodes(statement):
                if isinstance(part, ast.expr | ast.withitem):
                    self._look(part, drawn)
            self._bind(statement, drawn)
            for inner in _bodies(statement) * (2 if isinstance(statement, LOOPS) else 1):
                branch = set(drawn)
                self.run(inner, branch)
                drawn |= branch

    def _define(self, definition: ast.stmt, drawn: set[str]) -> None:
        for node in ast.walk(definition):
            if self._is_emit(node):
                self.cases.kinds[node] |= {DRAWN, FIXED}
        _set({definition.name}, _mentions(definition, drawn), drawn)

    def _look(self, part: ast.AST, drawn: set[str]) -> None:
        """Note the cases that an expression emits."""
        nodes = list(ast.walk(part))
        loops = [node for node in nodes if isinstance(node, ast.comprehension)]
        inner = drawn.union(*(_names(loop.target) for loop in loops if _mentions(loop.iter, drawn)))
        for node in nodes:
            if self._is_emit(node):
                self.cases.kinds[node].add(_kind(node, inner))

    def _bind(self, statement: ast.stmt, drawn: set[str]) -> None:
        match statement:
            case ast.Assign(
                targets=[ast.Tuple(elts=[ast.Name(id=emit), ast.Name(id=rng)])],
                value=ast.Call(func=ast.Name(id="judge") | ast.Attribute(attr="judge"), args=[task]),
            ):
                self.emit = emit
                self.cases.task = task.value if isinstance(task, ast.Constant) else ""
                drawn.add(rng)
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    self._assign(target, value, drawn)
            case ast.For(target=target, iter=value) | ast.AsyncFor(target=target, iter=value):
                self._assign(target, value, drawn)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self._assign(target, value, drawn)
            case ast.AugAssign(target=target, value=value) if _mentions(value, drawn):
                drawn |= _names(target)
            case ast.Expr(value=ast.Call() as call) if _mentions(
                call, drawn
            ):  # x.append(drawn), rng.shuffle(x)
                drawn |= _names(call) & self.bound

    def _assign(self, target: ast.expr, value: ast.expr, drawn: set[str]) -> None:
        names = _names(target)
        self.bound |= names
        is_drawn = _mentions(value, drawn)
        if is_drawn or isinstance(target, ast.Name | ast.Tuple | ast.List):  # x[0] = 1 leaves the rest of x
            _set(names, is_drawn, drawn)

    def _is_emit(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == self.emit


def _kind(call: ast.Call, drawn: set[str]) -> str:
    values = [*call.args[1:], *(keyword.value for keyword in call.keywords)]
    if len(values) == 1 and _is_guessed(values[0]):
        return GUESSED
    return DRAWN if any(_mentions(value, drawn) for value in values or call.args) else FIXED


def _is_guessed(value: ast.expr) -> bool:
    """Whether it is a constant, or true or false and nothing else."""
    if isinstance(value, ast.Compare) or (isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.Not)):
        return True
    try:
        ast.literal_eval(value)
    except (ValueError, TypeError, RecursionError, MemoryError):
        return False
    return True


def _bodies(statement: ast.stmt) -> list[list[ast.stmt]]:
    """The blocks of statements within a statement."""
    inner = [getattr(statement, name, []) for name in ("body", "orelse", "finalbody")]
    parts = [*getattr(statement, "handlers", []), *getattr(statement, "cases", [])]
    return [*inner, *(part.body for part in parts)]


def _set(names: set[str], is_drawn: bool, drawn: set[str]) -> None:
    drawn.update(names) if is_drawn else drawn.difference_update(names)


def _names(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def _mentions(node: ast.AST, names: set[str]) -> bool:
    return not names.isdisjoint(_names(node))
