"""Calls that a task forbids, found in the source of an answer.

An entry of ``forbid`` is a dotted name ("numpy.dot", or "numpy.linalg" for all below it), a method of whatever
object (".sort"), a builtin ("sorted"), or the operator "@". Names are followed through imports and assignments
(``import numpy as n; d = n.dot``), through ``getattr`` with a literal, and into other answers that this one calls.
What hides deeper than that is not found here; :mod:`coursekit.grading.watch` looks again while the answer runs.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

from coursekit.grading.watch import OPERATOR, spellings

PARSE = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
UNREADABLE = "its answer is nested or tangled too deeply to be looked through for forbidden calls"
MAGIC = re.compile(r"[%!?]")
MOST_MAGICS = 100
MOST_MEANINGS = 100  # of one name
MOST_PARTS = 50  # of a dotted path


class Tangled(RuntimeError):
    """The source takes too long to follow."""


def find_forbidden(
    source: str, forbid: tuple[str, ...], context: str = "", others: Iterable[str] = ()
) -> str | None:
    """A sentence naming the first forbidden thing in `source`, or None.

    `context` is the source that runs before it (its imports give names their meaning); `others` are answers whose
    functions it may call. A source with a syntax error is allowed: it fails when it runs.
    """
    if not forbid:
        return None
    forbid = spellings(forbid)
    try:
        answer = parse(source)
        if answer is None:
            return None
        return _search([answer, *_relevant(answer, others)], forbid, parse(context))
    except (RuntimeError, MemoryError):
        return UNREADABLE


def _relevant(answer: ast.Module, others: Iterable[str]) -> Iterator[ast.Module]:
    """The other answers, but for those that are nested too deeply to be looked through and that this one does not call.

    Raises RuntimeError for one that it calls.
    """
    for text in others:
        tree = None
        try:
            tree = parse(text)
            if tree is not None:
                _Names().visit(tree)
        except (RuntimeError, MemoryError):
            if tree is not None and _defines(tree) & _mentions(answer):
                raise
        else:
            if tree is not None:
                yield tree


def parse(text: str) -> ast.Module | None:
    """The tree of a cell, IPython's magics included; None where Python would refuse it too.

    Raises :class:`Tangled` for more magics than IPython translates in a while.
    """
    for translate in (str, _translated):
        try:
            return compile(translate(text), "<answer>", "exec", PARSE)
        except (SyntaxError, ValueError):
            continue
    return None


def _translated(text: str) -> str:
    from IPython.core.inputtransformer2 import TransformerManager

    if len(MAGIC.findall(text)) > MOST_MAGICS:
        raise Tangled
    return TransformerManager().transform_cell(text)


def _search(trees: list[ast.Module], forbid: tuple[str, ...], context: ast.Module | None) -> str | None:
    names = _Names()
    for tree in (context, *trees):
        if tree is not None:
            names.visit(tree)
    answer, *others = trees
    for tree in [answer, *(other for other in others if _defines(other) & _mentions(answer))]:
        for node in ast.walk(tree):
            for used in names.uses(node):
                for entry in forbid:
                    if _is_match(used, entry):
                        where = f"line {node.lineno}" if tree is answer else "an answer that it calls"
                        shown = "the operator @" if entry == "@" or entry in OPERATOR else entry
                        return f"{where} uses {shown}, which this task does not allow"
    return None


def _is_match(used: str, entry: str) -> bool:
    if used.endswith(".*"):  # from numpy import *
        return entry.startswith(used[:-1])
    if used.startswith("'"):  # a string that names it, as in vars(numpy)["dot"]
        return len(entry) > 3 and used[1:] == entry.split(".")[-1]
    if entry.startswith("."):
        return used.endswith(entry)
    return used == entry or used.startswith(entry + ".")


def _defines(tree: ast.Module) -> set[str]:
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)} | {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _mentions(tree: ast.Module) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


class _Names(ast.NodeVisitor):
    """What each name can stand for: the dotted paths it was imported as, or assigned from.

    A name may have several; which one holds where is not asked, so one that is forbidden is enough.
    """

    def __init__(self) -> None:
        self.known: dict[str, set[str]] = defaultdict(set)
        self.own: set[str] = set()
        self.cache: dict[ast.AST, frozenset[str]] = {}

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            top = alias.name.split(".")[0]
            self.known[alias.asname or top].add(alias.name if alias.asname else top)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            self.known[alias.asname or alias.name].add(f"{node.module}.{alias.name}")

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.own.add(node.name)
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        self._assign(node.targets, node.value)
        self.generic_visit(node)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self._assign([node.target], node.value)
        self.generic_visit(node)

    def _assign(self, targets: list, value: ast.AST) -> None:
        for target in targets:
            if isinstance(target, ast.Name):
                self.known[target.id] |= self.paths(value)
                self.cache.clear()
                if len(self.known[target.id]) > MOST_MEANINGS:
                    raise Tangled

    def paths(self, node: ast.AST) -> frozenset[str]:
        """The dotted paths an expression can stand for; an unknown object's attribute is '?.name'."""
        if node not in self.cache:
            self.cache[node] = frozenset(self._paths(node))
        return self.cache[node]

    def _paths(self, node: ast.AST) -> Iterable[str]:
        if isinstance(node, ast.Name):
            own = () if node.id in self.own else (node.id,)
            return self.known.get(node.id) or own
        if isinstance(node, ast.NamedExpr):
            return self.paths(node.value)
        if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Store):
            bases = self.paths(node.value) or ("?",)
            if any(base.count(".") >= MOST_PARTS for base in bases):
                raise Tangled
            return [f"{base}.{node.attr}" for base in bases]
        if isinstance(node, ast.Call) and node.args:
            return self._called(node, self.paths(node.func))
        return ()

    def _called(self, node: ast.Call, function: frozenset[str]) -> Iterable[str]:
        literal = [
            a.value if isinstance(a, ast.Constant) and isinstance(a.value, str) else None for a in node.args
        ]
        if "getattr" in function and len(literal) > 1 and literal[1]:
            return [f"{base}.{literal[1]}" for base in self.paths(node.args[0]) or ("?",)]
        if function & {"__import__", "importlib.import_module"} and literal[0]:
            return [literal[0]]
        return ()

    def uses(self, node: ast.AST) -> Iterable[str]:
        """The dotted paths that this one node uses."""
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.MatMult):
            return ["@"]
        if isinstance(node, ast.Import):
            return [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            return [f"{node.module}.{alias.name}" for alias in node.names]
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return [f"'{node.value}"]
        return self.paths(node)
