"""Counts and code books: borders of bins and cells, nan and infinities, empty clusters, threads, and other programs."""

import numpy as np
import pytest
import torch

from coursekit.kernels import cpu, reference
from coursekit.kernels.ops import OPS

COUNT = pytest.mark.parametrize("count", [*cpu.rungs("histogram").values(), reference.histogram])
STEP = pytest.mark.parametrize("step", [*cpu.rungs("kmeans_step").values(), reference.kmeans_step])
INF, NAN = np.inf, np.nan


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@COUNT
def test_borders_belong_to_the_upper_bin_and_the_last_to_the_last(count, dtype):
    x = np.array([0, 0.25, 0.5, 0.75, 1, 1, -0.0], dtype)
    assert count(x, bins=4).tolist() == [2, 1, 1, 3]


@COUNT
def test_what_lies_outside_is_counted_nowhere(count):
    x = np.float32([NAN, INF, -INF, 1e38, -1e38, np.nextafter(np.float32(1), 2), -1e-45, 0.5] * 9)
    assert count(x, bins=2).tolist() == [0, 9]


@COUNT
def test_counts_are_those_of_numpy_away_from_borders(count):
    x = (np.random.default_rng(0).integers(-30, 130, 5000) + 0.5) / 100
    wanted, _ = np.histogram(x, 20, (0, 1))
    np.testing.assert_array_equal(count(x, bins=20), wanted)
    np.testing.assert_array_equal(count(x.astype(np.float32), bins=20), wanted)


@COUNT
def test_many_numbers_in_one_bin(count):
    assert count(np.full(10_001, 0.3, np.float32), bins=10).tolist() == [0, 0, 0, 10_001] + 6 * [0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bins": 0}, "bins must be 1 to 65536"),
        ({"low": 1.0}, "low must be below high"),
        ({"high": NAN}, "high must be finite"),
        ({"high": 1e-44}, "low and high must leave room"),
    ],
)
@COUNT
def test_wrong_ranges(count, options, words):
    with pytest.raises(ValueError, match=f"histogram: {words}"):
        count(np.ones(3, np.float32), **options)


@STEP
def test_centres_in_any_order_and_an_empty_cluster(step):
    x = np.float32([-1, 9, 10, 11, 1, 100, 5, NAN, -0.0])
    assignment, centres = step(x, np.float32([10, 0, -70, 200]))
    # 5 lies on the border, and goes up.
    assert assignment.tolist() == [1, 0, 0, 0, 1, 0, 0, -1, 1]
    np.testing.assert_allclose(centres, [27, 0, -70, 200], rtol=1e-6)


@STEP
def test_equal_centres_share_what_is_below_and_above(step):
    assignment, centres = step(np.float32([1, 2, 9]), np.float32([2, 2, 9]))
    assert assignment.tolist() == [0, 1, 2]
    assert centres.tolist() == [1, 2, 9]


@STEP
def test_each_number_goes_to_the_nearest(step):
    rng = np.random.default_rng(1)
    x, centres = rng.standard_normal(3000), rng.standard_normal(40)
    assignment, means = step(x, centres)
    np.testing.assert_array_equal(assignment, abs(x[:, None] - centres).argmin(1))
    old = ((x - centres[assignment]) ** 2).sum()
    assert ((x - means[assignment]) ** 2).sum() < old


@STEP
def test_there_must_be_a_centre(step):
    with pytest.raises(ValueError, match="kmeans_step: centres must have an element at least"):
        step(np.ones(3, np.float32), np.empty(0, np.float32))


def test_more_centres_than_are_compared_one_by_one():
    arrays = OPS["kmeans_step"].draw(np.random.default_rng(2), {"N": 500, "C": 1500})
    for got, wanted in zip(cpu.kmeans_step(*arrays), OPS["kmeans_step"].reference(*arrays), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-6)


def test_steps_lead_where_those_of_scikit_learn_do():
    cluster = pytest.importorskip("sklearn.cluster")
    x = np.random.default_rng(3).standard_normal(400)
    first = np.linspace(-2, 2, 8)
    model = cluster.KMeans(8, init=first[:, None], n_init=1, max_iter=300, tol=0).fit(x[:, None])
    centres = first
    for _ in range(300):
        _, centres = cpu.kmeans_step(x, centres)
    np.testing.assert_allclose(centres, model.cluster_centers_[:, 0], rtol=1e-10)


def test_the_same_bits_for_any_number_of_threads():
    x = torch.randn(300_000, generator=torch.Generator().manual_seed(4))
    centres = torch.linspace(-2, 2, 16)
    once = (cpu.histogram(x, low=-3.0, high=3.0), *cpu.kmeans_step(x, centres))
    cpu.set_num_threads(3)
    try:
        again = (cpu.histogram(x, low=-3.0, high=3.0), *cpu.kmeans_step(x, centres))
    finally:
        cpu.set_num_threads(1)
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))
