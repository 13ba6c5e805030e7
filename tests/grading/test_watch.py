"""Forbidden calls that no search of the source finds, seen as they happen."""

import pytest

from coursekit.grading.exercise.forbidden import find_forbidden
from coursekit.grading.watch import JUDGE, watching

HIDDEN = {
    "a name put together": ('getattr(np, "d" + "ot")(A, A)', "numpy.dot"),
    "a universal function": ('getattr(np, "mat" + "mul")(A, A)', "numpy.matmul"),
    "a module put together": ('__import__("num" + "py").linalg.norm(A)', "numpy.linalg"),
    "a method put together": ('getattr([2, 1], "so" + "rt")()', ".sort"),
    "a builtin put together": ('getattr(__builtins__, "sor" + "ted")([2, 1])', "sorted"),
    "through map": ('list(map(getattr(np, "d" + "ot"), [A], [A]))', "numpy.dot"),
    "the operator in a text": ('eval("A " + chr(64) + " A")', "@"),
    "the operator's function": ('getattr(__import__("operator"), "mat" + "mul")(A, A)', "@"),
    "a class": ('getattr(__import__("collections"), "Coun" + "ter")("ab")', "collections.Counter"),
    "a class in a text": ('eval("__import__(\'collections\').Coun" + "ter")("ab")', "collections.Counter"),
    "a class of C": ('getattr(__import__("collections"), "de" + "que")([1])', "collections.deque"),
    "a class of C through map": (
        'list(map(getattr(__import__("collections"), "de" + "que"), [[1]]))',
        "collections.deque",
    ),
    "a class of an iterator": (
        'next(getattr(__import__("itertools"), "accu" + "mulate")([1]))',
        "itertools.accumulate",
    ),
    "a class by __new__": (
        'getattr(__import__("fractions"), "Frac" + "tion")(1, 2)',
        "fractions.Fraction",
    ),
    "a class derived from it": (
        'type("Mine", (getattr(__import__("collections"), "Coun" + "ter"),), {})("ab")',
        "collections.Counter",
    ),
    "another way to make an object": (
        'getattr(__import__("collections"), "Coun" + "ter").fromkeys.__self__()',
        "collections.Counter",
    ),
    "a method of a class of C": ('eval("di" + "ct").fromkeys("ab")', "dict"),
    "a method of one class": ('getattr(A, "so" + "rt")()', "numpy.ndarray.sort"),
    "a method in Python": (
        'getattr(__import__("collections").Counter("ab"), "most_" + "common")()',
        ".most_common",
    ),
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


CAPTURED = {
    "a class of Python itself": ('eval("ma" + "p")', "map"),
    "a class of C": ('getattr(__import__("collections"), "de" + "que")', "collections.deque"),
    "a function of C": ('getattr(np, "d" + "ot")', "numpy.dot"),
}


@pytest.mark.parametrize(("source", "entry"), CAPTURED.values(), ids=CAPTURED)
def test_what_was_reached_before_the_watch_began_is_seen_when_a_function_uses_it(source, entry):
    names = {"np": __import__("numpy")}
    cell = f"hidden = {source}\ndef answer():\n    return str(hidden)\ndef other():\n    return str(np)"
    exec(compile(cell, "/tmp/ipykernel_1/2.py", "exec"), names)
    with watching((entry,), names["other"]) as used:
        names["other"]()
    assert not used
    with watching((entry,), names["answer"]) as used:
        names["answer"]()
    assert used == {entry}


def test_a_forbidden_class_itself_as_the_answer_is_seen():
    import collections

    with watching(("collections.deque",), collections.deque) as used:
        pass
    assert used == {"collections.deque"}


def test_a_class_can_be_asked_about_while_it_is_watched():
    """A library and the judge cell go on with it as before."""
    import collections

    real, found = collections.deque, collections.deque([1])
    with watching(("collections.deque",)) as used:
        watched = collections.deque
        assert watched is not real and watched == real and {real: 1}[watched] == 1
        assert isinstance(found, watched) and not isinstance([], watched)
        assert isinstance(found, list | watched) and isinstance(found, watched | list)
        assert issubclass(real, watched) and issubclass(watched, real) and not issubclass(list, watched)
        assert watched[int] == real[int] and watched.append is real.append and repr(watched) == repr(real)
        assert type(watched([2])) is real
    assert collections.deque is real and issubclass(type("Mine", (real,), {}), real)
    assert used == {"collections.deque"}, "this test is code of one's own"


def test_what_a_library_makes_of_a_forbidden_class_is_its_own_affair():
    made = """__import__("csv").DictReader(["a", "1"]).__next__() and __import__("statistics").mode([1, 1])"""
    assert run(made, ("collections.Counter", "collections.OrderedDict", "collections.deque")) == set()
    assert run('__import__("collections").OrderedDict(a=1)', ("dict", "collections.Counter")) == set()


def test_a_library_finds_what_hangs_on_a_function_that_is_watched():
    import numpy as np
    import scipy.stats

    with watching(("numpy", "scipy.stats")):
        assert np.maximum.accumulate([1, 3, 2]).tolist() == [1, 3, 3]
        assert scipy.stats.norm.cdf(0) == 0.5 and scipy.stats.iqr([1, 2, 3]) == 1


@pytest.mark.parametrize(
    ("source", "entry"),
    [
        ('getattr(__import__("bi" + "sect"), "bi" + "sect")([1], 1)', "bisect"),
        (
            'getattr(__import__("sk" + "learn.metrics").metrics, "accuracy_" + "score")([1], [1])',
            "sklearn.metrics",
        ),
    ],
)
def test_a_function_of_a_module_is_seen_wherever_its_code_stands(source, entry):
    __import__(entry)
    assert find_forbidden(f"answer = {source}", (entry,)) is None
    assert run(source, (entry,)) == {entry}


def test_a_thread_that_is_started_meanwhile_is_watched():
    source = (
        """[t := __import__("threading").Thread(target=lambda: eval("su" + "m")([1])), t.start(), t.join()]"""
    )
    assert run(source, ("sum",)) == {"sum"}


def test_an_object_whose_call_is_forbidden_is_seen():
    answer = type("Answer", (), {"__call__": staticmethod(sum)})()
    with watching(("sum",), answer) as used:
        answer([1])
    assert used == {"sum"}


def test_equal_code_of_two_files_is_told_apart():
    import numpy as np

    source = "def call():\n    return getattr(np, 'd' + 'ot')([1.0], [2.0])"
    for file, is_seen in ((JUDGE, False), ("<a cell>", True)):
        names = {"np": np}
        exec(compile(source, file, "exec"), names)
        with watching(("numpy.dot",)) as used:
            names["call"]()
        assert used == ({"numpy.dot"} if is_seen else set())
