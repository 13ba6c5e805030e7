"""The bounds that docstrings state, on inputs chosen to come near them."""

import numpy as np
import pytest

from coursekit.kernels import cpu
from coursekit.kernels.cpu import simd
from coursekit.kernels.ops import OPS

HALF = 2.0**-24
"""The rounding error of a float32 operation, relative to its result."""


@pytest.mark.parametrize(("M", "bound"), [(1, "chain"), (5, "chain"), (12, "parts"), (40, "parts")])
def test_sums_that_lose_each_small_number(M, bound):
    """1, and then what is too small to move it: one chain loses them all, sums of 256 only those of the first."""
    K = 4097
    b = np.full((K, 3), HALF, np.float32)
    b[0] = 1
    exact = 1 + (K - 1) * HALF
    error = np.abs(cpu.matmul(np.ones((M, K), np.float32), b) - exact).max()
    limit = K if bound == "chain" else 256 + K / 256
    assert error <= limit * HALF * exact
    if bound == "parts":
        assert error < K / 4 * HALF, "so the sum really is kept in parts"


@pytest.mark.parametrize("N", [2, 3, 8, 100, 3001])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("spread", [1, 10, 30])
def test_softmax_is_as_exact_as_it_says(N, axis, spread):
    rng = np.random.default_rng(N)
    x = (spread * rng.standard_normal((300, N))).astype(np.float32)
    x = x if axis else np.ascontiguousarray(x.T)
    wanted = OPS["softmax"].reference(x, axis)
    error = np.abs(cpu.softmax(x, axis=axis) - wanted) / wanted
    parts = simd.LANES if axis else 1
    assert error[wanted > 1e-13].max() <= (N / parts + 40) * HALF


@pytest.mark.parametrize("N", [1, 7, 1000])
def test_log_sum_exp_is_as_exact_as_it_says(N):
    x = np.random.default_rng(N).uniform(-20, 20, (300, N)).astype(np.float32)
    wanted = OPS["log_sum_exp"].reference(x)
    error = np.abs(cpu.log_sum_exp(x) - wanted)
    assert (error <= (N / simd.LANES + 40) * HALF + np.abs(wanted) * HALF).all()


@pytest.mark.parametrize("M", [1, 4, 30])
def test_a_layer_is_one_sum_from_the_bias_on(M):
    K, N = 2000, 20
    rng = np.random.default_rng(M)
    x, weight = rng.standard_normal((M, K)).astype(np.float32), rng.standard_normal((N, K)).astype(np.float32)
    bias = rng.standard_normal(N).astype(np.float32)
    got = cpu.linear_packed(x, cpu.pack_linear(weight), bias)
    exact = np.float64(x) @ np.float64(weight).T + bias
    sizes = np.abs(np.float64(x)) @ np.abs(np.float64(weight)).T + np.abs(bias)
    assert (np.abs(got - exact) <= (K + 1) * HALF * sizes).all()
