"""Ranges and grids: against definitions written down again in float64, and the errors that name what is wrong."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy
from torch import nn

from coursekit import compress
from coursekit.compress.quantisation import calibrate
from coursekit.compress.quantisation.affine import (
    Grid,
    grid,
    limits,
    pack_bits,
    rows_of,
    unpack_bits,
    weight_of,
)

finite = st.floats(-1e3, 1e3, width=32)


def skewed(n=4001, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.gamma(2, 1, n) - 1).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(finite, finite, st.integers(2, 8), st.booleans())
def test_zero_is_on_every_grid_and_both_ends_are_within_half_a_step(a, b, bits, symmetric):
    low, high = min(a, b), max(a, b)
    made = grid(low, high, bits, symmetric=symmetric)
    assert made.project(torch.zeros(())) == 0
    ends = torch.tensor([min(low, 0.0), max(high, 0.0)])
    assert (made.project(ends) - ends).abs().max() <= 0.501 * float(made.scale)
    least, most = limits(bits, signed=symmetric)
    assert least <= float(made.zero) <= most
    assert float(made.zero) == 0 or not symmetric


@settings(max_examples=40, deadline=None)
@given(st.lists(finite, min_size=1, max_size=30), st.integers(2, 8))
def test_inside_the_range_the_error_is_at_most_half_a_step(numbers, bits):
    x = torch.tensor(numbers)
    made = grid(float(x.min()), float(x.max()), bits)
    error = (made.project(x) - x).abs().double()
    # The zero point is rounded, so one end may lie half a step outside.
    assert (error <= 1.001 * float(made.scale)).all()
    inner = (made.quantise(x) > made.low) & (made.quantise(x) < made.high)
    assert (error[inner] <= 0.5001 * float(made.scale) + 1e-6).all()


def test_rounding_is_to_even_and_the_ends_saturate():
    made = Grid(torch.tensor(2.0), torch.tensor(0.0), -7, 7)
    assert made.quantise(torch.tensor([1.0, 3.0, -1.0, -3.0, 99.0, -99.0])).tolist() == [0, 2, 0, -2, 7, -7]


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("count", [0, 1, 7, 64, 129])
def test_bits_are_packed_without_gaps_and_come_back(bits, count):
    codes = torch.from_numpy(np.random.default_rng(bits).integers(0, 2**bits, count)).int()
    packed = pack_bits(codes, bits)
    assert len(packed) == -(-count * bits // 8)
    assert torch.equal(unpack_bits(packed, bits, count), codes)
    whole = sum(int(code) << bits * i for i, code in enumerate(codes))
    assert int.from_bytes(packed.numpy().tobytes(), "little") == whole


@pytest.mark.parametrize("shape", [(3, 5), (4, 2, 3, 3), (1, 64), (0, 5), (2, 130)])
@pytest.mark.parametrize("granularity", ["tensor", "channel", "group"])
def test_rows_join_to_the_weight_again(shape, granularity):
    weight = torch.randn(shape)
    assert torch.equal(weight_of(rows_of(weight, granularity, 4), shape), weight)


def test_a_group_is_of_neighbours_in_one_channel():
    rows = rows_of(torch.arange(10.0).reshape(2, 5), "group", 3)
    assert rows.tolist() == [[0, 1, 2], [3, 4, 0], [5, 6, 7], [8, 9, 0]]


def test_ranges_by_their_definitions():
    x = skewed()
    assert calibrate.find_range(x) == (float(x.min()), float(x.max()))
    low, high = np.quantile(x.astype(np.float64), [0.01, 0.99])
    assert calibrate.find_range(x, "percentile", percentile=99) == pytest.approx((low, high), rel=1e-6)
    mean, deviation = x.mean(dtype=np.float64), x.std(dtype=np.float64)
    want = max(mean - 2 * deviation, float(x.min())), mean + 2 * deviation
    assert calibrate.find_range(x, "std", k=2) == pytest.approx(want, rel=1e-5)
    assert calibrate.find_range(x, "std", k=100) == (float(x.min()), float(x.max()))


def squared_error(x, low, high, bits, symmetric):
    """In float64, from the definition."""
    x = x.astype(np.float64)
    if symmetric:
        most = 2 ** (bits - 1) - 1
        scale = max(-low, high) / most
        return np.mean((np.clip(np.rint(x / scale), -most, most) * scale - x) ** 2)
    scale = (high - low) / (2**bits - 1)
    zero = np.rint(-low / scale)
    return np.mean(((np.clip(np.rint(x / scale) + zero, 0, 2**bits - 1) - zero) * scale - x) ** 2)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_no_other_share_of_the_range_has_a_smaller_squared_error(bits, symmetric):
    x = skewed()
    low, high = calibrate.find_range(x, "mse", bits=bits, symmetric=symmetric)
    found = squared_error(x, low, high, bits, symmetric)
    ends = float(x.min()), float(x.max())
    others = [squared_error(x, s * ends[0], s * ends[1], bits, symmetric) for s in np.linspace(0.1, 1, 46)]
    assert found <= min(others) * 1.001
    assert bits == 8 or found < 0.9 * others[-1]


def test_each_row_has_a_range_of_its_own():
    rows = torch.from_numpy(skewed(300).reshape(3, 100)) * torch.tensor([[1.0], [10.0], [0.1]])
    for method in calibrate.METHODS:
        low, high = calibrate.find_ranges(rows, method, bits=4)
        each = [calibrate.find_range(row, method, bits=4) for row in rows]
        assert torch.allclose(torch.stack([low, high], 1), torch.tensor(each))


def divergence(counts, kept, levels):
    """Migacz 2017 written down as loops, with SciPy's divergence."""
    p = np.array(counts[:kept], float)
    q = np.zeros(kept)
    for level in range(levels):
        first, last = level * kept // levels, (level + 1) * kept // levels
        filled = [i for i in range(first, last) if p[i] > 0]
        for i in filled:
            q[i] = p[first:last].sum() / len(filled)
    p[-1] += counts[kept:].sum()
    return entropy(p, q) if q.any() else np.inf


