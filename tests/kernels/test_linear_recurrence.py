"""The linear recurrence: chunks and vectors that end anywhere, threads, factors of size 1, above 1 and 0."""

import numpy as np
import pytest

from coursekit.kernels import cpu, reference
from coursekit.kernels.cpu.linear_recurrence import CHUNK
from coursekit.kernels.ops import OPS

from .agreement import assert_agrees

OP = OPS["linear_recurrence"]
FUNCTIONS = [*cpu.rungs(OP.name).values(), reference.linear_recurrence]
functions = pytest.mark.parametrize(
    "function", FUNCTIONS, ids=[f"{f.__module__}.{f.__name__}" for f in FUNCTIONS]
)
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def draw(N, T, dtype="float64", seed=0):
    return OP.draw(np.random.default_rng(seed), {"N": N, "T": T}, dtype)


@dtypes
@functions
def test_where_vectors_and_chunks_end(function, dtype):
    for T in (1, 7, 8, 9, 16, 17, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 19):
        arrays = draw(2, T, dtype)
        assert_agrees(OP, function(*arrays), arrays, {}, dtype)


@functions
def test_a_first_state_that_is_left_out_is_zero(function):
    a, b, _ = draw(3, 2 * CHUNK + 5)
    assert_agrees(OP, function(a, b), (a, b), {}, "float64")


@dtypes
@pytest.mark.parametrize("rows", [1, 3])
def test_threads_leave_the_bits_alone(rows, dtype):
    arrays = draw(rows, 7 * CHUNK + 100, dtype)
    once = cpu.linear_recurrence(*arrays)
    try:
        for threads in (2, 3, 8):
            cpu.set_num_threads(threads)
            np.testing.assert_array_equal(cpu.linear_recurrence(*arrays), once)
    finally:
        cpu.set_num_threads(1)


@functions
def test_factors_of_one_make_a_running_sum(function):
    _, b, h0 = draw(2, 3 * CHUNK)
    wanted = h0[:, None] + np.cumsum(b, 1)
    np.testing.assert_allclose(function(np.ones_like(b), b, h0), wanted, rtol=1e-10, atol=1e-10)


@functions
def test_a_factor_of_zero_forgets_all(function):
    a, b, h0 = draw(1, 2 * CHUNK)
    a[0, CHUNK + 3] = 0
    other = b.copy()
    other[0, : CHUNK + 3] += 100
    late = slice(CHUNK + 3, None)
    np.testing.assert_allclose(
        function(a, other, h0 + 7)[0, late], function(a, b, h0)[0, late], rtol=1e-12, atol=1e-12
    )


@functions
def test_growth_stays_as_exact_as_the_numbers(function):
    a, b, h0 = draw(1, 2 * CHUNK)
    a = np.full_like(a, 1.3)  # to 10²³³
    np.testing.assert_allclose(function(a, b, h0), OP.reference(a, b, h0), rtol=1e-9)


def test_a_product_that_overflows_leaves_a_zero_state_alone():
    a, b = np.full((1, 3 * CHUNK), 3.0), np.zeros((1, 3 * CHUNK))
    b[0, -1] = 5
    for threads in (1, 2):
        cpu.set_num_threads(threads)
        try:
            np.testing.assert_array_equal(cpu.linear_recurrence(a, b), b)
        finally:
            cpu.set_num_threads(1)


@functions
def test_what_comes_later_changes_nothing_before(function):
    a, b, h0 = draw(2, 2 * CHUNK + 40)
    before = function(a, b, h0)
    b[0, CHUNK + 21] = np.nan
    after = function(a, b, h0)
    np.testing.assert_array_equal(after[0, : CHUNK + 21], before[0, : CHUNK + 21])
    assert np.isnan(after[0, CHUNK + 21 :]).all()
    np.testing.assert_array_equal(after[1], before[1])
