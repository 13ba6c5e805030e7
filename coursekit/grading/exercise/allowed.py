"""Names that a task allows: all others are refused, so nobody has to think of every other way to the same end.

An entry of ``allow`` is the full name of what a module holds ("numpy.zeros", or "math.*" for all of it), an attribute
of whatever object (".max"), a builtin ("sum"), the operator "@", or an argument by its name ("parallel="). ``BUILTINS``
and ``ATTRIBUTES`` do no harm and need not be listed. What an answer binds itself it may use, and what given cells and
other answers define, where these keep to the list, too. A text of code or a name put together needs ``exec``,
``getattr``, ``str.format`` or the like, so it is refused with them.
"""

import ast
import builtins
import difflib
import symtable
import sys
from collections.abc import Iterable, Iterator

from coursekit.grading.exercise.forbidden import UNREADABLE, find_forbidden, parse
from coursekit.grading.exercise.key import Task

PLAIN = """__name__ abs all any bool complex dict divmod enumerate filter float frozenset int isinstance issubclass iter
len list map max min next pow print range repr reversed round set slice str tuple zip"""
EXCEPTIONS = {
    n for n, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, Exception)
}
OF_OBJECTS = """T append astype clear copy count dtype extend fill flatten get index insert is_integer item items
itemsize join keys nbytes ndim pop ravel real remove reshape reverse setdefault shape size strides tolist transpose
update values"""
BUILTINS = frozenset(PLAIN.split()) | EXCEPTIONS
ATTRIBUTES = frozenset(OF_OBJECTS.split())
AT_HAND = frozenset([*dir(builtins), "In", "Out", "exit", "get_ipython", "open", "quit"])
"""What a notebook's names have before any cell has run."""
RESERVED = ("_judge", "__builtins__")  # in the notebook's names, of the grader and of Python
ASKED = ("parallel",)  # arguments that need an entry
SHOWN = 5  # names of a module that a message lists


def find_refused(source: str, task: Task, context: str = "", others: Iterable[str] = ()) -> str | None:
    """A sentence naming the first thing in an answer's source that its task forbids or does not allow, or None."""
    others = list(others)
    found = find_forbidden(source, task.forbid, context, others)
    return found or find_unlisted(source, task.allow, context, others)


def find_unlisted(
    source: str, allow: tuple[str, ...], context: str = "", others: Iterable[str] = ()
) -> str | None:
    """A sentence naming the first thing in `source` that `allow` does not list, or None.

    `context` is the source of the given cells, `others` are the other answers. A source with a syntax error is allowed.
    """
    if not allow:
        return None
    try:
        answer, given = parse(source), parse(context)
        trees = [tree for tree in map(_parsed, others) if tree is not None]
        return _search(answer, given or ast.Module([], []), trees, allow) if answer is not None else None
    except (RuntimeError, MemoryError):
        return UNREADABLE


def _parsed(source: str) -> ast.Module | None:
    try:
        return parse(source)
    except (RuntimeError, MemoryError):
        return None  # what it defines is unknown, so nobody may call it


def _search(
    answer: ast.Module, given: ast.Module, others: list[ast.Module], allow: tuple[str, ...]
) -> str | None:
    """The first finding in the answer, or in another answer that defines what it looks up."""
    for tree in (answer, *others):
        if taken := _taken(tree, given) | {*RESERVED} & bound(tree):
            where = "it" if tree is answer else "another answer"
            return f"{where} gives {min(taken)} another meaning than the exercise does, which this task does not allow"
    waiting, seen = [answer], []
    while waiting:
        tree = waiting.pop(0)
        seen.append(tree)
        outside = _outside(tree)
        called = [other for other in others if bound(other) & outside]
        waiting += [other for other in called if other not in seen and other not in waiting]
        known = set().union(bound(given), *map(_owned, called)) & outside
        names = _Names([given, tree, *called], outside - known)
        for node in ast.walk(tree):
            for used in names.uses(node):
                if not is_listed(used, allow):
                    where = f"line {node.lineno}" if tree is answer else "an answer that it calls"
                    return (
                        f"{where} uses {_shown(used)}, which this task does not allow{_instead(used, allow)}"
                    )
    return None


def is_listed(used: str, allow: tuple[str, ...]) -> bool:
    """Whether a name as :class:`_Names` gives it is on the list, or on the one that holds for all tasks."""
    if used in allow or used in BUILTINS or (used.startswith(".") and used[1:] in ATTRIBUTES):
        return True
    if used.startswith("import "):
        return any(entry.startswith(f"{used[7:]}.") for entry in allow)
    place, _, name = used.rpartition(".")
    return f"{place}.*" in allow and not name.startswith("_") and bool(place) and _is_in(place, name)


def _is_in(place: str, name: str) -> bool:
    """Whether a module holds this name itself, or is not loaded here: another cell may have put something into it."""
    module = sys.modules.get(place)
    return module is None or hasattr(module, name)


def _shown(used: str) -> str:
    if used == "@":
        return "the operator @"
    if used == "**=":
        return "arguments from a dictionary (**)"
    return used.rstrip("=") + " as an argument" if used.endswith("=") else used.removeprefix("import ")


def _instead(used: str, allow: tuple[str, ...]) -> str:
    """What the task allows of the same kind."""
    top = used.removeprefix("import ").split(".")[0]
    near = [entry for entry in allow if entry.split(".")[0] == top and entry[-1] != "="]
    if not near or used.endswith("="):
        return ""
    more = ""
    if len(near) > SHOWN:
        more = f" and {len(near) - SHOWN} more"
        near.sort(key=lambda entry: -difflib.SequenceMatcher(None, used, entry).ratio())
    return f"; it allows {', '.join(near[:SHOWN])}{more}"


