"""The vector layer against NumPy, lane by lane, and the accuracy of exp, tanh and erf over all of float32."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numba import njit
from numba.core.errors import TypingError

from coursekit.kernels.cpu import bit_vectors, simd, simd_integers, simd_squares, vector_math
from coursekit.kernels.ops import OPS

FLOATS, INTEGERS = ("float32", "float64"), ("int32", "int64")


def lanewise(function):
    """``function`` of the vectors of two arrays, written to a third."""

    @njit(error_model="numpy")
    def run(x, y, out):
        n = simd.width(x)
        whole = x.size // n * n
        for i in range(0, whole, n):
            simd.store(out, i, function(simd.load(x, i), simd.load(y, i)))
        rest = x.size - whole
        fill = simd.broadcast(x[0])
        last = function(simd.load_first(x, whole, rest, fill), simd.load_first(y, whole, rest, fill))
        simd.store_first(out, whole, last, rest)

    return run


OPERATIONS = {
    "add": (lambda x, y: x + y, np.add, FLOATS + INTEGERS),
    "sub": (lambda x, y: x - y, np.subtract, FLOATS + INTEGERS),
    "mul": (lambda x, y: x * y, np.multiply, FLOATS + INTEGERS),
    "div": (lambda x, y: x / y, np.divide, FLOATS),
    "and": (lambda x, y: x & y, np.bitwise_and, INTEGERS),
    "or": (lambda x, y: x | y, np.bitwise_or, INTEGERS),
    "xor": (lambda x, y: x ^ y, np.bitwise_xor, INTEGERS),
    "maximum": (lambda x, y: simd.maximum(x, y), lambda x, y: np.where(x > y, x, y), FLOATS + INTEGERS),
    "minimum": (lambda x, y: simd.minimum(x, y), lambda x, y: np.where(x < y, x, y), FLOATS + INTEGERS),
    "copysign": (lambda x, y: simd.copysign(x, y), np.copysign, FLOATS),
    "sqrt": (lambda x, y: simd.sqrt(x), lambda x, y: np.sqrt(x), FLOATS),
    "absolute": (lambda x, y: simd.absolute(x), lambda x, y: np.abs(x), FLOATS),
    "less": (lambda x, y: simd.select(x < y, x, y), np.minimum, INTEGERS),
    "at most": (lambda x, y: simd.select(x <= y, y, x), np.maximum, INTEGERS),
    "greater": (
        lambda x, y: simd.select(x > y, x + x, y),
        lambda x, y: np.where(x > y, x + x, y),
        FLOATS + INTEGERS,
    ),
    "at least": (
        lambda x, y: simd.select(x >= y, x, y + y),
        lambda x, y: np.where(x >= y, x, y + y),
        FLOATS + INTEGERS,
    ),
    "equal": (
        lambda x, y: simd.select(x == y, x + x, y),
        lambda x, y: np.where(x == y, x + x, y),
        FLOATS + INTEGERS,
    ),
    "unequal": (
        lambda x, y: simd.select(x != y, x, y + y),
        lambda x, y: np.where(x != y, x, y + y),
        FLOATS + INTEGERS,
    ),
    "bits": (lambda x, y: simd.bits(simd.bits(x)), lambda x, y: x, FLOATS + INTEGERS),
}
RUNS = {name: lanewise(njit(function)) for name, (function, *_) in OPERATIONS.items()}


@pytest.mark.parametrize(("name", "dtype"), [(name, t) for name, (*_, ts) in OPERATIONS.items() for t in ts])
@settings(max_examples=30, deadline=None, derandomize=True)
@given(data=st.data())
def test_lane_by_lane(name, dtype, data):
    size = data.draw(st.integers(1, 40))
    x, y = (data.draw(hnp.arrays(dtype, size)) for _ in range(2))
    guarded = np.full(size + 2, 7, dtype)
    with np.errstate(all="ignore"):
        RUNS[name](x, y, guarded[1:-1])
        wanted = OPERATIONS[name][1](x, y)
    np.testing.assert_array_equal(guarded[1:-1], wanted)
    assert guarded[0] == guarded[-1] == 7


evens = njit(lambda x, out: simd.store(out, 0, simd.evens(simd.load(x, 0), simd.load(x, simd.width(x)))))


@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
def test_every_other_lane(dtype):
    lanes = simd.BYTES // np.dtype(dtype).itemsize
    out = np.empty(lanes, dtype)
    evens(np.arange(2 * lanes, dtype=dtype), out)
    np.testing.assert_array_equal(out, np.arange(0, 2 * lanes, 2))


@njit
def in_turns(x, y, out):
    a, b = simd.load(x, 0), simd.load(y, 0)
    simd.store(out, 0, simd.interleave_first(a, b))
    simd.store(out, simd.width(x), simd.interleave_last(a, b))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8"])
def test_two_vectors_in_turns(dtype):
    lanes = simd.BYTES // np.dtype(dtype).itemsize
    out = np.empty(2 * lanes, dtype)
    in_turns(np.arange(0, 2 * lanes, 2, dtype=dtype), np.arange(1, 2 * lanes, 2, dtype=dtype), out)
    np.testing.assert_array_equal(out, np.arange(2 * lanes))


@njit
def shifted(x, out):
    three = simd.broadcast(np.int32(3))
    simd.store(out, 0, (simd.load(x, 0) << three) >> three)


def test_a_shift_to_the_right_keeps_the_sign():
    x = np.arange(-(2**28) + 1, -(2**28) + 17, dtype=np.int32)
    out = np.empty_like(x)
    shifted(x, out)
    np.testing.assert_array_equal(out[: simd.LANES], x[: simd.LANES])


@njit
def reduced(x):
    v = simd.load(x, 1)
    return simd.sum_across(v), simd.max_across(v), simd.min_across(v), simd.width(x)


@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
def test_reductions(dtype):
    x = np.random.default_rng(0).integers(-50, 50, 40).astype(dtype)
    *got, lanes = reduced(x)
    assert lanes == simd.BYTES // x.itemsize
    v = x[1 : 1 + lanes]
    assert got == [v.sum(), v.max(), v.min()]


@njit
def partly(x, count, out):
    simd.store(out, 0, simd.load_first(x, 2, count, simd.broadcast(x[0])))


@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
def test_lanes_that_are_not_loaded_keep_what_was_there(dtype):
    x, lanes = np.arange(40, dtype=dtype) + 5, simd.BYTES // np.dtype(dtype).itemsize
    for count in range(lanes + 1):
        out = np.empty(lanes, dtype)
        partly(x, count, out)
        np.testing.assert_array_equal(out, [*x[2 : 2 + count], *[x[0]] * (lanes - count)])


@njit
def spread(x, out):
    simd.store(out, 0, simd.fma(simd.load_one(x, 3), simd.broadcast(x[1]), simd.load(x, 0)))


@pytest.mark.parametrize("dtype", FLOATS)
def test_one_number_in_all_lanes(dtype):
    x = np.random.default_rng(0).integers(1, 99, 20).astype(dtype)
    out = np.full_like(x, -1)
    spread(x, out)
    lanes = simd.BYTES // x.itemsize
    np.testing.assert_array_equal(out[:lanes], x[3] * x[1] + x[:lanes])
    assert (out[lanes:] == -1).all()


def small(dtype, seed):
    """Numbers from the whole range, the ends among them."""
    limits = np.iinfo(dtype)
    x = np.random.default_rng(seed).integers(limits.min, limits.max, 99, dtype, endpoint=True)
    x[:8], x[8:16] = limits.min, limits.max
    return x


@njit
def in_pairs(x, y, out):
    simd.store(out, 0, simd_integers.multiply_pairs(simd.load(x, 1), simd.load(y, 1)))


def test_pairs_of_products():
    x, y, out = small("int16", 0), small("int16", 1), np.empty(40, np.int32)
    for a, b in ((x, y), (x, x), (y[::-1].copy(), x)):
        in_pairs(a, b, out)
        products = (a.astype(np.int64) * b)[1 : 1 + 2 * simd.LANES]
        np.testing.assert_array_equal(out[: simd.LANES], products.reshape(-1, 2).sum(1).astype(np.int32))


@njit
def in_fours(x, y, out):
    simd.store(out, 0, simd_integers.add_fours(simd.load(out, 0), simd.load(x, 1), simd.load(y, 1)))


def test_fours_of_products():
    x, y, out = small("int8", 2), small("int8", 3), np.full(40, 2**31 - 5, np.int32)
    start = out.astype(np.int64)[: simd.LANES]
    in_fours(x, y, out)
    products = (x.view(np.uint8).astype(np.int64) * y)[1 : 1 + 4 * simd.LANES]
    wanted = (start + products.reshape(-1, 4).sum(1)).astype(np.int32)  # some wrap around
    np.testing.assert_array_equal(out[: simd.LANES], wanted)


@njit
def widened_and_again(x, wide, out, pairs):
    simd.store(wide, 0, simd_integers.load_widened(x, 3))
    simd.store(out, 0, simd_integers.load_four(x, 5))
    simd.store(pairs, 0, simd_integers.sum_pairs(simd.load(pairs, 0), simd.load(pairs, simd.LANES)))


def test_widening_repeating_and_adding_neighbours():
    x, wide, out = small("int8", 4), np.zeros(64, np.int16), np.zeros(99, np.int8)
    pairs = np.arange(64, dtype=np.int32) ** 2
    before = pairs[: 2 * simd.LANES].copy()
    widened_and_again(x, wide, out, pairs)
    np.testing.assert_array_equal(wide[: 2 * simd.LANES], x[3 : 3 + 2 * simd.LANES])
    np.testing.assert_array_equal(out[: 4 * simd.LANES], np.tile(x[5:9], simd.LANES))
    assert not wide[2 * simd.LANES :].any() and not out[4 * simd.LANES :].any()
    np.testing.assert_array_equal(pairs[: simd.LANES], before.reshape(-1, 2).sum(1))


@njit
def bytes_as_floats(x, out):
    simd.store(out, 0, simd_integers.to_floats(simd_integers.load_bytes(x, 7)))


def test_bytes_as_floats():
    x, out = small("uint8", 6), np.zeros(40, np.float32)
    bytes_as_floats(x, out)
    np.testing.assert_array_equal(out[: simd.LANES], x[7 : 7 + simd.LANES])
    assert not out[simd.LANES :].any()


@njit
def interleaved(x, out):
    simd_integers.interleave_four(x, 2, 20, out, 3)


def test_four_rows_in_turn():
    x, out = small("int8", 5), np.zeros(70, np.int8)
    interleaved(x, out)
    np.testing.assert_array_equal(
        out[3:67], np.stack([x[2 + 20 * i : 18 + 20 * i] for i in range(4)], 1).reshape(-1)
    )
    assert not out[:3].any() and not out[67:].any()


def test_positions_count_numbers_in_memory_so_an_array_need_not_be_contiguous():
    x = np.arange(200, dtype=np.float32).reshape(10, 20)

    @njit
    def read(x, out):
        simd.store(out, 0, simd.load(x, 3))
        simd.store(out, simd.width(out), simd.load_one(x, 40))

    out = np.empty(2 * simd.LANES, np.float32)
    read(x[2:, 5:], out)
    np.testing.assert_array_equal(out, [*range(48, 48 + simd.LANES), *[85] * simd.LANES])


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: simd.store(x[::2], 0, simd.load(x, 0)),
        lambda x: simd.store(x, 0, simd.broadcast(1)),
        lambda x: simd.load(x, 0) & simd.load(x, 0),
        lambda x: simd.load(x, 0) + 1.0,
        lambda x: simd.fma(simd.load(x, 0), simd.load(x, 0), simd.bits(simd.load(x, 0))),
    ],
)
def test_what_does_not_fit_is_not_compiled(wrong):
    with pytest.raises(TypingError):
        njit(wrong)(np.ones(40, np.float32))


@njit
def bits_and_bytes(words, floats, table, index, counts, found):
    simd.store(counts, 0, bit_vectors.count_ones(simd.load(words, 0)))
    simd.store(found, 0, bit_vectors.look_up(bit_vectors.load_table(table, 3), simd.load(index, 1)))
    one = bit_vectors.count_ones(words[0])
    return one, bit_vectors.bits_of(simd.load(floats, 0) > simd.load(floats, 1))


def test_bits_and_bytes():
    rng = np.random.default_rng(0)
    words = rng.integers(0, 2**64 - 1, 20, np.uint64, endpoint=True)
    words[0] = 2**64 - 1
    floats, table = rng.standard_normal(40).astype(np.float32), rng.integers(0, 255, 30).astype(np.uint8)
    index, counts, found = (
        rng.integers(0, 16, 99).astype(np.uint8),
        np.empty_like(words),
        np.zeros(99, np.uint8),
    )
    one, mask = bits_and_bytes(words, floats, table, index, counts, found)
    lanes = simd.BYTES // 8
    assert [int(w).bit_count() for w in words[:lanes]] == counts[:lanes].tolist()
    assert one == 64
    assert [bool(mask >> i & 1) for i in range(64)] == [
        *(floats[: simd.LANES] > floats[1 : simd.LANES + 1]),
        *[False] * (64 - simd.LANES),
    ]
    np.testing.assert_array_equal(found[: simd.BYTES], table[3 + index[1 : simd.BYTES + 1]])
    assert not found[simd.BYTES :].any()


# Largest errors found over all float32, in units in the last place of the result, and where: benchmarks/accuracy.py.
ULP = {"exp": 1.011, "tanh": 1.333, "erf": 1.128}
WORST = [-59.9218788, 0.631044209, 0.889202774]
TRUE = {"exp": np.exp, "tanh": np.tanh, "erf": np.vectorize(math.erf, otypes=[np.float64])}


def evaluate(name, x):
    function, out = getattr(vector_math, name), np.full_like(x, 7)
    lanewise(njit(lambda x, y: function(x)))(x, x, out)
    return out


@pytest.mark.parametrize("name", ULP)
def test_accuracy(name):
    step = 40_009 if name == "erf" else 4_001  # math.erf takes one number at a time
    x = np.arange(0, 2**32, step, dtype=np.uint64).astype(np.uint32).view(np.float32)
    special = [
        *WORST,
        np.inf,
        -np.inf,
        np.nan,
        0.0,
        -0.0,
        1e-45,
        -1e-45,
        1.17e-38,
        88.72283,
        88.73,
        -103.97,
        -104.1,
    ]
    x = np.concatenate([x, np.linspace(-105, 90, 100_001, dtype=np.float32), np.float32(special)])
    out = evaluate(name, x)
    with np.errstate(over="ignore", invalid="ignore"):
        true = TRUE[name](x.astype(np.float64))
        wanted = true.astype(np.float32)
        error = np.abs(out - true) / np.spacing(np.abs(wanted))
    finite = np.isfinite(wanted)
    assert error[finite].max() <= ULP[name] + (0.7 if "fma" not in simd.FEATURES else 0)
    np.testing.assert_array_equal(out[~finite], wanted[~finite])
    if name != "exp":
        np.testing.assert_array_equal(np.signbit(out[x == 0]), np.signbit(x[x == 0]))


# The last is for machines with AVX-512: on one with AVX2 all other tests are that test.
SETTINGS = {
    "generic": {"NUMBA_CPU_NAME": "generic"},
    "sse": {"NUMBA_CPU_NAME": "nehalem", "NUMBA_CPU_FEATURES": "+sse,+sse2,+sse3,+ssse3,+sse4.1,+sse4.2"},
    "avx2": {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+sse4.2,+avx,+avx2,+fma,+bmi,+bmi2,+popcnt"},
}


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
def test_on_another_machines_settings(setting):
    """The vector layer, compiled for less than this machine has, and where the vectors differ, every float32 kernel.

    Kernels see the layer's width and features only, and with SSE these are as on a generic machine. Of each operation
    the version that is called by its name: the steps towards it are plain Python, or share its vectors.
    """
    if setting == "avx2" and "avx512f" not in simd.FEATURES:
        pytest.skip(f"this machine has {simd.EXTENSION}, and no AVX-512 that could be left out")
    chosen, folders = "test_simd and not another_machine", ["tests/kernels/test_simd.py"]
    if setting != "sse":
        folders.append("tests/kernels/agreement")
        final = " or ".join(f"[cpu.{name}-" for name in OPS)
        chosen = f"({chosen}) or (test_agrees and float32 and ({final}))"
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *folders, "-k", chosen]
    done = subprocess.run(command, env=os.environ | SETTINGS[setting], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(16, 16), (19, 37), (5, 70), (1, 3), (0, 4), (4, 0)])
def test_rows_are_turned_into_columns(shape, dtype):
    M, N = shape
    rows = np.arange(M * (N + 3), dtype=dtype).reshape(M, N + 3)[:, 2 : N + 2]
    columns = np.full((N, M + 2), -1, dtype)
    simd_squares.turn(rows, columns)
    np.testing.assert_array_equal(columns[:, :M], rows.T)
    assert (columns[:, M:] == -1).all()
