"""Integer layers at the ends of their range: ties, saturation, wrap-around, threads, other instructions."""

import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coursekit.kernels import cpu, reference
from coursekit.kernels.ops import OPS

VERSIONS = [f for k in (reference, cpu) for f in k.rungs("requantize").values()]
int32 = st.integers(-(2**31), 2**31 - 1)


def exact(x, multiplier, shift, zero, low, high):
    """By fractions: the nearest, halves away from zero."""
    size = Fraction(abs(x) * multiplier, 2**shift)
    steps = int(size + Fraction(1, 2))
    return min(max((steps if x >= 0 else -steps) + zero, low), high)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(int32, st.integers(0, 2**31 - 1), st.integers(33, 62)), min_size=1, max_size=20))
def test_requantisation_is_exact(columns):
    x, multiplier, shift = (np.array(c, np.int32) for c in zip(*columns, strict=True))
    wanted = [exact(*column, -3, -128, 127) for column in columns]
    for function in VERSIONS:
        got = function(x[None], np.zeros_like(x), multiplier, shift, zero=-3)
        np.testing.assert_array_equal(got[0], wanted)


@pytest.mark.parametrize("function", VERSIONS)
def test_halves_go_away_from_zero(function):
    """x · 2³⁰ / 2³³ is x / 8: every fourth is a tie."""
    x = np.arange(-400, 401, dtype=np.int32)
    how = (np.zeros_like(x), np.full_like(x, 2**30), np.full_like(x, 33))
    away = np.sign(x) * ((np.abs(x) + 4) // 8)
    np.testing.assert_array_equal(function(x[None], *how)[0], away)
    assert away[x == 4] == 1 and away[x == -4] == -1 and away[x == -12] == -2


@pytest.mark.parametrize("function", VERSIONS)
def test_a_bias_wraps_around_as_int32_does(function):
    x, bias = np.array([[2**31 - 1]], np.int32), np.ones(1, np.int32)
    got = function(x, bias, np.full(1, 2**30, np.int32), np.full(1, 56, np.int32), low=-127)
    assert got == [[-32]]


@pytest.mark.parametrize(
    "name", ["int8_linear", "int8_conv2d", "int8_max_pool2d", "quantize_int8", "requantize"]
)
def test_any_number_of_threads_gives_the_same_bits(name):
    op, case = OPS[name], OPS[name].cases_for("benchmark")[0]
    arrays = op.draw(np.random.default_rng(3), case.sizes, **case.options)
    wanted = getattr(cpu, name)(*arrays, **case.options)
    try:
        for number in (2, 3):
            cpu.set_num_threads(number)
            np.testing.assert_array_equal(getattr(cpu, name)(*arrays, **case.options), wanted)
    finally:
        cpu.set_num_threads(1)


@pytest.mark.parametrize("backend", [reference, cpu])
def test_what_is_no_number_and_what_is_too_large(backend):
    x = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, 0.5, 1.5, -0.5], np.float32)
    for function in backend.rungs("quantize_int8").values():
        np.testing.assert_array_equal(function(x), [-128, 127, -128, 127, -128, 0, 2, 0])


@pytest.mark.parametrize("backend", [reference, cpu])
def test_wrong_options_are_named(backend):
    x, n = np.zeros((2, 3), np.int32), np.zeros(3, np.int32)
    with pytest.raises(ValueError, match="requantize: low must be high or less; got 5 and 4"):
        backend.requantize(x, n, n, n + 33, low=5, high=4)
    with pytest.raises(ValueError, match="requantize: zero must be from -128 to 127; got 128"):
        backend.requantize(x, n, n, n + 33, zero=128)
    with pytest.raises(ValueError, match="quantize_int8: scale must be positive and finite; got 0"):
        backend.quantize_int8(np.zeros(3, np.float32), scale=0.0)
    image, panels = np.zeros((1, 4, 4, 2), np.int8), np.zeros((1, 9, 16, 4), np.int8)
    with pytest.raises(ValueError, match=r"int8_conv2d: panels must have shape .* = \(1, 6, 16, 4\)"):
        backend.int8_conv2d(image, panels, n, n, n + 33, taps=(3, 3))
    with pytest.raises(
        ValueError, match="int8_conv2d: filters of 5 x 3 taps must fit into x of 4 x 4 pixels"
    ):
        backend.int8_conv2d(image, panels, n, n, n + 33, taps=(5, 3))
    with pytest.raises(
        ValueError, match="int8_max_pool2d: padding must be half of kernel_size 2 or less; got 2"
    ):
        backend.int8_max_pool2d(image, padding=2)


AS_WITH_VNNI = """
from coursekit.kernels.cpu import simd_integers
simd_integers.HAS_FOURS = True
import importlib, sys
for name in [n for n in sys.modules if n.startswith("coursekit.kernels.cpu") and not n.endswith(("simd", "integers"))]:
    del sys.modules[name]
import numpy as np
from coursekit.kernels.ops import OPS
cpu = importlib.import_module("coursekit.kernels.cpu")
assert sys.modules["coursekit.kernels.cpu.int8_linear"].WIDE
for name in ("int8_linear", "int8_conv2d"):
    op = OPS[name]
    for case in op.cases_for("test"):
        arrays = op.draw(np.random.default_rng(1), case.sizes, **case.options)
        got = getattr(cpu, name)(*arrays, **case.options)
        np.testing.assert_array_equal(got, op.reference(*arrays, **case.options))
"""


@pytest.mark.slow
def test_the_way_of_machines_with_vnni(tmp_path):
    """With that instruction done step by step where it is missing."""
    run = [sys.executable, "-c", AS_WITH_VNNI]
    subprocess.run(run, env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}, check=True)
