"""The kernel's side of judging: call the answer, and emit what it returns as data.

Nothing here is trusted. It runs beside the learner's code, which may change any of it; all that leaves
are values for inputs the learner could not know, and :mod:`coursekit.grading.compare` decides.
"""

import base64
import builtins
import copy
import zlib
from collections.abc import Callable

import numpy as np

MIME = "application/vnd.coursekit.value+json"
MAX_ITEMS = 100_000
DTYPES = {"bool", "float16", "float32", "float64", "complex64", "complex128"}
DTYPES |= {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
SEED = 0  # a grading run draws one and sets it; 0 serves who runs the solutions by hand


def judge(task: str) -> tuple[Callable, np.random.Generator]:
    """``emit`` and ``rng`` for a judge cell.

    ``emit(case, function, *args, **kwargs)`` calls the function and emits what it returned, or what it
    raised; where `function` is no function it is emitted as it is. ``rng`` is drawn from the run's seed.
    """

    def emit(case: str, function, *args, **kwargs) -> None:
        try:
            data = encode(function(*copy.deepcopy(args), **kwargs) if callable(function) else function)
        except Exception as error:
            data = raised(error)
        _display({"case": case, "value": data})

    return emit, np.random.default_rng([SEED, zlib.crc32(task.encode())])


def run_apart(source: str, names: dict) -> None:
    """Run a cell with the notebook's names at hand, but none of its own left behind.

    So a judge cell's ``n`` is not the helper ``n`` of an answer, and an answer's ``list = [1, 2]`` is no longer
    in the way of the builtin.
    """
    own = {
        name: value for name, value in names.items() if name == "__builtins__" or not hasattr(builtins, name)
    }
    exec(compile(source, "<cell>", "exec"), own)


def raised(error: Exception) -> dict:
    """An exception as JSON: its type, and the types it derives from."""
    types = [kind.__name__ for kind in type(error).__mro__[:-1]]
    return {"kind": "raised", "type": types[0], "types": types, "text": str(error)[:500]}


def encode(value: object, depth: int = 0) -> dict:
    """A value as JSON. Raises ValueError for what is too large or too deep to compare."""
    if depth > 8:
        raise ValueError("the returned value is nested more than 8 deep")
    if value is None:
        return {"kind": "none"}
    if isinstance(value, bool | np.bool_):
        return {"kind": "bool", "value": bool(value)}
    if isinstance(value, str):
        return {"kind": "text", "value": value[:MAX_ITEMS]}
    if isinstance(value, int | float | complex | np.number):
        return _encode_array(np.asarray(value))
    if isinstance(value, list | tuple):
        if len(value) > MAX_ITEMS:
            raise ValueError(f"the returned {type(value).__name__} has {len(value)} items")
        return {"kind": "list", "items": [encode(item, depth + 1) for item in value]}
    if isinstance(value, dict):
        items = [[encode(k, depth + 1), encode(v, depth + 1)] for k, v in list(value.items())[:MAX_ITEMS]]
        return {"kind": "dict", "items": items}
    if isinstance(value, set | frozenset):
        return {"kind": "set", "items": [encode(item, depth + 1) for item in sorted(value)]}
    if hasattr(value, "__array__"):
        return _encode_array(np.asarray(value.detach() if hasattr(value, "detach") else value))
    return {"kind": "other", "type": type(value).__name__}


def _encode_array(array: np.ndarray) -> dict:
    if array.dtype.kind not in "biufc":  # Python's large integers come here as objects
        if array.ndim == 0 and isinstance(array.item(), int):
            return {"kind": "integer", "value": hex(array.item())[:MAX_ITEMS]}
        return {"kind": "other", "type": f"array of {array.dtype}"}
    if array.dtype.name not in DTYPES:  # a long double, say
        array = array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
    if array.size > MAX_ITEMS:
        raise ValueError(f"the returned array has {array.size} elements")
    little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"))
    data = base64.b64encode(little.tobytes()).decode("ascii")
    return {"kind": "array", "dtype": array.dtype.name, "shape": list(array.shape), "data": data}


def _display(payload: dict) -> None:
    try:
        from IPython.display import display

        display({MIME: payload, "text/plain": f"judged: {payload['case']}"}, raw=True)
    except ImportError:  # outside a notebook there is nobody to read it
        pass
