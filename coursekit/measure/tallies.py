"""What a loop does, counted as it runs: a plain Python loop over arrays whose numbers keep the books."""

from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin


@dataclass
class Tally:
    """FLOPs, and how often an element of an array was read and written, with the bytes that makes."""

    flops: int = 0
    reads: int = 0
    writes: int = 0
    bytes_read: int = 0
    bytes_written: int = 0

    @property
    def bytes(self) -> int:
        return self.bytes_read + self.bytes_written


def tally(function: Callable, *arguments) -> Tally:
    """Run `function` on copies of the arrays among `arguments`, and count what its loops do.

    function: plain Python over elements, or its compiled form (`py_func` is run): ``out[i] = max(x[i] * a, b)``.
        Each operation on such a number is one FLOP, be it ``*``, a comparison or ``np.exp``; turning a sign is none.
        Numbers under global names and among the arguments take part where they are NumPy's (``np.float32(2)``). Of
        arrays it may use elements, ``shape`` and ``size``. What has a name is in a register: reading it costs nothing.

    Raises what the function raises.
    """
    books = Tally()
    plain = getattr(function, "py_func", function)
    known = {name: _counted(value, books) for name, value in plain.__globals__.items()}
    run = FunctionType(plain.__code__, known, plain.__name__, plain.__defaults__, plain.__closure__)
    run(*(_Array(a.copy(), books) if isinstance(a, np.ndarray) else _counted(a, books) for a in arguments))
    return books


def _counted(value, books: Tally):
    return _Number(value, books) if isinstance(value, np.floating) else value


class _Array:
    def __init__(self, values: np.ndarray, books: Tally):
        self.values, self.books = values, books
        self.shape, self.size = values.shape, values.size

    def __getitem__(self, where) -> "_Number":
        self.books.reads += 1
        self.books.bytes_read += self.values.itemsize
        return _Number(self.values[where], self.books)

    def __setitem__(self, where, value) -> None:
        self.books.writes += 1
        self.books.bytes_written += self.values.itemsize
        self.values[where] = _plain(value)


class _Number(NDArrayOperatorsMixin):
    def __init__(self, value, books: Tally):
        self.value, self.books = value, books

    def __array_ufunc__(
        self, ufunc, method, *inputs, out=None
    ):  # out: from +=, which may as well be a new number
        self.books.flops += ufunc is not np.negative
        result = ufunc(*map(_plain, inputs))
        return bool(result) if isinstance(result, np.bool_) else _Number(result, self.books)


def _plain(value):
    return value.value if isinstance(value, _Number) else value
