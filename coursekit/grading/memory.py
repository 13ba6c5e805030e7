"""How much memory an answer needs: what is in use while it is called, and what it holds already before.

Python's own watch (``tracemalloc``) sees what is made during the call. An array that the answer has made before, as it
was defined or in an earlier call, would escape it; but the answer has to keep hold of that somewhere: in a global name,
a default, a closure, an attribute. So what can be reached from the function counts as well.
"""

import gc
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, ModuleType

import numpy as np


def watched(function: Callable, *arguments) -> tuple[object, int]:
    """What ``function(*arguments)`` returns, and the bytes at its peak beyond those of before, with what it held."""
    held = held_by(function)
    tracemalloc.start()
    try:
        value = function(*arguments)
        return value, held + tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def held_by(function: Callable) -> int:
    """Bytes of all objects that can be reached from a function, be it through others that it calls.

    Modules are left out, and so are classes that come with them; of an array made of another, that other counts.
    """
    seen, waiting, total = set(), [function], 0
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, ModuleType) or _is_of_a_module(thing):
            continue
        seen.add(id(thing))
        total += sys.getsizeof(thing)
        waiting += _reached(thing)
    return total


def _is_of_a_module(thing) -> bool:
    return isinstance(thing, type) and thing.__module__ != "__main__"


def _reached(thing) -> Iterator[object]:
    if isinstance(thing, np.ndarray):
        return [thing.base, thing.tolist() if thing.dtype == object else None]
    if not isinstance(thing, FunctionType):
        return gc.get_referents(thing)
    names = {name for code in _codes(thing.__code__) for name in code.co_names}
    used = [thing.__globals__[name] for name in names if name in thing.__globals__]
    return [*used, thing.__defaults__, thing.__kwdefaults__, thing.__closure__, thing.__dict__]


def _codes(code: CodeType) -> Iterator[CodeType]:
    """A function's code, and that of the functions within it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)
