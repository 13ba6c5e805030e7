"""The grader's side of judging: decode what a kernel emitted, and compare it with the key's.

This is the one place where a mark is decided. What came from a kernel is JSON of known kinds; it is
neither unpickled nor evaluated, and whatever does not decode is a wrong answer.
"""

import base64
import binascii
import math
from collections.abc import Iterable

import numpy as np

from coursekit.grading.judge import DTYPES

NAME = 100  # characters of a type's name that are kept
TEXT = 200  # characters of a reason that are kept
BRIEF = 60  # characters of what was wanted where an exception says more
KINDS = {
    "b": "truth values",
    "i": "whole numbers",
    "u": "whole numbers",
    "f": "floats",
    "c": "complex numbers",
}


class BadValue(ValueError):
    """What the kernel emitted is no value that a judge cell emits."""


class Raised(str):
    """The answer raised this exception: equal to one of its type, or of a type it derives from. ``text`` says why."""

    types: tuple[str, ...] = ()
    text: str = ""

    @property
    def cause(self) -> str:
        return f"{self} ({self.text})" if self.text else str(self)


class Set(list):
    """The items of a set, in order."""


class Other(str):
    """An object of this type, which cannot be compared."""


class Unfit(str):
    """Why what the answer returned cannot be compared."""


def decode(data: object, depth: int = 0) -> object:
    """A value from its JSON. Raises :class:`BadValue`."""
    if depth > 9 or not isinstance(data, dict):
        raise BadValue("it is not a value")
    match data:
        case {"kind": "none"}:
            return None
        case {"kind": "bool", "value": bool(value)}:
            return value
        case {"kind": "text", "value": str(value)}:
            return value
        case {"kind": "integer", "value": str(value)}:
            return _integer(value)
        case {"kind": "array", "dtype": str(dtype), "shape": list(shape), "data": str(text)}:
            return _array(dtype, shape, text)
        case {"kind": "list", "items": list(items)}:
            return [decode(item, depth + 1) for item in items]
        case {"kind": "set", "items": list(items)}:
            return Set(decode(item, depth + 1) for item in items)
        case {"kind": "dict", "items": list(items)}:
            return {_key(decode(k, depth + 1)): decode(v, depth + 1) for k, v in _pairs(items)}
        case {"kind": "raised", "type": str(name), "types": list(types)}:
            found = Raised(name[:NAME])
            found.types = tuple(t for t in types if isinstance(t, str))
            found.text = data["text"][:TEXT] if isinstance(data.get("text"), str) else ""
            return found
        case {"kind": "other", "type": str(name)}:
            return Other(name[:NAME])
        case {"kind": "unfit", "text": str(text)}:
            return Unfit(text[:TEXT])
    raise BadValue("it is of no known kind")


def difference(got: object, want: object, *, rtol: float, atol: float) -> str | None:
    """None where `got` is `want` within ``atol + rtol·|want|``, else the first difference in words."""
    if isinstance(want, Unfit) or isinstance(got, Unfit):
        return str(got) if isinstance(got, Unfit) else f"got {show(got)}, wanted what cannot be compared"
    if isinstance(want, Raised) or isinstance(got, Raised):
        return _raised(got, want)
    if isinstance(want, Set) != isinstance(got, Set):
        return f"got {show(got)}, wanted {show(want)}"
    if isinstance(want, np.ndarray) and isinstance(got, np.ndarray | list):
        return _numbers(got, want, rtol, atol)
    if isinstance(want, list) and isinstance(got, np.ndarray):
        return _numbers(got, want, rtol, atol)
    if isinstance(want, list) and isinstance(got, list):
        return _items(dict(enumerate(got)), dict(enumerate(want)), rtol, atol)
    if isinstance(want, dict) and isinstance(got, dict):
        return _items(got, want, rtol, atol)
    if type(got) is type(want) and not isinstance(got, Other) and got == want:
        return None
    return f"got {show(got)}, wanted {show(want)}"


def show(value: object) -> str:
    """A value, short enough for a line."""
    if isinstance(value, Raised):
        return f"a {value}" if value else "an exception"
    if isinstance(value, Other):
        return f"an object of type {value}"
    if isinstance(value, np.ndarray) and value.ndim:
        return f"[{_listed(map(show, value))}]" if value.size <= 3 else f"an array of shape {value.shape}"
    if isinstance(value, list):
        return f"[{_listed(map(show, value))}]"
    if isinstance(value, dict):  # its keys are shown already
        return f"{{{_listed(f'{key}: {show(item)}' for key, item in value.items())}}}"
    if isinstance(value, int) and value.bit_length() > 1000:
        return f"a whole number of about {int(value.bit_length() * 0.30103)} digits"
    is_float = isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "fc"
    text = f"{value[()]:.8g}" if is_float else str(value)
    return (repr(value) if isinstance(value, str) else text)[:80]


