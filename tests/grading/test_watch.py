"""Forbidden calls that no search of the source finds, seen as they happen."""

import pytest

from coursekit.grading.exercise.forbidden import find_forbidden
from coursekit.grading.watch import watching

HIDDEN = {
    "a name put together": ('getattr(np, "d" + "ot")(A, A)', "numpy.dot"),
    "a universal function": ('getattr(np, "mat" + "mul")(A, A)', "numpy.matmul"),
    "a module put together": ('__import__("num" + "py").linalg.norm(A)', "numpy.linalg"),
    "a method put together": ('getattr([2, 1], "so" + "rt")()', ".sort"),
    "a builtin put together": ('getattr(__builtins__, "sor" + "ted")([2, 1])', "sorted"),
    "through map": ('list(map(getattr(np, "d" + "ot"), [A], [A]))', "numpy.dot"),
    "the operator in a text": ('eval("A " + chr(64) + " A")', "@"),
    "the operator's function": ('getattr(__import__("operator"), "mat" + "mul")(A, A)', "@"),
    "a C function": ('getattr(__import__("ma" + "th"), "fs" + "um")([1.0])', "math.fsum"),
}


def run(source: str, forbid: tuple[str, ...]) -> set[str]:
    """What is seen of ``answer()`` in a cell with this body."""
    names = {}
    cell = f"import builtins as __builtins__\nimport numpy as np\nA = np.eye(2)\ndef answer():\n    return {source}"
    exec(compile(cell, "/tmp/ipykernel_1/2.py", "exec"), names)
    with watching(forbid) as used:
        names["answer"]()
    return used


@pytest.mark.parametrize(("source", "entry"), HIDDEN.values(), ids=HIDDEN)
def test_what_a_source_hides_is_seen(source, entry):
    assert find_forbidden(f"answer = {source}", (entry,)) is None, "this one is no test of the watch"
    assert run(source, (entry,))
    assert not run(source, ("statistics.mean",)) and not run(source, ())


@pytest.mark.parametrize(
    ("source", "forbid"),
    [
        ("np.linalg.norm(A)", ("numpy.dot", ".dot", "numpy.sum", "sum", ".sum")),
        (
            "np.polyfit([1.0, 2, 3], [1.0, 2, 3], 1)",
            ("numpy.linalg", ".sum", "isinstance", "len", "numpy.vander"),
        ),
        ("sum(v for v in [1, 2])", (".sum", "numpy.sum", "math.fsum")),
        ("[len(r) for r in A]", ("@", "numpy.dot")),
    ],
)
def test_what_a_library_does_inside_is_its_own_affair(source, forbid):
    assert run(source, forbid) == set()


def test_everything_is_put_back(monkeypatch):
    import sys

    import numpy

    before = numpy.dot, sys.getprofile()
    with pytest.raises(KeyError), watching(("numpy.dot", ".sort")):
        assert numpy.dot is not before[0]
        raise KeyError
    assert (numpy.dot, sys.getprofile()) == before
