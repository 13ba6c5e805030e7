"""Masks with exact numbers of zeros, against plain sorting."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from coursekit.compress.pruning.patterns import blocks, n_of_m, read_pattern, single
from coursekit.kernels.formats import to_blocks, to_two_four

few = st.integers(0, 3).map(float)  # so that many are equal
matrices = st.tuples(st.integers(1, 19), st.integers(1, 9)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=few)
)


@settings(max_examples=60, deadline=None)
@given(matrices, matrices, st.floats(0, 1))
def test_single_weights_go_in_the_order_of_a_stable_sort(a, b, sparsity):
    masks = single({"a": torch.tensor(a), "b": torch.tensor(b)}, sparsity)
    both = np.concatenate([a.ravel(), b.ravel()])
    wanted = np.ones(len(both), bool)
    ranked = sorted(range(len(both)), key=lambda i: (both[i], i))
    wanted[ranked[: round(sparsity * len(both))]] = False
    np.testing.assert_array_equal(torch.cat([masks["a"].flatten(), masks["b"].flatten()]), wanted)
    assert masks["a"].shape == a.shape


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 7), st.integers(1, 5), st.sampled_from([(1, 2), (2, 4), (1, 4), (3, 5)]), st.data())
def test_n_of_m_keeps_the_best_of_each_group(rows, groups, pattern, data):
    n, m = pattern
    scores = data.draw(arrays(np.float64, (rows, groups * m), elements=few))
    mask = n_of_m({"w": torch.tensor(scores)}, n, m)["w"].numpy().reshape(rows * groups, m)
    assert (mask.sum(1) == n).all()
    for chosen, four in zip(mask, scores.reshape(-1, m), strict=True):
        np.testing.assert_array_equal(np.sort(four[chosen]), np.sort(four)[m - n :])


def test_two_four_is_what_the_kernel_takes():
    scores = torch.rand(5, 16, generator=torch.Generator().manual_seed(0))
    to_two_four((scores * n_of_m({"w": scores}, 2, 4)["w"]).numpy())


def test_rows_of_a_convolution_are_flattened_and_uneven_ones_named():
    assert n_of_m({"conv": torch.rand(3, 4, 5, 5)}, 2, 4)["conv"].shape == (3, 4, 5, 5)
    with pytest.raises(ValueError, match="multiple of 4 weights; 'conv1' has 25"):
        n_of_m({"conv1": torch.rand(3, 1, 5, 5)}, 2, 4)


@settings(max_examples=60, deadline=None)
@given(matrices, st.floats(0, 1))
def test_blocks_go_whole_and_the_least_first(scores, sparsity):
    mask = blocks({"w": torch.tensor(scores)}, sparsity)["w"].numpy()
    gone, kept = [], []
    for top in range(0, len(scores), 8):
        for column in range(scores.shape[1]):
            block = mask[top : top + 8, column]
            assert block.all() or not block.any()
            (kept if block.all() else gone).append(scores[top : top + 8, column].mean())
    assert not gone or not kept or max(gone) <= min(kept) + 1e-12
    last_is_short = len(scores) % 8 > 0
    assert abs((~mask).sum() - sparsity * scores.size) <= (8 if last_is_short else 4) + 1e-9


def test_blocks_are_those_of_the_kernel():
    scores = torch.rand(24, 10, generator=torch.Generator().manual_seed(0))
    masked = scores * blocks({"w": scores}, 0.9)["w"]
    assert (masked == 0).sum() == 216
    assert len(to_blocks(masked.numpy())[0]) == 3


def test_what_is_zero_already_goes_first():
    gone = torch.full((8, 3), -torch.inf)
    gone[:, 1] = torch.tensor([0.1] + 7 * [-torch.inf])
    assert blocks({"w": gone}, 2 / 3)["w"][:, 1].all()
    empty = torch.zeros(8, 3)
    empty[:, 2] = -torch.inf
    assert not blocks({"w": empty}, 1 / 3)["w"][:, 2].any()
    assert single({"w": gone}, 23 / 24)["w"].nonzero().tolist() == [[0, 1]]


def test_patterns_are_read():
    assert read_pattern("2:4") == ("n:m", 2, 4)
    assert read_pattern("block") == ("block", 0, 0)
    for bad in ("4:2", "0:4", "2:4 ", "rows", "2-4", None):
        with pytest.raises(ValueError, match="'single', 'block', or 'n:m'"):
            read_pattern(bad)
