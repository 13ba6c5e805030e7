import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import preprocessing

from coursekit.data import scaling

rows = st.tuples(st.integers(1, 8), st.integers(1, 5), st.integers(0, 99)).map(
    lambda t: np.random.default_rng(t[2]).normal(3, 10, t[:2])
)


@given(rows, rows)
def test_scalers_are_those_of_scikit_learn(x, other):
    other = np.resize(other, (4, x.shape[1]))
    for ours, theirs in (
        (scaling.min_max(x), preprocessing.MinMaxScaler().fit(x)),
        (scaling.z_score(x), preprocessing.StandardScaler().fit(x)),
    ):
        assert np.allclose(ours.apply(x), theirs.transform(x))
        assert np.allclose(ours.apply(other), theirs.transform(other))
        assert np.allclose(ours.undo(ours.apply(other)), other)


@given(rows, st.sampled_from([1, 2]))
def test_normalise_is_that_of_scikit_learn(x, order):
    x[0] = 0
    assert np.allclose(scaling.normalise(x, order), preprocessing.normalize(x, f"l{order}"))


def test_any_shape_of_row():
    x = np.random.default_rng(0).random((5, 2, 3))
    scaled = scaling.min_max(x).apply(x)
    assert scaled.shape == x.shape and np.all(scaled.min(axis=0) == 0) and np.allclose(scaled.max(axis=0), 1)
    assert scaling.z_score(np.arange(4.0)).apply(np.arange(4.0)).std() == pytest.approx(1)


def test_a_column_that_does_not_vary_becomes_0():
    x = np.array([[1.0, 5.0], [2.0, 5.0]])
    for fit in (scaling.min_max, scaling.z_score):
        assert np.array_equal(fit(x).apply(x)[:, 1], [0, 0])


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: scaling.min_max(np.ones((0, 3))), "at least one row"),
        (lambda: scaling.z_score(1.0), "at least one row"),
        (lambda: scaling.z_score([[np.nan]]), "missing or infinite"),
        (lambda: scaling.min_max([[1.0, 2.0]]).apply([[1.0]]), "rows of shape"),
        (lambda: scaling.min_max([[1.0, 2.0]]).undo([1.0, 2.0]), "rows of shape"),
        (lambda: scaling.normalise([[1.0]], 3), "order must be 1 or 2"),
        (lambda: scaling.normalise([1.0]), "shape"),
    ],
)
def test_what_cannot_be_done_is_told(call, words):
    with pytest.raises(ValueError, match=words):
        call()
