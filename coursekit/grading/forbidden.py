"""Calls that a task forbids, found in the source of an answer.

An entry of ``forbid`` is a dotted name ("numpy.dot", or "numpy.linalg" for all below it), a method
of whatever object (".sort"), a builtin ("sorted"), or the operator "@". Names are followed through
imports and assignments (``import numpy as n; d = n.dot``) and through ``getattr`` with a literal.
"""

import ast


def find_forbidden(source: str, forbid: tuple[str, ...], context: str = "") -> str | None:
    """A sentence naming the first forbidden thing in `source`, or None.

    `context` is the source that runs before it (its imports give names their meaning). Source that
    does not parse is nobody's call: it will fail when it runs.
    """
    if not forbid:
        return None
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    names = _Names()
    for text in (context, source):
        try:
            names.visit(ast.parse(text))
        except SyntaxError:
            continue
    for node in ast.walk(tree):
        for used in names.uses(node):
            for entry in forbid:
                if _is_match(used, entry):
                    shown = "the operator @" if entry == "@" else entry
                    return f"line {node.lineno} uses {shown}, which this task does not allow"
    return None


def _is_match(used: str, entry: str) -> bool:
    if entry.startswith("."):
        return used.endswith(entry)
    return used == entry or used.startswith(entry + ".")


class _Names(ast.NodeVisitor):
    """What each name stands for: the dotted path it was imported as, or assigned from."""

    def __init__(self) -> None:
        self.paths: dict[str, str] = {}

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            top = alias.name.split(".")[0]
            self.paths[alias.asname or top] = alias.name if alias.asname else top

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            self.paths[alias.asname or alias.name] = f"{node.module}.{alias.name}"

    def visit_Assign(self, node: ast.Assign) -> None:
        path = self.path(node.value)
        for target in node.targets:
            if path and isinstance(target, ast.Name):
                self.paths[target.id] = path
        self.generic_visit(node)

    def path(self, node: ast.AST) -> str | None:
        """The dotted path an expression stands for; an unknown object's attribute is '?.name'."""
        if isinstance(node, ast.Name):
            return self.paths.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            return f"{self.path(node.value) or '?'}.{node.attr}"
        if isinstance(node, ast.Call) and len(node.args) >= 2 and self.path(node.func) == "getattr":
            name = node.args[1]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                return f"{self.path(node.args[0]) or '?'}.{name.value}"
        if isinstance(node, ast.Call) and self.path(node.func) in ("__import__", "importlib.import_module"):
            name = node.args[0] if node.args else None
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                return name.value
        return None

    def uses(self, node: ast.AST) -> list[str]:
        """The dotted paths that this one node uses."""
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.MatMult):
            return ["@"]
        if isinstance(node, ast.Import):
            return [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            return [f"{node.module}.{alias.name}" for alias in node.names]
        if isinstance(node, ast.Name | ast.Attribute | ast.Call):
            path = self.path(node)
            return [path] if path else []
        return []
