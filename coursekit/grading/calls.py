"""A call as a line of text, short whatever it is called with: values are not written out to be cut."""

import itertools

import numpy as np

ITEMS = 8  # of a sequence or an array
CHARACTERS = 60  # of one argument
MOST_CHARACTERS = 160  # of all


def call_text(function: object, args: tuple, kwargs: dict) -> str:
    """``double([1, 2], n=3)``."""
    return f"{getattr(function, '__name__', 'it')}({arguments_text(args, kwargs)})"


def arguments_text(args: tuple, kwargs: dict) -> str:
    """``[1, 2], n=3``."""
    text = ", ".join([*map(_short, args), *(f"{name}={_short(value)}" for name, value in kwargs.items())])
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 3] + "..."


def _short(value: object) -> str:
    text = " ".join(_text(value).split())
    return text if len(text) <= CHARACTERS else text[: CHARACTERS - 3] + "..."


def _text(value: object, depth: int = 0) -> str:
    if isinstance(value, str | bytes):
        return repr(value[:CHARACTERS])
    if hasattr(value, "__array__") and np.ndim(value):
        array = np.asarray(value)
        return _text(array.tolist(), depth) if array.size <= ITEMS else f"an array of shape {array.shape}"
    if isinstance(value, float | np.floating):
        return f"{value:.6g}" if value % 1 else str(float(value))
    if isinstance(value, np.generic):
        return str(value)
    if type(value) in (list, tuple, dict, set):
        return _items(value, depth + 1) if depth < 3 else "..."
    if isinstance(value, int) and value.bit_length() > 1000:
        return f"a whole number of {value.bit_length()} bits"
    return value.__name__ if callable(value) and hasattr(value, "__name__") else repr(value)


def _items(value: list | tuple | dict | set, depth: int) -> str:
    items = list(itertools.islice(value.items() if isinstance(value, dict) else value, ITEMS))
    if isinstance(value, dict):
        shown = [f"{_text(key, depth)}: {_text(item, depth)}" for key, item in items]
    else:
        shown = [_text(item, depth) for item in items]
    if len(value) > ITEMS:
        shown.append("...")
    one = "," if isinstance(value, tuple) and len(value) == 1 else ""
    left, right = {list: "[]", tuple: "()", dict: "{}", set: "{}"}[type(value)]
    return f"{left}{', '.join(shown)}{one}{right}" if shown or type(value) is not set else "set()"
