"""Calls that a task forbids, seen while the answer runs: in the learner's kernel, so it helps and proves nothing.

The source of an answer is searched outside the kernel (:mod:`coursekit.grading.exercise.forbidden`); this finds what
a source can hide, e.g. ``getattr(numpy, "d" + "ot")`` or ``exec``. Only calls from the learner's own code count: what a
library does inside is its own affair.

Python tells of each call of a function (``sys.setprofile``), but not of a call of a class, save that its ``__init__``
may be a function. So whatever else a module holds under a forbidden name is replaced meanwhile
(:mod:`coursekit.grading.tripwire`), and the global names that the learner's functions use are looked at.
"""

import contextlib
import dis
import functools
import os
import sys
import sysconfig
import threading
import types
from collections.abc import Iterator

import coursekit
from coursekit.grading.tripwire import resolve, tripwire

OPERATOR = ("operator.matmul", "operator.imatmul", ".__matmul__", ".__rmatmul__", ".__imatmul__")
LIBRARIES = tuple(
    {os.path.realpath(path) + os.sep for path in sysconfig.get_paths().values()}
    | {os.path.join(os.path.realpath(os.path.dirname(coursekit.__file__)), "")}
)
JUDGE = "<judge>"  # the file name of trusted cells
MAKERS = (
    "__init__",
    "__new__",
    "__call__",
)  # the functions of a class, or of its own class, that make an object


def spellings(forbid: tuple[str, ...]) -> tuple[str, ...]:
    """The entries of ``forbid`` with what else they stand for: "@" has names, too."""
    return (*forbid, *(OPERATOR if "@" in forbid else ()))


@contextlib.contextmanager
def watching(forbid: tuple[str, ...], answer: object = None) -> Iterator[set[str]]:
    """Collect the entries of `forbid` that the learner's code uses meanwhile, in this thread and those it starts.

    `answer` is what is called as the learner's: it may be a forbidden function itself.
    """
    used: set[str] = set()
    if not forbid:
        yield used
        return
    while isinstance(answer, functools.partial):
        answer = answer.func
    watch = _Watch(spellings(forbid), used)
    watch.match(str(getattr(answer, "__module__", None)), str(getattr(answer, "__name__", None)))
    watch.look_at(answer)
    watch.look_at(getattr(type(answer), "__call__", None))  # noqa: B004  (asked for what it is)
    with contextlib.ExitStack() as stack:
        for entry in watch.entries:
            stack.enter_context(tripwire(entry, functools.partial(watch.tripped, entry)))
        before = sys.getprofile(), threading.getprofile()
        sys.setprofile(watch.notice)
        threading.setprofile(watch.notice)
        try:
            yield used
        finally:
            sys.setprofile(before[0])
            threading.setprofile(before[1])


class _Watch:
    """The entries, the objects that they name (by id), and those that were seen in use."""

    def __init__(self, entries: tuple[str, ...], used: set[str]) -> None:
        self.entries, self.used = entries, used
        named = [(entry, resolve(entry)) for entry in entries]
        self.objects = {id(found): (entry, found) for entry, found in named if callable(found)}
        self.classes = [(entry, found) for entry, found in named if isinstance(found, type)]
        self.looked: set[types.CodeType] = set()

    def notice(self, frame: types.FrameType, event: str, arg: object) -> None:
        """Called by Python at each call and return."""
        if event == "call":
            if _is_own(frame.f_code):
                self._enter(frame)
            if frame.f_back is not None and _is_own(frame.f_back.f_code):
                self._call(frame)
        elif event == "c_call" and _is_own(frame.f_code):
            owner = getattr(arg, "__self__", None)
            name = str(getattr(arg, "__name__", ""))
            if owner is None or isinstance(owner, types.ModuleType):
                self.match(str(getattr(arg, "__module__", None)), name)
            else:
                self._method(owner, name)

    def tripped(self, entry: str) -> None:
        """Called by what stands in for an entry: two frames below is who called it."""
        if _is_own(sys._getframe(2).f_code):
            self.used.add(entry)

    def look_at(self, value: object) -> None:
        """Note the entry that this very object is."""
        if id(value) in self.objects:
            self.used.add(self.objects[id(value)][0])

    def match(self, module: str, name: str) -> None:
        full = name if module == "builtins" else f"{module}.{name}"
        for entry in self.entries:
            if full == entry or full.startswith(entry + "."):
                self.used.add(entry)

    def _enter(self, frame: types.FrameType) -> None:
        """A function of the learner's begins: what it does by operators, and what its global names are."""
        code = frame.f_code
        if "@" in self.entries and _multiplies(code):
            self.used.add("@")
        if code not in self.looked:
            self.looked.add(code)
            for name in code.co_names:
                self.look_at(frame.f_globals.get(name))

    def _call(self, frame: types.FrameType) -> None:
        """The learner's code calls a function that is written in Python."""
        code, module = frame.f_code, str(frame.f_globals.get("__name__"))
        self.match(module, code.co_name)
        owner, _, name = code.co_qualname.rpartition(".")
        if not owner or owner.endswith("<locals>"):
            return
        if f"{module}.{code.co_qualname}" in self.entries:
            self.used.add(f"{module}.{code.co_qualname}")
        if f".{name}" in self.entries and not _is_own(code):
            self.used.add(f".{name}")
        if self.classes and name in MAKERS and code.co_argcount:
            first = frame.f_locals.get(code.co_varnames[0])
            self._make(first if isinstance(first, type) else type(first))

    def _make(self, kind: type) -> None:
        """An object of this class is made: one that is forbidden, or one that the learner derived from it."""
        for entry, forbidden in self.classes:
            if kind is forbidden or (forbidden in kind.__mro__ and not _is_library(kind)):
                self.used.add(entry)

    def _method(self, owner: object, name: str) -> None:
        """The learner's code calls a method that is written in C."""
        if f".{name}" in self.entries:
            self.used.add(f".{name}")
        if isinstance(owner, type):  # dict.fromkeys
            self.look_at(owner)
            self.match(str(owner.__module__), f"{owner.__qualname__}.{name}")
        else:
            self.look_at(getattr(type(owner), name, None))


def _is_library(kind: type) -> bool:
    """Whether a module of a library has this class under its name."""
    module = sys.modules.get(str(getattr(kind, "__module__", None)))
    return getattr(module, "__file__", None) is not None and getattr(module, kind.__name__, None) is kind


def _is_own(code: types.CodeType) -> bool:
    """Whether this is the learner's code: of no library, and of no judge cell."""
    return _is_own_file(code.co_filename)  # code of two files can be equal


@functools.cache
def _is_own_file(file: str) -> bool:
    return (
        file != JUDGE and not file.startswith("<frozen") and not os.path.realpath(file).startswith(LIBRARIES)
    )


@functools.cache
def _multiplies(code: types.CodeType) -> bool:
    return any(
        step.opname == "BINARY_OP" and step.argrepr.startswith("@") for step in dis.get_instructions(code)
    )
