"""Cells as syntax trees: whether they are Python, which names they import, and what of a solution they show."""

import ast
import re
import textwrap
import warnings
from collections.abc import Iterable, Iterator

from coursekit.grading.exercise.forbidden import PARSE
from coursekit.grading.exercise.key import BEGIN, END
from coursekit.grading.exercise.notebook import Cell

SHORT = 12  # an expression of fewer characters tells nothing: len(x), n + 1
SPAN = re.compile(r"```.*?\n(.*?)```|`([^`\n]+)`", re.DOTALL)


class BadCode(ValueError):
    """The cell is no Python; the message says where and why."""


def parse(source: str) -> ast.Module:
    """The tree of a cell, IPython's magics included. Raises :class:`BadCode`."""
    from IPython.core.inputtransformer2 import TransformerManager

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return compile(TransformerManager().transform_cell(source), "<cell>", "exec", PARSE)
    except SyntaxError as error:
        raise BadCode(f"line {error.lineno}: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise BadCode(str(error) or type(error).__name__) from None


def tree(source: str) -> ast.Module:
    """The tree of a cell, empty where it is no Python."""
    try:
        return parse(source)
    except BadCode:
        return ast.Module([], [])


def calls(module: ast.AST, name: str) -> list[ast.Call]:
    """The calls of a function by this name, as it stands or as an attribute."""
    return [
        node
        for node in ast.walk(module)
        if isinstance(node, ast.Call)
        and name in (getattr(node.func, "id", None), getattr(node.func, "attr", None))
    ]


def texts(module: ast.AST) -> set[str]:
    """The texts that stand in it as constants; the pieces of an f-string are none."""
    pieces = {part for node in ast.walk(module) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    found = (node for node in ast.walk(module) if isinstance(node, ast.Constant) and node not in pieces)
    return {node.value for node in found if isinstance(node.value, str)}


def defined(module: ast.Module) -> set[str]:
    """The names that the functions, classes and assignments of a cell define."""
    nodes = [node for node in module.body if isinstance(node, ast.stmt)]
    names = {getattr(node, "name", None) for node in nodes} | {
        target.id
        for node in nodes
        for target in getattr(node, "targets", [getattr(node, "target", None)])
        if isinstance(target, ast.Name)
    }
    return names - {None}


def functions(module: ast.Module) -> set[str]:
    """The names of the functions and classes that a cell defines."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return {node.name for node in module.body if isinstance(node, kinds)}


def free(module: ast.Module) -> set[str]:
    """The names that a cell uses and binds nowhere, be it as an argument."""
    names = [node for node in ast.walk(module) if isinstance(node, ast.Name)]
    bound = {node.id for node in names if not isinstance(node.ctx, ast.Load)}
    bound |= {node.arg for node in ast.walk(module) if isinstance(node, ast.arg)}
    return {node.id for node in names} - bound - defined(module)


def imports(cells: Iterable[Cell]) -> dict[str, str]:
    """What the names that these cells import stand for: {'np': 'numpy', 'dot': 'numpy.dot'}."""
    found = {}
    for cell in cells:
        for node in ast.walk(tree(cell.source)) if cell.kind == "code" else ():
            if isinstance(node, ast.Import):
                for alias in node.names:
                    top = alias.name.split(".")[0]
                    found[alias.asname or top] = alias.name if alias.asname else top
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return found


def blocks(source: str) -> list[range]:
    """The line numbers, from 1, between each BEGIN and END of an answer cell."""
    lines = [line.strip() for line in source.splitlines()]
    begins = [n for n, line in enumerate(lines, 1) if line == BEGIN]
    ends = [n for n, line in enumerate(lines, 1) if line == END]
    return [range(begin + 1, end) for begin, end in zip(begins, ends, strict=False) if begin < end]


def told(solution: str, shown: Iterable[Cell]) -> tuple[list[str], float]:
    """The expressions of a solution that these cells show, and which share of all its expressions that is.

    Compared as trees, so layout and quotes do not matter. Of texts, what stands between backticks counts.
    """
    inside = {line for block in blocks(solution) for line in block}
    telling = dict.fromkeys(
        text
        for node in ast.walk(tree(solution))
        if isinstance(node, ast.stmt) and node.lineno in inside
        for part in _values(node)
        if (text := _telling(part))
    )
    seen = {
        ast.unparse(node)
        for cell in shown
        for source in ([cell.source] if cell.kind == "code" else _spans(cell.source))
        for node in ast.walk(tree(source))
        if isinstance(node, ast.expr)
    }
    found = [text for text in telling if text in seen]
    return found, len("".join(found)) / max(len("".join(telling)), 1)


def _values(statement: ast.stmt) -> Iterator[ast.expr]:
    """The expressions that a statement is about, without the statements within it."""
    for name in ("value", "test", "iter", "exc"):
        if isinstance(part := getattr(statement, name, None), ast.expr):
            yield part


def _telling(expression: ast.expr) -> str | None:
    """The text of an expression that computes something; None for a short one, and for a function of mere names."""
    computing = (ast.Call, ast.BinOp, ast.Compare, ast.BoolOp, ast.Subscript, ast.ListComp, ast.IfExp)
    text = ast.unparse(expression)
    if len(text.replace(" ", "")) < SHORT or _is_signature(expression):
        return None
    return text if any(isinstance(node, computing) for node in ast.walk(expression)) else None


def _is_signature(node: ast.expr) -> bool:
    """Whether it looks like what a text says is to be written: mean(values), np.asarray(x)."""
    plain = isinstance(node, ast.Call) and not node.keywords
    return plain and all(isinstance(arg, ast.Name | ast.Starred) for arg in node.args)


def _spans(text: str) -> list[str]:
    return [textwrap.dedent(block or span) for block, span in SPAN.findall(text)]
