"""What stands in the place of something forbidden while an answer runs, and tells on its caller: see :mod:`.watch`.

A function is replaced by one that calls it. A class has to go on being asked about (``isinstance``), derived from and
looked into, so an object stands in for it that answers as the class does, and so for other things that can be called.
"""

import contextlib
import functools
import inspect
import pkgutil
import sys
import types
from collections.abc import Callable, Iterator


def resolve(entry: str) -> object:
    """What an entry of ``forbid`` names; None where that is no object, or a package that nobody has imported."""
    if entry == "@" or entry.startswith("."):
        return None
    for name in (f"builtins.{entry}", entry if "." in entry else ""):
        with contextlib.suppress(Exception):  # a module that cannot be loaded here cannot be called either
            return pkgutil.resolve_name(name)
    return sys.modules.get(entry)


def maker(kind: type) -> types.FunctionType | None:
    """The function in Python that runs where an object of this class is made; the profile hook sees it by itself."""
    makers = (type(kind).__call__, kind.__new__, kind.__init__)
    return next((function for function in makers if isinstance(function, types.FunctionType)), None)


@contextlib.contextmanager
def tripwire(entry: str, tell: Callable[[], None]) -> Iterator[None]:
    """Put something that calls `tell` at each call in the place of what an entry names, or of a module's functions.

    The classes of Python itself are left alone: too much hangs on ``type(x) is dict``.
    """
    place, _, name = entry.rpartition(".")
    module, original = resolve(place) if place else None, resolve(entry)
    replaced = {}
    if isinstance(original, types.ModuleType):
        module, replaced = original, {n: _telling(f, tell) for n, f in functions(original).items()}
    elif isinstance(module, types.ModuleType) and callable(original):
        is_seen = isinstance(original, type) and maker(original)
        replaced = {} if is_seen else {name: _telling(original, tell)}
    before = {name: getattr(module, name) for name in replaced}
    try:
        for name, value in replaced.items():
            setattr(module, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)


def functions(module: types.ModuleType) -> dict[str, Callable]:
    """What can be called of a module and is no class, by its public names."""
    return {
        name: value
        for name, value in list(vars(module).items())
        if not name.startswith("_") and callable(value) and not isinstance(value, type)
    }


def _telling(original: Callable, tell: Callable[[], None]) -> Callable:
    if not inspect.isroutine(original):  # a class, or an object with more to it, as numpy.add.reduce
        return StandIn(original, tell)

    def tripwire(*args, **kwargs):
        tell()
        return original(*args, **kwargs)

    with contextlib.suppress(AttributeError):
        functools.update_wrapper(tripwire, original)
    return tripwire


class StandIn:
    """Answers as a class or another object does, and tells who calls it or derives from it."""

    def __init__(self, kind: Callable, tell: Callable[[], None]) -> None:
        self._kind, self._tell = kind, tell
        self.__bases__ = (kind,)  # for issubclass, of which this may be the first argument

    def __call__(self, *args, **kwargs):
        self._tell()
        return self._kind(*args, **kwargs)

    def __mro_entries__(self, bases: tuple) -> tuple[type]:
        self._tell()
        return (self._kind,)

    def __instancecheck__(self, value: object) -> bool:
        return isinstance(value, self._kind)

    def __subclasscheck__(self, kind: type) -> bool:
        return issubclass(kind, self._kind)

    def __getattr__(self, name: str):
        return getattr(self._kind, name)

    def __getitem__(self, item):
        return self._kind[item]

    def __or__(self, other):
        return self._kind | other

    def __ror__(self, other):
        return other | self._kind

    def __eq__(self, other: object) -> bool:
        return other is self or other is self._kind

    def __hash__(self) -> int:
        return hash(self._kind)

    def __repr__(self) -> str:
        return repr(self._kind)