def _listed(items: Iterable[str]) -> str:
    """The first few, as many as a line has room for."""
    shown = []
    for item in items:
        if len(shown) == 6 or sum(map(len, shown)) > 80:
            return ", ".join([*shown, "..."])
        shown.append(item[:120])
    return ", ".join(shown)


def _integer(text: str) -> object:
    try:
        return int(text, 16)
    except ValueError:
        raise BadValue("it is no whole number") from None


def _array(dtype: str, shape: list, text: str) -> np.ndarray:
    if dtype not in DTYPES or not all(type(n) is int and 0 <= n < 2**31 for n in shape) or len(shape) > 16:
        raise BadValue("it is an array of no known type or shape")
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadValue("its data are damaged") from None
    kind = np.dtype(dtype).newbyteorder("<")
    if math.prod(shape) * kind.itemsize != len(raw):
        raise BadValue("its data do not fill its shape")
    try:
        return np.frombuffer(raw, kind).reshape(shape)
    except ValueError:
        raise BadValue("its shape is none that an array can have") from None


def _key(value: object) -> str:
    """A dictionary's key: 1 and "1" are two."""
    return show(value)


def _pairs(items: list) -> list:
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in items):
        raise BadValue("it is no dictionary")
    return items


def _raised(got: object, want: object) -> str | None:
    if isinstance(got, Raised) and isinstance(want, Raised):
        return None if str(want) in (got, *got.types) else f"raised {got.cause}, wanted {want}"
    if isinstance(got, Raised):
        wanted = show(want)
        return f"raised {got.cause}, wanted {wanted if len(wanted) <= BRIEF else wanted[: BRIEF - 3] + '...'}"
    return f"got {show(got)}, wanted a {want} to be raised"


def _items(got: dict, want: dict, rtol: float, atol: float) -> str | None:
    if got.keys() != want.keys():
        if all(isinstance(k, int) for k in want):
            return f"got {len(got)} items, wanted {len(want)}"
        return f"got the keys {', '.join(sorted(got))}; wanted {', '.join(sorted(want))}"[:200]
    for key in want:
        found = difference(got[key], want[key], rtol=rtol, atol=atol)
        if found:
            return f"at [{key}]: {found}" if not found.startswith("at [") else f"at [{key}]{found[3:]}"
    return None


def _numbers(got: object, want: object, rtol: float, atol: float) -> str | None:
    """Arrays and nested lists of numbers, by value: a list is as good as an array."""
    try:
        a, b = np.asarray(_plain(got)), np.asarray(_plain(want))
    except ValueError:
        return f"got {show(got)}, wanted {show(want)}"
    if a.dtype.kind not in "biufc" or b.dtype.kind not in "biufc":
        return (
            None if a.size == b.size == 0 and a.shape == b.shape else f"got {show(got)}, wanted {show(want)}"
        )
    if a.shape != b.shape:
        return f"got shape {a.shape}, wanted {b.shape}"
    if not _is_fit(a.dtype.kind, b.dtype.kind) and a.size:
        return f"got {KINDS[a.dtype.kind]}, wanted {KINDS[b.dtype.kind]}"
    with np.errstate(all="ignore"):
        exact = b.dtype.kind in "iu"  # a count is right or wrong
        same = a == b if exact else np.isclose(a, b, rtol=rtol, atol=atol, equal_nan=True)
    if same.all():
        return None
    index = tuple(int(i) for i in np.argwhere(~same)[0])
    place = f"at {list(index)}: " if index else ""
    return f"{place}got {show(a[index])}, wanted {show(b[index])}"


def _is_fit(got: str, want: str) -> bool:
    """Whether numbers of one kind can stand for those of another: no truth values or complex ones by accident."""
    return got == want or (got in "iuf" and want in "iufc") or (want == "c" and got != "b")


def _plain(value: object) -> object:
    """Nested lists whose leaves are zero-dimensional arrays, as numbers."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, bool | int | float):
        return value
    raise ValueError("not a number")
