"""A CUDA kernel run as plain Python, one thread at a time, with books kept of every access to memory.

It needs no GPU, and not Numba's simulator either: the function that ``@cuda.jit`` was given is run with another
``cuda`` in its globals. So a kernel from a notebook can be run as it stands, and what the GPU runs is what is counted:
shuffles and loads of 128 bits themselves, where Numba's simulator needs twins in their place.

The threads of a block run in turns. One runs until it waits at a barrier, then the next does, in the order of their
numbers, and they go on when all have arrived.
"""

import dis
import sys
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, ModuleType, SimpleNamespace
from typing import NamedTuple

import numpy as np

from coursekit.measure.gpu.books import ATOMIC, READ, WARP, WRITE, Recorder
from coursekit.measure.gpu.twins import twins

SHARED = 48 * 1024
"""Bytes of shared memory that a block has without asking for more."""
DYNAMIC = 1 << 20
"""Where shared memory whose size is known at the launch only begins, away from the rest."""


class TracedArray:
    """An array within a kernel, whose accesses are noted; a row of it is one, too."""

    def __init__(self, data: np.ndarray, number: int, start: int, books: Recorder):
        self.data, self.number, self.start, self.books = data, number, start, books
        self.shape, self.dtype, self.size, self.ndim = data.shape, data.dtype, data.size, data.ndim
        self.strides = data.strides

    def __len__(self) -> int:
        return len(self.data)

    @property
    def T(self) -> "TracedArray":
        return TracedArray(self.data.T, self.number, self.start, self.books)

    def address(self, where) -> int:
        """Bytes from the beginning of the memory to an element. Raises IndexError outside of the array."""
        where = where if isinstance(where, tuple) else (where,)
        at = self.start
        for i, n, stride in zip(where, self.shape, self.strides, strict=False):
            if not -n <= i < n:
                name, place = self.books.names[self.number], list(map(int, where))
                raise IndexError(f"{name}{place} is outside of its shape {self.shape}")

            at += int(i % n) * stride
        return at

    def _part(self, where) -> "TracedArray":
        part = self.data[where]
        start = self.start + part.__array_interface__["data"][0] - self.data.__array_interface__["data"][0]
        return TracedArray(part, self.number, start, self.books)

    def __getitem__(self, where):
        if _is_part(where, self.ndim):
            return self._part(where)
        self.books.note(self.number, self.address(where), self.dtype.itemsize, READ, sys._getframe(1))
        return self.data[where]

    def __setitem__(self, where, value) -> None:
        if _is_part(where, self.ndim):
            raise TypeError("a kernel writes one element at a time")
        self.books.note(self.number, self.address(where), self.dtype.itemsize, WRITE, sys._getframe(1))
        self.data[where] = value


def _is_part(where, ndim: int) -> bool:
    where = where if isinstance(where, tuple) else (where,)
    return len(where) < ndim or any(isinstance(i, slice) for i in where)


