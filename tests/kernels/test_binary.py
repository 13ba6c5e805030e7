"""Signs as bits and their products: each bit of each word, long sums, against products of ±1, and threads."""

import numpy as np
import pytest

from coursekit.kernels import cpu, reference
from coursekit.kernels.ops import OPS

PACK = pytest.mark.parametrize("pack", [*cpu.rungs("pack_signs").values(), reference.pack_signs])
MULTIPLY = pytest.mark.parametrize(
    "multiply", [*cpu.rungs("binary_matmul").values(), reference.binary_matmul]
)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@PACK
def test_each_bit_has_its_place(pack, dtype):
    x = np.full((64, 64), -1, dtype)
    np.fill_diagonal(x, 1)
    assert pack(x)[:, 0].tolist() == [2**i for i in range(64)]


@PACK
def test_signs_of_special_numbers(pack):
    x = np.float32([[0.0, -0.0, np.nan, np.inf, -np.inf, 1e-45, -1e-45, 3]])
    assert pack(x).tolist() == [[0b10101011]]


@PACK
def test_the_bits_beyond_are_zeros(pack):
    packed = pack(np.ones((3, 67), np.float32))
    assert packed.tolist() == [[2**64 - 1, 0b111]] * 3


@pytest.mark.parametrize("k", [1, 63, 64, 65, 300])
@MULTIPLY
def test_it_is_the_product_of_the_signs(multiply, k):
    x, y = (np.random.default_rng(seed).standard_normal((rows, k)) for seed, rows in ((0, 7), (1, 75)))
    got = multiply(cpu.pack_signs(x), cpu.pack_signs(y), k=k)
    np.testing.assert_array_equal(got, np.sign(x) @ np.sign(y).T)


@pytest.mark.parametrize("W", [4, 8, 1100])
@MULTIPLY
def test_sums_that_are_as_long_and_as_far_apart_as_they_can_be(multiply, W):
    a, b = np.zeros((2, W), np.uint64), np.full((3, W), 2**64 - 1, np.uint64)
    assert (multiply(a, b) == -64 * W).all()
    assert (multiply(b, b) == 64 * W).all()


@pytest.mark.parametrize("k", [-1, 1, 128, 193])
@MULTIPLY
def test_a_length_that_does_not_fit(multiply, k):
    a = np.zeros((2, 3), np.uint64)
    with pytest.raises(ValueError, match="binary_matmul: k must be one that takes 3 words of 64, or 0"):
        multiply(a, a, k=k)


def test_the_same_bits_for_any_number_of_threads():
    x = np.random.default_rng(2).standard_normal((501, 700)).astype(np.float32)
    packed = cpu.pack_signs(x)
    once = cpu.binary_matmul(packed, packed, k=700)
    cpu.set_num_threads(3)
    try:
        np.testing.assert_array_equal(cpu.pack_signs(x), packed)
        np.testing.assert_array_equal(cpu.binary_matmul(packed, packed, k=700), once)
    finally:
        cpu.set_num_threads(1)
    assert (np.diag(once) == 700).all()


def test_the_costs():
    assert OPS["binary_matmul"].cost({"M": 2, "N": 3, "W": 2}, k=100).flops == 2 * 2 * 3 * 100
