import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coursekit.data import missing

NAN = np.nan
with_gaps = st.lists(st.one_of(st.floats(-100, 100), st.just(NAN)), min_size=1, max_size=40).filter(
    lambda v: not np.isnan(v).all()
)


@given(with_gaps)
def test_gaps_are_what_is_nan(values):
    marked = np.zeros(len(values), bool)
    for start, stop in missing.gaps(values):
        assert not marked[start:stop].any() and start < stop
        marked[start:stop] = True
        assert start == 0 or not np.isnan(values[start - 1])
    assert np.array_equal(marked, np.isnan(values))


def test_gaps_of_nothing():
    assert missing.gaps([]) == [] and missing.gaps([1.0]) == [] and missing.gaps([NAN, NAN]) == [(0, 2)]
    with pytest.raises(ValueError, match="one dimension"):
        missing.gaps(np.zeros((2, 2)))


@given(with_gaps)
def test_interpolate_and_fill_keep_what_is_known(values):
    values, times = np.array(values), np.arange(len(values)) ** 1.5
    known = ~np.isnan(values)
    for filled in (
        missing.interpolate(times, values),
        *(missing.fill(values, h) for h in ("mean", "forward", 3)),
    ):
        assert np.array_equal(filled[known], values[known]) and not np.isnan(filled).any()
    kept = missing.delete(times, values)
    assert np.array_equal(kept[0], times[known]) and np.array_equal(kept[1], values[known])


def test_interpolate_goes_by_time():
    assert np.allclose(missing.interpolate([0, 1, 4], [0, NAN, 8]), [0, 2, 8])
    assert np.allclose(missing.interpolate([0, 1, 2, 3], [NAN, 5, 7, NAN]), [5, 5, 7, 7])


def test_fill_by_its_words():
    values = [NAN, 1, NAN, NAN, 9, 2, NAN]
    assert np.array_equal(missing.fill(values, "forward"), [1, 1, 1, 1, 9, 2, 2])
    assert np.array_equal(missing.fill(values, "mean"), [4, 1, 4, 4, 9, 2, 4])
    assert np.array_equal(missing.fill(values, "median"), [2, 1, 2, 2, 9, 2, 2])
    assert np.array_equal(missing.fill(values, -1.5), [-1.5, 1, -1.5, -1.5, 9, 2, -1.5])


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: missing.fill([1, NAN], "last"), "got 'last'"),
        (lambda: missing.fill([NAN, NAN]), "none of the 2 values"),
        (lambda: missing.interpolate([0, 1], [NAN, NAN]), "none of the 2 values"),
        (lambda: missing.interpolate([1, 0], [1, 2]), "must ascend"),
        (lambda: missing.interpolate([0, 1, 2], [1, 2]), "3 entries but values 2"),
        (lambda: missing.hide(np.ones(10), 0.9, length=3), "room for"),
        (lambda: missing.hide(np.ones(10), 1.1), "from 0 to 1"),
        (lambda: missing.hide(np.ones(10), 0.1, length=0), "at least 1"),
        (lambda: missing.seasonal([0, 1, 2], [1, NAN, 2]), "at least 7"),
    ],
)
def test_what_cannot_be_done_is_told(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@given(st.integers(30, 80), st.integers(1, 4), st.integers(0, 5), st.floats(0, 0.35))
def test_hide_makes_gaps_of_one_length(n, length, seed, share):
    values = np.arange(float(n))
    hidden = missing.hide(values, share, length=length, seed=seed)
    found = missing.gaps(hidden)
    assert len(found) == round(share * n / length)
    assert all(stop - start == length for start, stop in found)
    assert not np.isnan(hidden[[0, -1]]).any() and np.array_equal(values, np.arange(float(n)))


def test_hide_depends_on_its_seed_and_leaves_old_gaps():
    values = np.arange(100.0)
    values[10:15] = NAN
    first, again, other = (missing.hide(values, 0.2, length=3, seed=s) for s in (1, 1, 2))
    assert np.array_equal(first, again, equal_nan=True)
    assert not np.array_equal(first, other, equal_nan=True)
    assert np.isnan(first).sum() == 5 + 3 * round(0.2 * 95 / 3)


def test_seasonal_finds_the_curve_it_fits():
    times = np.sort(np.random.default_rng(0).uniform(1950, 1960, 200))
    curve = 300 + 0.5 * (times - 1955) ** 2 + 3 * np.sin(2 * np.pi * times) + np.cos(4 * np.pi * times)
    values = missing.hide(curve, 0.3, length=8)
    assert np.allclose(missing.seasonal(times, values), curve, atol=1e-6)
    halved = missing.seasonal(2 * times, values, period=2.0)
    assert np.allclose(halved, curve, atol=1e-6)