def calls_answer(source: str, other: str) -> bool:
    """Whether a cell looks up a name that another cell binds; True where either cannot be read."""
    trees = _parsed(source), _parsed(other)
    return None in trees or bool(_mentioned(trees[0]) & bound(trees[1]))


def _outside(tree: ast.Module) -> set[str]:
    """The names that a cell looks up and does not bind where Python would look.

    In the body of a class Python looks further, too, for a name that the class binds and has not bound yet.
    """
    top = symtable.symtable(ast.unparse(tree), "<answer>", "exec")
    scopes = [top]
    for scope in scopes:
        scopes += scope.get_children()
    looked_up = {
        symbol.get_name()
        for scope in scopes
        for symbol in scope.get_symbols()
        if symbol.is_referenced()
        and (
            symbol.is_global()
            or scope is top
            or (scope.get_type() == "class" and symbol.get_name() in AT_HAND)
        )
    }
    return looked_up - _owned(tree)


def _owned(tree: ast.Module) -> set[str]:
    """The names that a cell binds; one that is there without it (``eval``) only where it is sure to be bound first.

    That is a plain ``def`` or assignment of the cell itself, before anything that looks the name up, and no ``del``.
    """
    own = bound(tree)
    return {name for name in own if name not in AT_HAND or _is_bound_first(tree, name)}


def _is_bound_first(tree: ast.Module, name: str) -> bool:
    for node in ast.walk(tree):  # an except clause deletes its name at its end
        if getattr(node, "name", None) == name and isinstance(node, ast.ExceptHandler):
            return False
        if isinstance(node, ast.Delete) and name in _mentioned(node):
            return False
    # As a decorator, one of these could call at once what it is given, which has no name yet.
    own = {"<lambda>", *bound(tree)} - _imports(tree).keys()
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == name:
            made = set().union(*map(_mentioned, statement.decorator_list))
            return not made & own and name not in made | _mentioned(statement.args)
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return name not in _mentioned(statement.value)
        if name in _mentioned(statement):
            return False
    return False


def _mentioned(tree: ast.AST) -> set[str]:
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    names |= {"<lambda>" for n in ast.walk(tree) if isinstance(n, ast.Lambda)}
    return names | {str(getattr(n, "name", "")) for n in ast.walk(tree)}


def bound(tree: ast.Module) -> set[str]:
    """The names that a cell binds for itself and for later ones."""
    top = symtable.symtable(ast.unparse(tree), "<cell>", "exec")
    scopes, names = [top], set()
    for scope in scopes:
        scopes += scope.get_children()
        for symbol in scope.get_symbols():
            is_global = scope is top or symbol.is_declared_global()
            if is_global and (symbol.is_assigned() or symbol.is_imported()):
                names.add(symbol.get_name())
    return names


def _taken(tree: ast.Module, given: ast.Module) -> set[str]:
    """The names of given cells, as of what watches memory, and of what they call of Python, that a cell binds anew."""
    own, theirs = _imports(tree), _imports(given)
    names = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
    }
    names |= {getattr(node, "name", None) for node in ast.walk(tree) if not isinstance(node, ast.alias)}
    of_python = bound(tree) & _outside(given) & {*dir(builtins)}
    return of_python | {
        name
        for name in bound(tree) & bound(given)
        if name in names or not own.get(name, {None}) <= theirs.get(name, set())
    }


def _imports(tree: ast.Module) -> dict[str, set[str]]:
    """What the imported names of a cell stand for."""
    found: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.split(".")[0]
                found.setdefault(alias.asname or top, set()).add(alias.name if alias.asname else top)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                found.setdefault(alias.asname or alias.name, set()).add(f"{node.module}.{alias.name}")
    return found


class _Names:
    """What the nodes of a cell use: ``numpy.dot``, ``.sort`` of some object, ``sorted``, ``@``, ``parallel=``."""

    def __init__(self, trees: list[ast.Module], unknown: set[str]) -> None:
        self.unknown, self.modules = unknown, {}
        self.bases: set[int] = set()  # what stands before a dot, which is looked at with it
        for tree in trees:
            for name, paths in _imports(tree).items():
                self.modules.setdefault(name, set()).update(paths)

    def uses(self, node: ast.AST) -> Iterator[str]:
        """What this one node uses, by the names of :func:`is_listed`."""
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.MatMult):
            yield "@"
        elif isinstance(node, ast.Attribute):
            yield from self._attribute(node)
        elif isinstance(node, ast.Name) and id(node) not in self.bases:
            yield from self.modules.get(node.id, {node.id} & self.unknown)
        elif isinstance(node, ast.Import):
            yield from (f"import {alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.MatchClass):
            yield from (f".{name}" for name in node.kwd_attrs or ["__match_args__"] * len(node.patterns))
        elif isinstance(node, ast.keyword) and (node.arg is None or node.arg in ASKED):
            yield f"{node.arg or '**'}="

    def _attribute(self, node: ast.Attribute) -> Iterator[str]:
        """The full name where a module stands before the dots, else the attribute of some object."""
        names, inner, base = [node.attr], [], node.value
        while isinstance(base, ast.Attribute):
            names.append(base.attr)
            inner.append(base)
            base = base.value
        if id(node) in self.bases:
            return
        if not (isinstance(base, ast.Name) and base.id in self.modules):
            yield f".{node.attr}"
            return
        self.bases |= {id(base), *map(id, inner)}
        if isinstance(node.ctx, ast.Load):
            yield from (".".join([path, *reversed(names)]) for path in self.modules[base.id])
        else:
            yield f"{base.id}.{node.attr} anew"
