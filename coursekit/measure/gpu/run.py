"""A CUDA kernel run as plain Python, one thread at a time, with books kept of every access to memory.

It needs no GPU, and not Numba's simulator either: the function that ``@cuda.jit`` was given is run with another
``cuda`` in its globals. So a kernel from a notebook can be run as it stands, and what the GPU runs is what is counted:
shuffles and loads of 128 bits themselves, where Numba's simulator needs twins in their place.

The threads of a block run in turns. One runs until it waits at a barrier, then the next does, in the order of their
numbers, and they go on when all have arrived.
"""

import dis
import operator
import sys
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from coursekit.measure.gpu.books import ATOMIC, READ, WARP, WRITE, Recorder

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

    def __array_function__(self, function, *_):
        self._refuse(function.__name__)

    def __array_ufunc__(self, function, *_, **__):
        self._refuse(function.__name__)

    def __array__(self, *_, **__):
        self._refuse("array")

    def _refuse(self, name: str):
        raise TypeError(
            f"numpy.{name} takes a whole array, here {self.books.names[self.number]}; a thread of a kernel goes "
            "through elements one by one, in a loop"
        )

    def address(self, where) -> int:
        """Bytes from the beginning of the memory to an element. Raises IndexError outside of the array."""
        return self._address(_exact(where))

    def _address(self, where: tuple) -> int:
        at = self.start
        if len(where) != self.ndim:
            raise IndexError(f"{self.books.names[self.number]}{list(where)}: its shape is {self.shape}")
        for i, n, stride in zip(where, self.shape, self.strides, strict=True):
            if not -n <= i < n:
                name = self.books.names[self.number]
                raise IndexError(f"{name}{list(where)} is outside of its shape {self.shape}")
            at += i % n * stride
        return at

    def _part(self, where) -> "TracedArray":
        part = self.data[where]
        start = self.start + part.__array_interface__["data"][0] - self.data.__array_interface__["data"][0]
        return TracedArray(part, self.number, start, self.books)

    def __getitem__(self, where):
        self.books.watch.pause()
        where = _exact(where)
        if _is_part(where, self.ndim):
            found = self._part(where)
        else:
            self.books.note(self.number, self._address(where), self.dtype.itemsize, READ, sys._getframe(1))
            found = self.data[where]
        self.books.watch.go_on()
        return found

    def __setitem__(self, where, value) -> None:
        self.books.watch.pause()
        where = _exact(where)
        if _is_part(where, self.ndim):
            raise TypeError("a kernel writes one element at a time")
        address = self._address(where)
        self.data[where] = value
        written = self.data[where].tobytes()
        self.books.note(self.number, address, self.dtype.itemsize, WRITE, sys._getframe(1), written)
        self.books.watch.go_on()


def _exact(where) -> tuple:
    """An index as Python's own ints and slices of them, so that what is noted is what is accessed."""
    where = where if isinstance(where, tuple) else (where,)
    if all(type(i) is int for i in where):
        return where
    return tuple(_exact_slice(i) if isinstance(i, slice) else operator.index(i) for i in where)


def _exact_slice(part: slice) -> slice:
    return slice(*(None if i is None else operator.index(i) for i in (part.start, part.stop, part.step)))


def _is_part(where: tuple, ndim: int) -> bool:
    return len(where) < ndim or slice in map(type, where)


class Cuda:
    """What stands in for the module ``cuda`` within a kernel."""

    warpsize = WARP

    def __init__(self, books: Recorder, grid, block, shared_bytes: int):
        self._books, self.gridDim, self.blockDim = books, Index(*grid), Index(*block)
        self._shared_bytes, self._shared_numbers = shared_bytes, {}
        self.shared = SimpleNamespace(array=self._shared_array)
        self.local = SimpleNamespace(array=lambda shape, dtype: _unwritten(shape, _dtype(dtype)))
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
                data, start = _unwritten(shape, dtype), self._top
                self._top += -(-data.nbytes // 16) * 16
                if self._top + self._shared_bytes > SHARED:
                    raise ValueError(
                        f"a block has {SHARED:,} bytes of shared memory; got {self._top + self._shared_bytes:,}"
                    )
            self._arrays[key] = TracedArray(data, self._shared_numbers[key], start, self._books)
        return self._arrays[key]

    def syncthreads(self) -> None:
        self._books.wait(("barrier", self._books.site(sys._getframe(1))))

    def syncwarp(self, mask=0xFFFFFFFF) -> None:
        self._books.wait(("warp", self._books.site(sys._getframe(1))), (None, lambda lane: lane))
        self._books.thread.warp_epoch += 1

    def _shuffle(self, value, source):
        if not isinstance(value, (bool, int, float, np.number, np.bool_)):
            raise TypeError(f"a shuffle passes numbers on; got {type(value).__name__}")
        if isinstance(value, int) and not -(2**63) <= value < 2**64:
            raise OverflowError("a shuffle passes on at most 64 bits; got a larger integer")
        return self._books.wait(("warp", self._books.site(sys._getframe(2))), (value, source))

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
    """Of NumPy, whether it was given as one or as Numba's type. Raises TypeError for what is not of numbers."""
    found = np.dtype(getattr(dtype, "name", None) or dtype)
    if found.kind not in "biufc":
        raise TypeError(f"arrays within a kernel hold numbers; got {found}")
    return found


def _unwritten(shape, dtype: np.dtype) -> np.ndarray:
    """Memory of which nobody knows what is in it: nan, where there is one."""
    return np.full(shape, np.nan if dtype.kind in "fc" else 0, dtype)


def _atomic(combine):
    def operation(x, where, value):
        where = _exact(where)
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