@pytest.mark.parametrize("kept", [8, 9, 17, 31, 64])
def test_the_divergence_is_that_of_the_definition(kept):
    counts = np.random.default_rng(0).poisson(np.geomspace(30, 0.2, 64))
    got, want = calibrate.divergence(counts, kept, 8), divergence(counts, kept, 8)
    assert got == pytest.approx(want, rel=1e-9)


def test_entropy_clips_a_tail_and_leaves_what_is_even_alone():
    rng = np.random.default_rng(0)
    tail = np.append(np.abs(rng.normal(size=50_000)), [40.0]).astype(np.float32)
    assert calibrate.find_range(tail, "entropy", bits=4)[1] < 20
    even = rng.uniform(0, 1, 50_000).astype(np.float32)
    assert calibrate.find_range(even, "entropy", bits=8)[1] > 0.95
    assert calibrate.find_range(np.zeros(3, np.float32), "entropy") == (0, 0)
    assert calibrate.find_range(np.float32([3]), "entropy")[1] <= 3


@pytest.mark.parametrize(
    "x, method, options, error, words",
    [
        ([], "minmax", {}, ValueError, "no numbers"),
        ([1.0, np.nan], "mse", {}, ValueError, "NaN"),
        ([1.0, np.inf], "minmax", {}, ValueError, "infinity"),
        ([1, 2], "minmax", {}, TypeError, "int64"),
        ([1.0], "median", {}, ValueError, "median"),
        ([1.0], "percentile", {"percentile": 10}, ValueError, "percentile"),
        ([1.0], "std", {"k": 0}, ValueError, "k must"),
        ([1.0], "mse", {"bits": 1}, ValueError, "bits"),
        ([1.0], "mse", {"bits": 2.5}, ValueError, "bits"),
    ],
)
def test_wrong_arguments_are_named(x, method, options, error, words):
    with pytest.raises(error, match=words):
        compress.find_range(torch.tensor(x) if x else torch.empty(0), method, **options)


def test_a_range_upside_down_or_infinite_is_refused():
    with pytest.raises(ValueError, match="above high"):
        grid(1.0, -1.0)
    with pytest.raises(ValueError, match="finite"):
        grid(0.0, float("inf"))


def test_what_layers_see_and_the_mode_put_back():
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 2)).train()
    model[1].eval()
    data = np.random.default_rng(0).normal(size=(600, 3)).astype(np.float32)
    seen = calibrate.observe(model, data, ["0", "2"])
    assert torch.equal(seen["0"], torch.from_numpy(data).reshape(-1))
    assert torch.allclose(seen["2"], model[0](torch.from_numpy(data)).reshape(-1))
    made = calibrate.observe(model, data, ["0"], outputs=True)
    assert torch.allclose(made["0"], seen["2"])
    assert [part.training for part in model] == [True, False, True]
    assert not model[0]._forward_hooks


def test_of_many_numbers_the_ends_are_kept(monkeypatch):
    monkeypatch.setattr(calibrate, "MOST", 50)
    data = torch.randn(501, 1)
    seen = calibrate.observe(nn.Identity(), data, [""])[""]
    assert len(seen) <= 52
    assert (seen.min(), seen.max()) == (data.min(), data.max())


@pytest.mark.parametrize(
    "data, words", [(np.empty((0, 3)), "empty"), (None, "needs data"), ([[np.nan]], "NaN")]
)
def test_calibration_data_that_cannot_be_used(data, words):
    with pytest.raises(ValueError, match=words):
        calibrate.observe(nn.Identity(), data)
