"""Activations and the chain at infinite, missing, huge and tiny numbers; the distribution function inside GELU."""

import numpy as np
import pytest
from numba import njit
from scipy.special import ndtr

from coursekit.kernels import cpu
from coursekit.kernels.cpu import simd, vector_math
from coursekit.kernels.ops import OPS

from .agreement import assert_agrees

INF, NAN = np.inf, np.nan
EXTREME = np.float32([INF, NAN, 1e20, -1e20, 88, -88, 30, -30, 5.2, -5.2, 1e-30, -1e-30, 0, -0.0, 1, -1, 3])


@pytest.mark.parametrize("function", [*cpu.rungs("bias_relu").values(), *cpu.rungs("bias_silu").values()])
def test_extreme_numbers(function):
    name = function.__name__.removesuffix("_textbook").removesuffix("_fused")
    arrays = (EXTREME, np.zeros_like(EXTREME))
    assert_agrees(OPS[name], function(*arrays), arrays, {}, "float32")


@pytest.mark.parametrize("function", cpu.rungs("bias_relu").values())
def test_relu_of_infinite_numbers(function):
    x = np.float32([-INF, INF, NAN, -1, 2] * 3)
    np.testing.assert_array_equal(function(x, np.zeros_like(x)), [0, INF, NAN, 0, 2] * 3)


@pytest.mark.parametrize("limit", [0.0, 1.0, 1e30])
@pytest.mark.parametrize("function", cpu.rungs("scale_shift_gelu_scale_shift_clip").values())
def test_the_chain_clips(function, limit):
    op = OPS["scale_shift_gelu_scale_shift_clip"]
    arrays = op.draw(np.random.default_rng(0), {"...": (9,), "N": 19})
    assert_agrees(op, function(*arrays, limit=limit), arrays, {"limit": limit}, "float32")


def evaluate(function, x):
    @njit(error_model="numpy")
    def run(x, out):
        for i in range(0, x.size, simd.width(x)):
            simd.store(out, i, function(simd.load(x, i)))

    out = np.empty_like(x)
    run(x, out)
    return out


def test_the_distribution_function():
    x = np.linspace(-7, 7, 2**17, dtype=np.float32)
    got = evaluate(vector_math.normal_cdf, x)
    cdf = ndtr(x.astype(np.float64))
    true = x * cdf
    assert np.abs(got - cdf).max() < 4e-7
    assert (np.abs(x * got - true) - 1e-6 * np.abs(true)).max() < 1.7e-6
    assert (got[x <= -5.2] == 0).all()
    assert np.isnan(evaluate(vector_math.normal_cdf, np.full(16, NAN, np.float32))).all()


def test_exp_below_zero():
    x = np.linspace(-100, 0, 2**17, dtype=np.float32)
    got, true = evaluate(vector_math.exp_below, x), np.exp(x.astype(np.float64))
    error = np.abs(got / true - 1)
    assert error[x > -30].max() < 1e-6 * (1 if "fma" in simd.FEATURES else 4)
    assert error[x > -87.3].max() < 1e-5
    assert (got[x < -87.7] == 0).all()
    assert got[-1] == 1
    special = evaluate(vector_math.exp_below, np.float32([-INF, NAN, -0.0, 0] * 4))
    np.testing.assert_array_equal(special, [0, NAN, 1, 1] * 4)
