"""Messages of marks as sentences for people: on pages, in tables and in what a platform gets."""

import re

CELL = re.compile(
    r"\((?:<[^<>()]{1,60}>|[^()\s,]{0,120}\d\.py), line (\d+)\)"
)  # its temporary file, in an error
WRAPPED = (  # what numpy writes around a value, and compare around a key
    re.compile(r"(?<=[\[({=\s])(?:np\.)?array\(([^()]*?)(?:,\s*dtype=[^\s,()]*)?(?:,\s*shape=\([^()]*)?\)"),
    re.compile(r"\bnp\.(?:float|int|uint|complex|longdouble|clongdouble|bool|str_|bytes_)\w*\(([^()]*)\)"),
    re.compile(r"\bnp\.(True|False)_"),
    re.compile(r"\"('[^'\"\\\n]{0,80}')\"(?=:)"),
)
CUT = re.compile(r"(?<=[\[({=\s])(?:np\.)?array\((?=[\[\d-])")  # an array whose end was cut off


def readable(text: str) -> str:
    """A message without what only Python's own display needs: numpy's names around values, a cell's temporary file."""
    text = CELL.sub(r"(line \1)", text)
    for wrapped in WRAPPED:
        text = wrapped.sub(lambda found: " ".join(found[1].split()).replace(" ]", "]"), text)
    return CUT.sub("", text)


def ended(text: str) -> str:
    """The text with a full stop, where it does not end in a sign that ends a sentence."""
    text = text.rstrip()
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."
