"""Whether an entry of ``forbid`` names anything: a misspelt one forbids nothing, and nobody notices."""

import builtins
import contextlib
import difflib
import importlib
import importlib.util
import io
import pkgutil
import re
import sys
from collections.abc import Iterable, Mapping
from functools import cache

FORM = re.compile(r"\.?[^\W\d]\w*(\.[^\W\d]\w*)*")


def why_nothing(entry: str, imports: Mapping[str, str], forbid: Iterable[str] = ()) -> str | None:
    """A sentence on an entry that names nothing, None for one that does.

    `imports` is what the exercise's own names stand for ({'np': 'numpy'}); a method is looked for on the types of
    Python, NumPy and torch, and of the modules that `imports` and `forbid` name.
    """
    if entry == "@":
        return None
    if not FORM.fullmatch(entry):
        return f'forbid {entry!r} has no known form; wanted: "numpy.dot", ".sort", "sorted" or "@"'
    if entry.startswith("."):
        tops = {name.split(".")[0] for name in (*imports.values(), *forbid)} - {"", "@"}
        return _why_no_method(entry, sorted(tops))
    top, _, rest = entry.partition(".")
    if imports.get(top, top) != top:
        full = f"{imports[top]}.{rest}".rstrip(".")
        return f"forbid {entry!r} finds nothing: calls are found by their full names; write {full!r}"
    if hasattr(builtins, top):
        return _why_missing(entry, builtins, entry.split("."))
    return _why_no_module(entry, top)


def _why_no_module(entry: str, top: str) -> str | None:
    if not _is_module(top):
        known = {*sys.stdlib_module_names, *dir(builtins), *(name for name in sys.modules if "." not in name)}
        near = difflib.get_close_matches(top, sorted(known), 1)
        return f"forbid {entry!r} names nothing: there is no module or builtin {top!r} here{_mean(near)}"
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            pkgutil.resolve_name(entry)
    except AttributeError:
        parent, _, last = entry.rpartition(".")
        if _is_module(entry):
            return None
        return _why_missing(entry, *_deepest(parent, last))
    except Exception:  # a module that is there but cannot be loaded here says nothing about its names
        return None
    return None


def _deepest(parent: str, last: str) -> tuple[object, list[str]]:
    """The object that a dotted name reaches, and what it does not have."""
    rest = [last]
    while True:
        try:
            return pkgutil.resolve_name(parent), rest
        except AttributeError:
            parent, _, missing = parent.rpartition(".")
            rest.insert(0, missing)


def _why_missing(entry: str, owner: object, names: list[str]) -> str | None:
    for place, name in enumerate(names):
        if not hasattr(owner, name):
            known = ".".join(entry.split(".")[: len(entry.split(".")) - len(names) + place])
            near = difflib.get_close_matches(name, dir(owner), 1)
            return f"forbid {entry!r} names nothing: {known} has no {name!r}{_mean(near, known)}"
        owner = getattr(owner, name)
    return None


def _why_no_method(entry: str, tops: Iterable[str]) -> str | None:
    name = entry.split(".")[-1]
    known = set()
    for top in dict.fromkeys(("builtins", "numpy", *tops, "torch")):
        known |= _methods(top)
        if name in known:
            return None
    near = difflib.get_close_matches(name, sorted(known), 1)
    return f"forbid {entry!r} names nothing: no type that the exercise knows has {name!r}{_mean(near, '')}"


@cache
def _methods(top: str) -> frozenset[str]:
    """The names of everything that the types of a package have."""
    names = set()
    with contextlib.suppress(Exception), contextlib.redirect_stdout(io.StringIO()):
        if _is_module(top):
            importlib.import_module(top)
    for module in [m for name, m in sys.modules.items() if name == top or name.startswith(f"{top}.")]:
        for value in list(getattr(module, "__dict__", {}).values()):
            if issubclass(type(value), type):  # isinstance asks lazy objects what they are, and they warn
                names.update(dir(value))
    return frozenset(names)


def _is_module(name: str) -> bool:
    try:
        return name in sys.modules or importlib.util.find_spec(name) is not None
    except (ImportError, ValueError, AttributeError):
        return False


def _mean(near: list[str], owner: str | None = None) -> str:
    if not near:
        return ""
    return f"; did you mean {f'{owner}.{near[0]}' if owner is not None else near[0]!r}?"
