"""Norms where digits cancel: large means, tiny deviations, equal numbers, outliers."""

import numpy as np
import pytest

from coursekit.kernels import cpu
from coursekit.kernels.ops import OPS

NORMS = [f for name in ("layer_norm", "add_layer_norm") for f in cpu.rungs(name).values()]


def norm_of(function, x, **options):
    """The norm alone, with a weight of 1 and no bias."""
    ones, zeros = np.ones(x.shape[-1], x.dtype), np.zeros(x.shape[-1], x.dtype)
    if "add" in function.__name__:
        total, norm = function(x, np.zeros_like(x), ones, zeros, **options)
        np.testing.assert_array_equal(total, x)
        return norm
    return function(x, ones, zeros, **options)


def wanted(x, **options):
    return OPS["layer_norm"].reference(x, np.ones(x.shape[-1]), np.zeros(x.shape[-1]), **options)


@pytest.mark.parametrize("N", [5, 64, 129, 1024])
@pytest.mark.parametrize(("mean", "deviation"), [(1e4, 1e-2), (-1e4, 1), (1e6, 1), (300, 1e-3)])
@pytest.mark.parametrize("function", NORMS)
def test_a_large_mean_does_not_cancel(function, mean, deviation, N):
    x = (mean + deviation * np.random.default_rng(0).standard_normal((7, N))).astype(np.float32)
    options = {"eps": 1e-12}
    np.testing.assert_allclose(norm_of(function, x, **options), wanted(x, **options), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("where", [0, 63, 99])
@pytest.mark.parametrize("function", NORMS)
def test_an_outlier_hides_nothing(function, where):
    x = np.random.default_rng(1).standard_normal((3, 100)).astype(np.float32)
    x[1, where] = 1e6
    np.testing.assert_allclose(norm_of(function, x), wanted(x), rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("value", [0, 1, 0.1, 1e4, -3e8])
@pytest.mark.parametrize("function", NORMS)
def test_equal_numbers_become_the_bias(function, value):
    x = np.full((2, 100), value, np.float32)
    np.testing.assert_allclose(norm_of(function, x), 0, atol=1e-6)


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("function", NORMS)
def test_a_bad_number_spoils_its_row_and_no_other(function, bad):
    x = np.random.default_rng(2).standard_normal((3, 21)).astype(np.float32)
    x[1, 20] = bad
    got = norm_of(function, x)
    assert np.isnan(got[1]).any()
    np.testing.assert_allclose(got[::2], wanted(x[::2]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("function", cpu.rungs("rms_norm").values())
def test_rms_norm_of_small_and_large_numbers(function):
    x = np.random.default_rng(3).standard_normal((2, 50)).astype(np.float32) * np.float32([[1e-6], [1e17]])
    ones = np.ones(50, np.float32)
    np.testing.assert_allclose(function(x, ones), OPS["rms_norm"].reference(x, ones), rtol=1e-5)


@pytest.mark.parametrize("name", ["layer_norm", "add_layer_norm", "rms_norm"])
def test_eps(name):
    arrays = OPS[name].draw(np.random.default_rng(4), {"...": (2,), "N": 3})
    with pytest.raises(ValueError, match=f"{name}: eps must be 0 or more; got -1.0"):
        getattr(cpu, name)(*arrays, eps=-1.0)
    with pytest.raises(TypeError, match="eps must be of type float"):
        getattr(cpu, name)(*arrays, eps="small")
