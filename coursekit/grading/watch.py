"""Calls that a task forbids, seen while the answer runs: in the learner's kernel, so it helps and proves nothing.

The source of an answer is searched outside the kernel (:mod:`coursekit.grading.exercise.forbidden`); this finds what
a source can hide, e.g. ``getattr(numpy, "d" + "ot")`` or ``exec``. Only calls from the learner's own code count: what a
library does inside is its own affair.
"""

import contextlib
import dis
import functools
import os
import sys
import sysconfig
import types
from collections.abc import Callable, Iterator

import coursekit

OPERATOR = ("operator.matmul", "operator.imatmul", ".__matmul__", ".__rmatmul__", ".__imatmul__")
LIBRARIES = tuple(
    {os.path.realpath(path) + os.sep for path in sysconfig.get_paths().values()}
    | {os.path.join(os.path.realpath(os.path.dirname(coursekit.__file__)), "")}
)
JUDGE = "<judge>"  # the file name of trusted cells


def spellings(forbid: tuple[str, ...]) -> tuple[str, ...]:
    """The entries of ``forbid`` with what else they stand for: "@" has names, too."""
    return (*forbid, *(OPERATOR if "@" in forbid else ()))


@contextlib.contextmanager
def watching(forbid: tuple[str, ...], answer: object = None) -> Iterator[set[str]]:
    """Collect the entries of `forbid` that the learner's code uses meanwhile, in this thread.

    `answer` is what is called as the learner's: it may be a forbidden function itself.
    """
    used: set[str] = set()
    if not forbid:
        yield used
        return
    entries = spellings(forbid)
    while isinstance(answer, functools.partial):
        answer = answer.func
    _match(entries, used, str(getattr(answer, "__module__", None)), str(getattr(answer, "__name__", None)))
    with contextlib.ExitStack() as stack:
        for entry in entries:
            stack.enter_context(_tripwire(entry, used))
        before = sys.getprofile()
        sys.setprofile(functools.partial(_notice, entries, used))
        try:
            yield used
        finally:
            sys.setprofile(before)


def _notice(
    entries: tuple[str, ...], used: set[str], frame: types.FrameType, event: str, arg: object
) -> None:
    """Called by Python at each call and return."""
    if event == "call":
        if "@" in entries and _is_own(frame.f_code) and _multiplies(frame.f_code):
            used.add("@")
        if frame.f_back is not None and _is_own(frame.f_back.f_code):
            _match(entries, used, str(frame.f_globals.get("__name__")), frame.f_code.co_name)
    elif event == "c_call" and _is_own(frame.f_code):
        owner = getattr(arg, "__self__", None)
        name = str(getattr(arg, "__name__", ""))
        if owner is None or isinstance(owner, types.ModuleType):
            _match(entries, used, str(getattr(arg, "__module__", None)), name)
        elif f".{name}" in entries:
            used.add(f".{name}")


def _match(entries: tuple[str, ...], used: set[str], module: str, name: str) -> None:
    full = name if module == "builtins" else f"{module}.{name}"
    for entry in entries:
        if full == entry or full.startswith(entry + "."):
            used.add(entry)


@contextlib.contextmanager
def _tripwire(entry: str, used: set[str]) -> Iterator[None]:
    """Put a function that tells on its caller in the place of ``module.name``, where that is no module itself."""
    module_name, _, name = entry.rpartition(".")
    module = sys.modules.get(module_name)
    original = getattr(module, name, None)
    if module is None or not callable(original) or isinstance(original, type):
        yield
        return
    setattr(module, name, _telling(original, entry, used))
    try:
        yield
    finally:
        setattr(module, name, original)


def _telling(original: Callable, entry: str, used: set[str]) -> Callable:
    def tripwire(*args, **kwargs):
        if _is_own(sys._getframe(1).f_code):
            used.add(entry)
        return original(*args, **kwargs)

    with contextlib.suppress(AttributeError):
        functools.update_wrapper(tripwire, original)
    return tripwire


@functools.cache
def _is_own(code: types.CodeType) -> bool:
    """Whether this is the learner's code: of no library, and of no judge cell."""
    file = code.co_filename
    return (
        file != JUDGE and not file.startswith("<frozen") and not os.path.realpath(file).startswith(LIBRARIES)
    )


@functools.cache
def _multiplies(code: types.CodeType) -> bool:
    return any(
        step.opname == "BINARY_OP" and step.argrepr.startswith("@") for step in dis.get_instructions(code)
    )
