"""Reductions of infinite, missing and badly scaled numbers."""

import numpy as np
import pytest

from coursekit.kernels import cpu, reference
from coursekit.kernels.ops import OPS

INF, NAN = np.inf, np.nan
LOG_SUM_EXP = [*cpu.rungs("log_sum_exp").values(), reference.log_sum_exp]
REDUCE = [*cpu.rungs("reduce").values(), reference.reduce]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("N", [3, 8, 21, 64])
@pytest.mark.parametrize("function", LOG_SUM_EXP)
def test_log_sum_exp_of_large_numbers(function, N, dtype):
    x = np.random.default_rng(0).standard_normal((6, N)).astype(dtype)
    x[1] += 1e4
    x[2] -= 1e4
    x[3, 0] = 1e4
    x[4, -1] = -1e4
    x[5] *= 1e30
    got = function(x)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, OPS["log_sum_exp"].reference(x), rtol=1e-6)


@pytest.mark.parametrize("N", [1, 3, 8, 21, 64])
@pytest.mark.parametrize("function", LOG_SUM_EXP)
def test_log_sum_exp_of_infinite_numbers(function, N):
    x = np.zeros((6, N), np.float32)
    x[0] = -INF
    x[1, N // 2] = -INF
    x[2, N // 2] = INF
    x[3, N // 2] = NAN
    x[4] = NAN
    x[5] = INF
    wanted = [-INF, np.log(N - 1) if N > 1 else -INF, INF, NAN, NAN, INF]
    np.testing.assert_allclose(function(x), np.float32(wanted), rtol=1e-6)


@pytest.mark.parametrize("N", [1, 3, 8, 21, 64, 100])
@pytest.mark.parametrize("function", REDUCE)
def test_a_maximum_with_nan_is_nan(function, N):
    for where in range(N):
        x = np.arange(2 * N, dtype=np.float32).reshape(2, N)
        x[0, where] = NAN
        np.testing.assert_array_equal(function(x, by="max"), [NAN, 2 * N - 1])


@pytest.mark.parametrize("function", REDUCE)
def test_maxima_of_infinite_numbers(function):
    x = np.float32([[-INF] * 9, [INF] * 9, [-INF] * 8 + [3], [-5] * 9])
    np.testing.assert_array_equal(function(x, by="max"), [-INF, INF, 3, -5])


def test_the_error_of_a_long_sum_stays_small():
    x = np.random.default_rng(1).random(2**22, np.float32)
    wanted = x.sum(dtype=np.float64)
    assert abs(cpu.reduce(x) - wanted) <= 1e-6 * wanted
    assert abs(cpu.reduce_textbook(x) - wanted) > 1e-5 * wanted


@pytest.mark.parametrize("by", ["sum", "mean", "max"])
def test_the_same_bits_for_any_number_of_threads(by):
    x = np.random.default_rng(2).standard_normal((301, 1001), np.float32)
    once = cpu.reduce(x, by=by)
    cpu.set_num_threads(3)
    try:
        np.testing.assert_array_equal(cpu.reduce(x, by=by), once)
    finally:
        cpu.set_num_threads(1)
