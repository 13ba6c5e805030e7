"""A call in a line: short, and in no time, whatever it is called with."""

import time

import numpy as np
import pytest

from coursekit.grading.calls import MOST_CHARACTERS, arguments_text, call_text
from coursekit.grading.compare import decode, difference
from coursekit.grading.judge import judge


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([1, 2.0, 0.123456789], "[1, 2.0, 0.123457]"),
        ([np.float64(0.5), np.int64(3), np.bool_(True)], "[0.5, 3, True]"),
        (np.array([1.5, 2]), "[1.5, 2.0]"),
        (np.zeros((3, 4)), "an array of shape (3, 4)"),
        (list(range(20)), "[0, 1, 2, 3, 4, 5, 6, 7, ...]"),
        ((1,), "(1,)"),
        ({"a": [1]}, "{'a': [1]}"),
        (set(), "set()"),
        ("x" * 100, "'" + "x" * 56 + "..."),
        ("a\nb", r"'a\nb'"),
        (float("nan"), "nan"),
        (10**400, "a whole number of 1329 bits"),
        (sum, "sum"),
        (None, "None"),
    ],
)
def test_an_argument(value, text):
    assert arguments_text((value,), {}) == text


def test_all_of_a_call():
    assert call_text(sorted, ([2, 1],), {"reverse": True}) == "sorted([2, 1], reverse=True)"
    assert len(arguments_text((list(range(8)),) * 50, {})) == MOST_CHARACTERS


def test_what_is_large_or_without_end_takes_no_time():
    endless = []
    endless.append(endless)
    start = time.process_time()
    arguments_text(([[0] * 1000] * 10**6, "x" * 10**7, endless, 1 << 10**7, np.zeros(10**7)), {})
    assert time.process_time() - start < 1


def emitted(monkeypatch, function, *args) -> dict:
    seen = []
    monkeypatch.setattr("coursekit.grading.judge._display", seen.append)
    judge("x")[0]("case", function, *args)
    return seen[0]


def test_an_object_that_does_not_say_what_it_is_is_emitted_all_the_same(monkeypatch):
    class Mute:
        def __repr__(self):
            raise KeyError("no")

    assert emitted(monkeypatch, lambda x: 1, Mute()) == emitted(monkeypatch, lambda: 1)
    assert emitted(monkeypatch, lambda x: x, 1)["arguments"] == "1"


def test_a_value_that_cannot_be_compared_is_no_exception_that_was_wanted(monkeypatch):
    deep = []
    for _ in range(20):
        deep = [deep]
    wanted = decode(emitted(monkeypatch, int, "x")["value"])
    for value in (deep, {1, "a"}, "x" * 10**6, [0] * 10**6):
        got = decode(emitted(monkeypatch, lambda value=value: value)["value"])
        assert difference(got, wanted, rtol=0, atol=0) is not None
        assert difference(got, got, rtol=0, atol=0) is not None