class Cuda:
    """What stands in for the module ``cuda`` within a kernel."""

    warpsize = WARP

    def __init__(self, books: Recorder, grid, block, shared_bytes: int):
        self._books, self.gridDim, self.blockDim = books, Index(*grid), Index(*block)
        self._shared_bytes, self._shared_numbers = shared_bytes, {}
        self.shared = SimpleNamespace(array=self._shared_array)
        self.local = SimpleNamespace(array=lambda shape, dtype: np.empty(shape, _dtype(dtype)))
        self.const = SimpleNamespace(array_like=lambda values: values)
        self.atomic = SimpleNamespace(
            add=_atomic(lambda a, b: a + b),
            sub=_atomic(lambda a, b: a - b),
            max=_atomic(max),
            min=_atomic(min),
        )
        self.begin_block()

    def __getattr__(self, name):
        raise NotImplementedError(f"cuda.{name} is not known to the trace")

    def begin_block(self) -> None:
        """Shared memory is another one in each block."""
        self._arrays, self._top = {}, 0
        self._dynamic = np.zeros(self._shared_bytes, np.uint8)

    threadIdx = property(lambda self: self._books.thread.index)
    blockIdx = property(lambda self: self._books.thread.block_index)
    laneid = property(lambda self: self._books.thread.number % WARP)

    def grid(self, dimensions: int):
        """The position of the thread in the whole grid."""
        at = zip(self.blockIdx, self.blockDim, self.threadIdx, strict=True)
        return _first(dimensions, [b * size + t for b, size, t in at])

    def gridsize(self, dimensions: int):
        """The threads of the whole grid."""
        return _first(dimensions, [g * b for g, b in zip(self.gridDim, self.blockDim, strict=True)])

    def _shared_array(self, shape, dtype):
        frame = sys._getframe(1)
        is_dynamic = shape == 0
        key = (_dtype(dtype), "dynamic") if is_dynamic else self._books.site(frame)
        if key not in self._arrays:
            dtype = _dtype(dtype)
            if key not in self._shared_numbers:
                self._shared_numbers[key] = self._books.new_array(_assigned(frame), "shared")
            if is_dynamic:
                whole = self._shared_bytes // dtype.itemsize * dtype.itemsize
                data, start = self._dynamic[:whole].view(dtype), DYNAMIC
            else:
                data, start = np.full(shape, np.nan if dtype.kind == "f" else 0, dtype), self._top
                self._top += -(-data.nbytes // 16) * 16
                if self._top + self._shared_bytes > SHARED:
                    raise ValueError(
                        f"a block has {SHARED:,} bytes of shared memory; got {self._top + self._shared_bytes:,}"
                    )
            self._arrays[key] = TracedArray(data, self._shared_numbers[key], start, self._books)
        return self._arrays[key]

    def syncthreads(self) -> None:
        self._books.thread.wait(("barrier", self._books.site(sys._getframe(1))))

    def syncwarp(self, mask=0xFFFFFFFF) -> None:
        self._books.thread.wait(("warp", self._books.site(sys._getframe(1))), (None, lambda lane: lane))
        self._books.thread.warp_epoch += 1

    def _shuffle(self, value, source):
        return self._books.thread.wait(("warp", self._books.site(sys._getframe(2))), (value, source))

    def shfl_sync(self, mask, value, lane):
        return self._shuffle(value, lambda own: lane)

    def shfl_xor_sync(self, mask, value, other):
        return self._shuffle(value, lambda own: own ^ other)

    def shfl_down_sync(self, mask, value, distance):
        return self._shuffle(value, lambda own: own + distance)

    def shfl_up_sync(self, mask, value, distance):
        return self._shuffle(value, lambda own: own - distance)

    def fma(self, a, b, c):
        return a * b + c

    def threadfence(self) -> None:
        """Orders what one thread does; here a thread's accesses are in order anyway."""

    threadfence_block = threadfence_system = threadfence


class Index(NamedTuple):
    """``threadIdx`` and its like."""

    x: int
    y: int
    z: int

    def __repr__(self) -> str:
        return f"({self.x}, {self.y}, {self.z})"


def _first(dimensions: int, values: list):
    return values[0] if dimensions == 1 else tuple(values[:dimensions])


def _dtype(dtype) -> np.dtype:
    """Of NumPy, whether it was given as one or as Numba's type."""
    return np.dtype(getattr(dtype, "name", None) or dtype)


def _atomic(combine):
    def operation(x, where, value):
        x.books.note(x.number, x.address(where), x.dtype.itemsize, ATOMIC, sys._getframe(1))
        old = x.data[where]
        x.data[where] = combine(old, value)
        return old

    return operation


def _assigned(frame) -> str:
    """The name that the result of the call where the frame stands is given."""
    after = [
        i for i in dis.get_instructions(frame.f_code) if i.offset > frame.f_lasti and i.opname != "CACHE"
    ]
    if not after or not after[0].opname.startswith("STORE_FAST"):
        return "shared"
    name = after[0].argval  # from Python 3.13 on an instruction may store two
    return name if isinstance(name, str) else name[0]


def as_plain(function, cuda: Cuda):
    """The Python function of a kernel, in whose globals and closures ``cuda`` and device functions are replaced.

    What threads could share past the books is refused: Numba compiles none of it.
    """
    known = twins(cuda._books)

    def replaced(name, value):
        if id(value) in known:
            return known[id(value)]
        if isinstance(value, ModuleType) and value.__name__.endswith("numba.cuda"):
            return cuda
        return rebuilt(value) if hasattr(value, "py_func") else _constant(name, value)

    def rebuilt(given):
        plain = getattr(given, "py_func", given)
        _check_code(plain.__code__)
        for value in (*(plain.__defaults__ or ()), *(plain.__kwdefaults__ or {}).values()):
            _constant("a default", value)
        room = {}
        cells = tuple(CellType() for _ in plain.__closure__ or ())
        made = FunctionType(plain.__code__, room, plain.__name__, plain.__defaults__, cells or None)
        made.__kwdefaults__ = plain.__kwdefaults__
        known[id(given)] = made
        used = _names(plain.__code__)
        room.update({k: replaced(k, v) if k in used else v for k, v in plain.__globals__.items()})
        for name, cell, old in zip(plain.__code__.co_freevars, cells, plain.__closure__ or (), strict=True):
            cell.cell_contents = replaced(name, old.cell_contents)
        return made

    return rebuilt(function)


def _constant(name: str, value):
    """A value from outside of a kernel, as a constant of it. Raises TypeError for what threads could write to."""
    if isinstance(value, np.ndarray):
        value = value.copy(order="K")
        value.flags.writeable = False
        return value
    if not _is_constant(value):
        raise TypeError(
            f"the kernel uses {name}, a {type(value).__name__} from outside of it, which no GPU could reach: pass "
            "arrays as arguments; numbers, modules, types and functions under @cuda.jit may come from outside"
        )
    return value


def _is_constant(value) -> bool:
    from numba.core.types import Type

    if isinstance(value, tuple):
        return all(map(_is_constant, value))
    if isinstance(value, type):
        return value.__module__ in ("builtins", "numpy")
    if isinstance(value, BuiltinFunctionType):
        return value.__self__ is None or isinstance(value.__self__, ModuleType)
    plain = (int, float, complex, str, bytes, np.generic, np.dtype, np.ufunc, ModuleType, Type)
    return value is None or isinstance(value, plain)


def _check_code(code: CodeType, outside: tuple[str, ...] | None = None) -> None:
    """Raises TypeError where a kernel would change what is not its own: a global, another variable, an attribute."""
    outside = code.co_freevars if outside is None else outside
    for i in dis.get_instructions(code):
        is_outside = i.opname in ("STORE_DEREF", "DELETE_DEREF") and i.argval in outside
        if is_outside or i.opname in ("STORE_GLOBAL", "DELETE_GLOBAL", "STORE_ATTR", "DELETE_ATTR"):
            raise TypeError(
                f"the kernel changes {i.argval}, which is not its own; threads share memory in cuda.shared.array"
            )
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            _check_code(inner, outside)


def _names(code) -> set[str]:
    """The global names that a function uses, and those within it."""
    own = {i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"}
    return own.union(*(_names(c) for c in code.co_consts if isinstance(c, CodeType)))
