"""A kernel as a Python function that :mod:`coursekit.measure.gpu.run` can run: with another ``cuda``, and nothing else
that its threads could share past the books.

A shortened count would earn points in an exercise, so what Numba compiles none of is refused, too.
"""

import builtins
import dis
import sys
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, ModuleType

import numpy as np

from coursekit.measure.gpu.run import Cuda
from coursekit.measure.gpu.twins import twins

PLAIN = (int, float, complex, bool, str, bytes, type(None), ModuleType)
ALIEN = {
    "LOAD_BUILD_CLASS": "defines a class",
    "PUSH_EXC_INFO": "has a try or a with",
    "IMPORT_NAME": "imports a module",
}
"""What no kernel can do, by the instructions of Python's that are in it."""
OF_NUMBERS = "abs bool complex divmod float int len max min pow print range round sum"
OF_TUPLES = "enumerate list reversed slice tuple zip"
ERRORS = "AssertionError IndexError RuntimeError TypeError ValueError ZeroDivisionError"
KNOWN = frozenset(f"type {OF_NUMBERS} {OF_TUPLES} {ERRORS}".split())
"""Builtins that a kernel may use: none that calls what it is given, as ``map`` does, in turns that nobody sees."""
LOOK_UPS = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")


def is_kernel(value) -> bool:
    """Whether this is what ``@cuda.jit`` makes: of a class of Numba's, and not of one that says so of itself."""
    kind = type(value)
    module = str(kind.__module__)
    is_known = getattr(sys.modules.get(module), kind.__name__, None) is kind
    return is_known and module.startswith("numba.") and hasattr(value, "py_func")


def python_function(kernel) -> FunctionType:
    """The Python function of a kernel. Raises TypeError for what is neither that nor a kernel."""
    function = kernel.py_func if is_kernel(kernel) else kernel
    if type(function) is not FunctionType:
        raise TypeError(f"the kernel must be a function, under @cuda.jit or not; got {type(kernel).__name__}")
    return function


class Numba:
    """What stands in for the module ``numba`` within a kernel: what it holds, replaced as if it had been imported."""

    def __init__(self, module: ModuleType, replaced):
        self._module, self._replaced = module, replaced

    def __getattr__(self, name):
        return self._replaced(name, getattr(self._module, name))


def as_plain(function, cuda: Cuda):
    """The Python function of a kernel, in whose globals and closures ``cuda`` and device functions are replaced.

    With it come the codes of it, of its device functions and of what is defined within them. What threads could share
    past the books is refused: Numba compiles none of it.
    """
    known, codes = twins(cuda._books), []

    def replaced(name, value):
        if id(value) in known:
            return known[id(value)]
        if isinstance(value, ModuleType) and value.__name__.endswith("numba.cuda"):
            return cuda
        if isinstance(value, ModuleType) and value.__name__ == "numba":
            return Numba(value, replaced)
        if type(value) is tuple:
            return tuple(replaced(name, item) for item in value)
        return rebuilt(value) if is_kernel(value) else _constant(name, _number_type(value))

    def rebuilt(given):
        plain = python_function(given)
        _check_code(plain.__code__)
        codes.extend(_codes(plain.__code__))
        defaults = tuple(replaced("a default", value) for value in plain.__defaults__ or ())
        room = {}
        cells = tuple(CellType() for _ in plain.__closure__ or ())
        made = FunctionType(plain.__code__, room, plain.__name__, defaults or None, cells or None)
        made.__kwdefaults__ = {k: replaced("a default", v) for k, v in (plain.__kwdefaults__ or {}).items()}
        known[id(given)] = made
        used = _names(plain.__code__)
        _check_builtins(used - plain.__globals__.keys())
        room.update({name: _without_key(getattr(builtins, name)) for name in ("max", "min")}, type=_type_of)
        room.update({name: replaced(name, v) for name, v in plain.__globals__.items() if name in used})
        for name, cell, old in zip(plain.__code__.co_freevars, cells, plain.__closure__ or (), strict=True):
            cell.cell_contents = replaced(name, old.cell_contents)
        return made

    return rebuilt(function), codes


def _constant(name: str, value):
    """A value from outside of a kernel, as a constant of it. Raises TypeError for what threads could write to."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        value = np.array(value, order="K")
        value.flags.writeable = False
        return value
    if not _is_constant(value):
        raise TypeError(
            f"the kernel uses {name}, a {type(value).__name__} from outside of it, which no GPU could reach: pass "
            "arrays as arguments; numbers, modules, types and functions under @cuda.jit may come from outside"
        )
    return value


def _number_type(value):
    """NumPy's type for one of Numba's, in whose attributes threads could leave something."""
    from numba.core.types import Boolean, Number

    return np.dtype(value.name).type if isinstance(value, (Boolean, Number)) else value


def _is_constant(value) -> bool:
    """Whether threads can leave nothing in it: a class that an answer derives from ``int`` can hold a list."""
    kind = type(value)
    if isinstance(value, type):
        return _is_library(value)
    if kind is BuiltinFunctionType:
        return value.__self__ is None or isinstance(value.__self__, ModuleType)
    if isinstance(value, np.generic):
        return _is_library(kind)
    return any(kind is plain for plain in PLAIN) or isinstance(value, (np.dtype, np.ufunc))


def _is_library(kind: type) -> bool:
    """Whether it is a class of Python's or NumPy's own."""
    return any(getattr(module, kind.__name__, None) is kind for module in (builtins, np))


def _check_code(code: CodeType, outside: tuple[str, ...] | None = None) -> None:
    """Raises TypeError where a kernel would change what is not its own (a global, another variable, an attribute), or
    has what no GPU runs."""
    outside = code.co_freevars if outside is None else outside
    if code.co_flags & (CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR):
        raise TypeError("the kernel has a generator, and no GPU runs that: write a loop")
    for i in dis.get_instructions(code):
        is_outside = i.opname in ("STORE_DEREF", "DELETE_DEREF") and i.argval in outside
        if is_outside or i.opname in ("STORE_GLOBAL", "DELETE_GLOBAL", "STORE_ATTR", "DELETE_ATTR"):
            raise TypeError(
                f"the kernel changes {i.argval}, which is not its own; threads share memory in cuda.shared.array"
            )
        if i.opname in ALIEN:
            raise TypeError(f"the kernel {ALIEN[i.opname]}, and no GPU runs that")
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            _check_code(inner, outside)


def _check_builtins(names: set[str]) -> None:
    """Raises TypeError for those that no kernel has."""
    if alien := sorted(name for name in names - KNOWN if hasattr(builtins, name)):
        raise TypeError(f"the kernel uses {alien[0]}, and no GPU runs that: write a loop")


def _type_of(value):
    """As in Numba, ``type`` asks, and makes no classes."""
    return type(value)


def _without_key(choose):
    return lambda *values: choose(*values)


def _codes(code: CodeType) -> list[CodeType]:
    inner = [c for c in code.co_consts if isinstance(c, CodeType)]
    return [code, *(one for c in inner for one in _codes(c))]


def _names(code) -> set[str]:
    """The global names that a function uses, and those within it."""
    own = {i.argval for i in dis.get_instructions(code) if i.opname in LOOK_UPS}
    return own.union(*(_names(c) for c in code.co_consts if isinstance(c, CodeType)))
