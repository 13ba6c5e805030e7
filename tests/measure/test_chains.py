"""The rate of multiply-adds: what is counted, and what is refused. No verdict depends on how fast this machine is."""

import numpy as np
import pytest

from coursekit.measure import chains, fma_rate


def test_a_multiply_add_counts_two_for_each_number_of_each_chain(monkeypatch):
    monkeypatch.setattr(chains, "_seconds", lambda run, steps: 1e-9 * steps)
    assert fma_rate(4, 3) == pytest.approx(2 * 4 * 3 * 1e9)


def test_the_best_of_the_rounds_counts(monkeypatch):
    times = iter([3.0, 1.0, 2.0])
    monkeypatch.setattr(chains, "_seconds", lambda run, steps: next(times) * steps)
    assert fma_rate(1, 1, rounds=3) == pytest.approx(2.0)


def test_every_chain_really_runs():
    """Each accumulator a becomes a·x + y, n times over; the loop returns the sum of all of them."""
    lanes, count, n = 4, 3, 5
    a = np.add.outer(np.arange(count), np.arange(lanes)).astype(np.float64)
    for _ in range(n):
        a = a * 0.5 + 0.25
    assert chains._loop(lanes, count)(n, 0.5, 0.25) == pytest.approx(a.sum())


@pytest.mark.parametrize(("lanes", "count"), [(3, 1), (0, 1), (128, 1), (8, 0), (8, 65)])
def test_what_cannot_be_is_refused(lanes, count):
    with pytest.raises(ValueError, match=rf"power of two and both from 1 to 64; got {lanes}, {count}"):
        fma_rate(lanes, count)
