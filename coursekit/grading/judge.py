"""The kernel's side of judging: call the answer, and emit what it returns as data.

Nothing here is trusted. It runs beside the learner's code, which may change any of it; all that leaves
are values for inputs the learner could not know, and :mod:`coursekit.grading.compare` decides.
"""

import base64
import builtins
import copy
import hashlib
import json
import zlib
from collections.abc import Callable

import numpy as np

from coursekit.grading.calls import arguments_text
from coursekit.grading.watch import JUDGE, watching

MIME = "application/vnd.coursekit.value+json"
MAX_ITEMS = 100_000
MAX_RACE_ITEMS = 500_000
DTYPES = {"bool", "float16", "float32", "float64", "complex64", "complex128"}
DTYPES |= {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
SEED = 0  # a grading run draws one and sets it; 0 serves who runs the solutions by hand
FORBID: tuple[str, ...] = ()  # what the task at hand forbids; the grader sets it


def judge(task: str) -> tuple[Callable, np.random.Generator]:
    """``emit`` and ``rng`` for a judge cell.

    ``emit(case, function, *args, **kwargs)`` calls the function and emits what it returned, or what it
    raised; where `function` is no function it is emitted as it is. With it goes a text of the arguments, of which a
    grader reads only the key's. ``rng`` is drawn from the run's seed.
    """

    def emit(case: str, function, *args, **kwargs) -> None:
        arguments = _arguments(args, kwargs)
        with watching(FORBID, function) as used:
            try:
                value = (
                    function(*copy.deepcopy(args), **copy.deepcopy(kwargs))
                    if callable(function)
                    else function
                )
            except Exception as error:
                data = raised(error)
            else:
                data = _encode_safely(value)
        _display({"case": case, "value": data} | arguments | ({"used": sorted(used)} if used else {}))

    return emit, np.random.default_rng([SEED, zlib.crc32(task.encode())])


def _arguments(args: tuple, kwargs: dict) -> dict:
    try:
        text = arguments_text(args, kwargs)
    except Exception:  # whatever an object says of itself
        text = ""
    return {"arguments": text} if text else {}


def _encode_safely(value: object) -> dict:
    """A value as JSON; one that cannot be compared is not taken for an exception that the answer was to raise."""
    try:
        return encode(value)
    except Exception as error:
        return {"kind": "unfit", "text": str(error)[:500]}


def run_apart(source: str, names: dict) -> None:
    """Run a cell with the notebook's names at hand, but none of its own left behind.

    So a judge cell's ``n`` is not the helper ``n`` of an answer, and an answer's ``list = [1, 2]`` is no longer
    in the way of the builtin.
    """
    own = {
        name: value for name, value in names.items() if name == "__builtins__" or not hasattr(builtins, name)
    }
    exec(compile(source, JUDGE, "exec"), own)


def raised(error: Exception) -> dict:
    """An exception as JSON: its type, and the types it derives from."""
    types = [kind.__name__ for kind in type(error).__mro__[:-1]]
    return {"kind": "raised", "type": types[0], "types": types, "text": str(error)[:500]}


class _Race:
    """What a race cell set up, and the last value of it."""

    function: Callable = staticmethod(lambda: None)
    draw: Callable = staticmethod(lambda rng: ())
    prepare: Callable | None = None
    prepared: tuple = ()
    last: dict = {"kind": "none"}  # noqa: RUF012  (replaced, never changed)


def race(function: Callable, draw: Callable[..., tuple | list], prepare: Callable | None = None) -> None:
    """For a race cell: time ``function(*draw(rng))``, with an ``rng`` that differs in every lap.

    What takes long to draw comes from ``prepare(rng)``, a list, before the clock runs: then it is
    ``function(*draw(rng, *prepared))``, and `draw` chooses from that what nobody could know.
    """
    _Race.function, _Race.draw, _Race.prepare, _Race.prepared = function, draw, prepare, ()


def prepare(seed: int) -> None:
    """Before a lap, and not timed."""
    if _Race.prepare is not None:
        _Race.prepared = ()  # so that there are not two of them in memory
        _Race.prepared = tuple(_Race.prepare(np.random.default_rng(seed)))


def lap(seed: int) -> None:
    """One lap, timed from outside: draw inputs, call, and commit to the value by its digest."""
    _Race.last = encode(_Race.function(*_drawn(seed)), most=MAX_RACE_ITEMS)
    _display({"case": "lap", "value": {"kind": "text", "value": digest(_Race.last)}})


def idle_lap(seed: int) -> None:
    """What a lap takes beside the call itself: the same inputs drawn, a value of the same size committed to."""
    _drawn(seed)
    _display({"case": "lap", "value": {"kind": "text", "value": digest(_Race.last)}})


def _drawn(seed: int) -> list | tuple:
    args = _Race.draw(np.random.default_rng(seed), *_Race.prepared)
    if not isinstance(args, list | tuple):
        text = f"the second argument of race returned {type(args).__name__}; wanted: a list of the arguments"
        raise TypeError(f"{text}, as in race(function, lambda rng: [rng.normal(size=9)])")
    return args


def reveal() -> None:
    """The value of the last lap, after its time was taken; its digest is known by then."""
    _display({"case": "value", "value": _Race.last})


def digest(encoded: dict) -> str:
    """SHA-256 of an encoded value."""
    return hashlib.sha256(json.dumps(encoded, sort_keys=True).encode()).hexdigest()


def encode(value: object, depth: int = 0, most: int = MAX_ITEMS) -> dict:
    """A value as JSON. Raises ValueError for what is too deep to compare, or has more than `most` items."""
    if depth > 8:
        raise ValueError("the returned value is nested more than 8 deep; 8 are compared")
    if value is None:
        return {"kind": "none"}
    if isinstance(value, bool | np.bool_):
        return {"kind": "bool", "value": bool(value)}
    if isinstance(value, str):
        if len(value) > most:
            raise ValueError(f"the returned text has {len(value)} characters{_fewer(most)}")
        return {"kind": "text", "value": value}
    if isinstance(value, int | float | complex | np.number):
        return _encode_array(np.asarray(value), most)
    if isinstance(value, list | tuple | dict | set | frozenset) and len(value) > most:
        raise ValueError(f"the returned {type(value).__name__} has {len(value)} items{_fewer(most)}")
    if isinstance(value, list | tuple):
        return {"kind": "list", "items": [encode(item, depth + 1, most) for item in value]}
    if isinstance(value, dict):
        items = [[encode(k, depth + 1, most), encode(v, depth + 1, most)] for k, v in value.items()]
        return {"kind": "dict", "items": items}
    if isinstance(value, set | frozenset):
        return {"kind": "set", "items": [encode(item, depth + 1, most) for item in sorted(value)]}
    if hasattr(value, "__array__"):
        return _encode_array(np.asarray(value.detach() if hasattr(value, "detach") else value), most)
    return {"kind": "other", "type": type(value).__name__}


def _encode_array(array: np.ndarray, most: int) -> dict:
    if array.dtype.kind not in "biufc":  # Python's large integers come here as objects
        if array.ndim == 0 and isinstance(array.item(), int):
            if array.item().bit_length() > 4 * most:
                raise ValueError("the returned number is too large")
            return {"kind": "integer", "value": hex(array.item())}
        return {"kind": "other", "type": f"array of {array.dtype}"}
    if array.dtype.name not in DTYPES:  # a long double, say
        array = array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
    if array.size > most:
        raise ValueError(f"the returned array has {array.size} elements{_fewer(most)}")
    little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"))
    data = base64.b64encode(little.tobytes()).decode("ascii")
    return {"kind": "array", "dtype": array.dtype.name, "shape": list(array.shape), "data": data}


def _fewer(most: int) -> str:
    return f"; at most {most:,} are compared, so return fewer: a sum or a sample of them, or less for smaller inputs"


def _display(payload: dict) -> None:
    try:
        from IPython.display import display

        display({MIME: payload, "text/plain": f"judged: {payload['case']}"}, raw=True)
    except ImportError:  # outside a notebook there is nobody to read it
        pass
