"""Whether a cell can run at all: whether it is Python, and what it imports of this package is there."""

import ast
import contextlib
import difflib
import importlib.util
import pkgutil
from functools import cache

from coursekit.grading.lint.trees import BadCode, parse

PACKAGE = "coursekit"


@cache
def why_unreadable(source: str) -> str | None:
    """A sentence on the first thing that keeps a cell from running, None where nothing is seen."""
    try:
        module = parse(source)
    except BadCode as error:
        return f"it is no Python: {error}"
    for node in ast.walk(module):
        for name, member in _imported(node):
            missing = _why_missing(name, member)
            if missing:
                return missing
    return None


def _imported(node: ast.AST) -> list[tuple[str, str]]:
    """The modules, each with the name taken from it or none, that a statement imports."""
    if isinstance(node, ast.Import):
        return [(alias.name, "") for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [(node.module, alias.name) for alias in node.names]
    return []


def _why_missing(module: str, member: str) -> str | None:
    top, *rest = module.split(".")
    if top != PACKAGE:
        is_near = difflib.get_close_matches(top, [PACKAGE], cutoff=0.8) and not _is_module(top)
        return f"it imports {top}, which is not here; did you mean {PACKAGE}?" if is_near else None
    known = PACKAGE
    for part in rest:
        if not _is_module(f"{known}.{part}"):
            return _sentence(known, part)
        known = f"{known}.{part}"
    if not member or member == "*" or _is_module(f"{module}.{member}"):
        return None
    with contextlib.suppress(ImportError, OSError):  # what cannot be loaded here says nothing about its names
        found = pkgutil.resolve_name(module)
        return None if hasattr(found, member) else _sentence(module, member)
    return None


def _sentence(known: str, name: str) -> str:
    module = pkgutil.resolve_name(known)
    names = {
        *dir(module),
        *getattr(module, "__all__", ()),
        *(info.name for info in pkgutil.iter_modules(getattr(module, "__path__", []))),
    }
    near = difflib.get_close_matches(name, sorted(names), 1)
    return f"it imports {name} of {known}, which has none{f'; did you mean {near[0]}?' if near else ''}"


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError, AttributeError):
        return False
