"""For lint: what to call to see whether the watch notices a forbidden entry, without doing what it does."""

import contextlib
import inspect
import pkgutil
import sys
import types
from collections.abc import Callable, Iterable, Iterator

from coursekit.grading.tripwire import StandIn, functions, maker

BAD = {"no such argument": None}  # refused by whatever names its arguments
Call = tuple[Callable, tuple, dict]


def load(entries: Iterable[str]) -> None:
    """Import what the entries name, as an exercise does: the watch knows only what is there when it begins."""
    for entry in entries:
        with contextlib.suppress(LookupError):
            _find(entry)


def prepare(entry: str) -> Call:
    """A function and its arguments, which stand for a use of what an entry of ``forbid`` names.

    What is written in C, or replaced by a tripwire, gets arguments that it refuses. In the place of a function in
    Python comes an empty one of the same name and module. Raises LookupError where nothing can be called.
    """
    if entry == "@":
        return eval, ("[] @ []",), {}
    if entry.startswith("."):
        return _of_method(entry[1:])
    found = _find(entry)
    if isinstance(found, types.ModuleType):
        return _member(found)
    if not callable(found):
        raise LookupError("it cannot be called")
    made_by = maker(found) if isinstance(found, type) else None
    return (_empty(made_by), (found,), {}) if made_by else _of_member(found, entry)


def _find(entry: str) -> object:
    for name in (f"builtins.{entry}", entry):
        try:
            return pkgutil.resolve_name(name)
        except Exception:
            continue
    raise LookupError("it cannot be loaded here")


def _member(module: types.ModuleType) -> Call:
    """A function of this module, to stand for all of them."""
    for function in functions(module).values():
        if _refuses(function):
            return function, (), BAD
    raise LookupError("no function of that module is here")


def _refuses(function: Callable) -> bool:
    """Whether it can be called with bad arguments, and does nothing."""
    try:
        inspect.signature(function).bind(**BAD)
    except (TypeError, ValueError):  # the latter for what is written in C
        return True
    return False


def _of_member(found: Callable, entry: str) -> Call:
    """A function of a module, or one of a class: "numpy.dot", "numpy.ndarray.sort"."""
    owner = _find(entry.rpartition(".")[0]) if "." in entry else None
    if not isinstance(owner, type):
        if not isinstance(found, StandIn | type) and not _refuses(found):
            raise LookupError("it cannot be called without doing what it does")
        return found, (), BAD
    call = _of_class(owner, entry.rpartition(".")[2])
    if call is None:
        raise LookupError("no object that has it could be made")
    return call


def _of_method(name: str) -> Call:
    calls = (_of_class(kind, name) for kind in _types())
    for call in calls:
        if call is not None:
            return call
    raise LookupError("no object that has it could be made")


def _of_class(kind: type, name: str) -> Call | None:
    """A call of a method of this class; None where it has none of that name, or no object of it can be made."""
    found = getattr(kind, name, None)
    if isinstance(found, types.FunctionType) and found.__name__ == name:
        return _empty(found), (None,), {}
    if isinstance(found, types.BuiltinFunctionType):
        return found, (), BAD
    if isinstance(found, types.MethodDescriptorType):
        for arguments in ((), (1,)):
            with contextlib.suppress(Exception):
                return getattr(kind(*arguments), name), (), BAD
    return None


def _types() -> Iterator[type]:
    for module in ("builtins", "numpy", *list(sys.modules)):
        for value in list(vars(sys.modules[module]).values()) if module in sys.modules else ():
            if issubclass(type(value), type):
                yield value


def _empty(function: types.FunctionType) -> types.FunctionType:
    code = function.__code__
    body = (lambda first: None).__code__.replace(
        co_name=code.co_name, co_qualname=code.co_qualname, co_filename=code.co_filename
    )
    return types.FunctionType(body, function.__globals__)
