import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from coursekit.data import batches

seeds = st.none() | st.integers(0, 2**32 - 1) | st.tuples(st.integers(0, 99), st.integers(0, 99))


def numbered(n):
    return np.arange(2 * n, dtype=np.float32).reshape(n, 2), np.arange(n)


def gathered(*args, **kwargs):
    parts = list(batches(*args, **kwargs))
    x = torch.cat([torch.empty(0, 2), *(x for x, _ in parts)])
    return x, torch.cat([torch.empty(0, dtype=torch.int64), *(y for _, y in parts)])


@given(n=st.integers(0, 40), size=st.integers(1, 50), seed=seeds)
def test_every_sample_comes_once_with_its_label(n, size, seed):
    x, y = gathered(*numbered(n), size, seed=seed)
    assert sorted(y.tolist()) == list(range(n))
    assert torch.equal(x[:, 0], 2.0 * y)


@given(n=st.integers(0, 40), size=st.integers(1, 50), seed=seeds, drop_last=st.booleans())
def test_sizes(n, size, seed, drop_last):
    sizes = [len(y) for _, y in batches(*numbered(n), size, seed=seed, drop_last=drop_last)]
    rest = [] if drop_last or n % size == 0 else [n % size]
    assert sizes == [size] * (n // size) + rest


@given(n=st.integers(0, 40), size=st.integers(1, 50), seed=seeds)
def test_the_same_seed_gives_the_same_order(n, size, seed):
    assert torch.equal(gathered(*numbered(n), size, seed=seed)[1], gathered(*numbered(n), size, seed=seed)[1])


def test_order():
    data = numbered(100)
    assert gathered(*data, 7)[1].tolist() == list(range(100))
    orders = [gathered(*data, 7, seed=seed)[1].tolist() for seed in (0, 1, (0, 0), (0, 1), (1, 0))]
    assert len({tuple(order) for order in [*orders, range(100)]}) == 6
    assert gathered(*numbered(8), 3, seed=0)[1].tolist() == [6, 2, 1, 7, 3, 0, 5, 4]


@pytest.mark.parametrize("seed", [None, 0])
@pytest.mark.parametrize("convert", [np.asarray, torch.tensor])
def test_batches_are_tensors_of_their_own(seed, convert):
    x, y = map(convert, numbered(10))
    for bx, by in batches(x, y, 5, seed=seed):
        assert bx.dtype == torch.float32 and by.dtype == torch.int64
        bx.zero_()
        by.zero_()
    assert x[9, 1] == 19 and y[9] == 9


def test_mistakes_are_reported_at_the_call():
    x, y = numbered(5)
    with pytest.raises(ValueError, match="size is 0"):
        batches(x, y, 0)
    with pytest.raises(TypeError):
        batches(x, y, 2.0)
    with pytest.raises(ValueError, match="5 samples but y has 4"):
        batches(x, y[1:], 2)
