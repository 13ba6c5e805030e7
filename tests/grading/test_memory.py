"""What an answer holds before it is called counts like what it makes while it runs."""

import functools

import numpy as np
import pytest

from coursekit.grading.memory import held_by, watched

MANY = 100_000
KEPT = None


def frugal(n):
    return float(sum(range(n)))


def makes(n):
    return float(np.ones(n).sum())


def uses_a_global(n):
    return KEPT


def with_a_default(n, room={}):  # noqa: B006
    return room


def calls_another(n):
    return uses_a_global(n)


def within(n):
    return [uses_a_global(i) for i in range(1)]


class Holder:
    room = None

    def __call__(self, n):
        return self.room


def closure(array):
    return lambda n: array[n]


def test_what_is_made_during_the_call_counts():
    assert watched(frugal, 1000)[0] == 499500.0
    assert watched(frugal, 1000)[1] < 20_000
    value, used = watched(makes, MANY)
    assert value == MANY and 8 * MANY <= used < 9 * MANY


@pytest.mark.parametrize("function", [uses_a_global, calls_another, within])
def test_what_stands_in_a_global_counts(function, monkeypatch):
    before = watched(function, 1)[1]
    monkeypatch.setitem(globals(), "KEPT", [{"a": np.zeros(MANY)}])
    assert watched(function, 1)[1] >= before + 8 * MANY


def test_what_an_earlier_call_left_counts():
    before = held_by(with_a_default)
    with_a_default(1)["x"] = np.zeros(MANY)[::2]
    assert held_by(with_a_default) >= before + 8 * MANY, "half of the array keeps the whole of it"
    with_a_default(1).clear()


def test_closures_attributes_and_partial_functions_count():
    assert held_by(closure(np.zeros(MANY))) >= 8 * MANY
    assert held_by(functools.partial(frugal, np.zeros(MANY))) >= 8 * MANY
    holder = Holder()
    holder.room = bytearray(MANY)
    assert held_by(holder) >= MANY
    frugal.room = np.zeros(MANY)
    assert held_by(frugal) >= 8 * MANY
    del frugal.room


def test_numpy_itself_does_not_count():
    assert held_by(makes) < 20_000
