import itertools

import numpy as np
import pytest
from scipy import stats

from coursekit.measure import paired


def test_the_t_test_against_its_formula():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.3, 1, size=9), rng.normal(size=9)
    d = a - b
    error = d.std(ddof=1) / 3
    found = paired(a, b)
    assert found.value == pytest.approx(d.mean())
    assert (found.low, found.high) == pytest.approx(
        (d.mean() - 2.306004135 * error, d.mean() + 2.306004135 * error)
    )
    assert found.p == pytest.approx(2 * stats.t.sf(abs(d.mean()) / error, 8))
    assert found.n == 9


def test_ranks_against_all_signs():
    d = np.array([0.5, 1.5, -0.25, 2.0, 3.0])
    ranks = stats.rankdata(abs(d))
    sums = [
        sum(r for r, s in zip(ranks, signs, strict=True) if s)
        for signs in itertools.product((0, 1), repeat=5)
    ]
    observed, middle = sum(ranks[d > 0]), sum(ranks) / 2
    exact = np.mean([abs(s - middle) >= abs(observed - middle) for s in sums])
    assert paired(d, np.zeros(5)).p_ranks == pytest.approx(exact)


def test_five_seeds_never_convince_the_ranks():
    found = paired([1.0, 2.0, 3.0, 4.0, 5.0], [0.0] * 5)
    assert found.p_ranks == pytest.approx(2 / 2**5) and found.p < 0.05


def test_equal_pairs_do_not_differ():
    found = paired([0.9, 0.8], [0.9, 0.8])
    assert (found.value, found.low, found.high, found.p, found.p_ranks) == (0, 0, 0, 1, 1)
    assert not found.different and "not different" in str(found)
    assert "a is larger" in str(paired([1.0, 1.1, 1.2], [0.1, 0.2, 0.25]))


def test_differences_without_spread_are_certain():
    assert paired([0.9, 0.8, 0.7], [0.8, 0.7, 0.6]).p == 0


def test_the_interval_holds_the_truth_about_95_times_in_100():
    rng = np.random.default_rng(1)
    runs = [paired(rng.normal(0.2, 1, size=6), np.zeros(6)) for _ in range(200)]
    assert 0.91 < np.mean([run.low <= 0.2 <= run.high for run in runs]) < 0.98


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [([1], [2], "at least 2"), ([1, 2], [1], r"\(2,\) and \(1,\)"), ([1, np.nan], [1, 2], "finite")],
)
def test_wrong_values_are_refused(a, b, words):
    with pytest.raises(ValueError, match=words):
        paired(a, b)
