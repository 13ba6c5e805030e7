"""Sparse products: patterns that are wrong, what zeros that are not stored leave alone, threads, and the formats."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coursekit.kernels import cpu, formats, reference
from coursekit.kernels.ops import OPS

NAMES = ("csr_matmul", "block_sparse_matmul")
VERSIONS = [(name, f) for name in NAMES for f in (*cpu.rungs(name).values(), getattr(reference, name))]
TO = {"csr_matmul": formats.to_csr, "block_sparse_matmul": formats.to_blocks}
FROM = {"csr_matmul": formats.from_csr, "block_sparse_matmul": formats.from_blocks}
EVERY = pytest.mark.parametrize(("name", "function"), VERSIONS)


def sparse(name, shape, share, dtype="float32", seed=0):
    """A dense matrix of which a share is not zero, in blocks where the operation has them."""
    rng = np.random.default_rng(seed)
    tall = 8 if name == "block_sparse_matmul" else 1
    mask = rng.random((shape[0] // tall, shape[1])) < share
    return (rng.standard_normal(shape) * mask.repeat(tall, 0)).astype(dtype)


WRONG = {
    "a column below 0": (lambda columns, starts: columns.__setitem__(3, -1), "columns must be from 0 to 8"),
    "a column too many": (lambda columns, starts: columns.__setitem__(-1, 9), "columns must be from 0 to 8"),
    "a column far away": (lambda columns, starts: columns.__setitem__(0, 2**31 - 1), "columns must be"),
    "rows that fall": (lambda columns, starts: starts.__setitem__(2, 0), "starts must nowhere fall"),
    "rows beyond the end": (lambda columns, starts: starts.__setitem__(-1, 2**30), "starts must go from 0"),
    "rows from below 0": (lambda columns, starts: starts.__setitem__(0, -5), "starts must go from 0"),
    "rows beyond, and back": (
        lambda columns, starts: starts.__setitem__(1, 2**30),
        "starts must nowhere fall",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
@EVERY
def test_a_wrong_pattern_is_refused_before_anything_is_written(name, function, wrong):
    values, columns, starts = TO[name](sparse(name, (32, 9), 0.9))
    spoil, words = WRONG[wrong]
    spoil(columns, starts)
    out = np.full((32, 5), 7, np.float32)
    with pytest.raises(ValueError, match=f"{name}: {words}"):
        function(values, columns, starts, np.ones((9, 5), np.float32), out=out)
    assert (out == 7).all()


@EVERY
def test_starts_need_an_element(name, function):
    values, columns, _ = TO[name](np.zeros((8, 3), np.float32))
    with pytest.raises(ValueError, match=f"{name}: starts must have an element at least"):
        function(values, columns, np.empty(0, np.int32), np.ones((3, 5), np.float32))


@pytest.mark.parametrize("function", [*cpu.rungs("block_sparse_matmul").values()])
def test_blocks_of_another_height(function):
    blocks, columns, starts = np.ones((2, 4), np.float32), np.zeros(2, np.int32), np.int32([0, 2])
    with pytest.raises(ValueError, match=r"blocks must have shape \(Z, 8\) = \(2, 8\); got \(2, 4\)"):
        function(blocks, columns, starts, np.ones((3, 5), np.float32))


@EVERY
def test_it_is_the_dense_product(name, function):
    dense, x = sparse(name, (40, 30), 0.3, "float64"), np.random.default_rng(1).standard_normal((30, 70))
    np.testing.assert_allclose(function(*TO[name](dense), x), dense @ x, 1e-13, 1e-13)


@EVERY
def test_what_is_not_stored_adds_nothing(name, function):
    dense, x = sparse(name, (16, 6), 0.5), np.ones((6, 20), np.float32)
    dense[:8, 2], dense[8:, 2] = 0, 3
    x[2] = np.inf
    out = function(*TO[name](dense), x)
    assert np.isfinite(out[:8]).all()
    assert np.isposinf(out[8:]).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_same_bits_for_any_number_of_threads(name):
    arrays = OPS[name].draw(np.random.default_rng(2), {"R": 200, "K": 150, "N": 90, "Z": 4000})
    once = getattr(cpu, name)(*arrays)
    cpu.set_num_threads(3)
    try:
        np.testing.assert_array_equal(getattr(cpu, name)(*arrays), once)
    finally:
        cpu.set_num_threads(1)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    rows=st.integers(0, 3),
    K=st.integers(0, 9),
    share=st.sampled_from([0, 0.1, 0.5, 1]),
    seed=st.integers(0, 9),
)
def test_there_and_back(name, rows, K, share, seed):
    dense = sparse(name, (8 * rows, K), share, seed=seed)
    values, columns, starts = TO[name](dense)
    assert (columns.dtype, starts.dtype, values.dtype) == (np.int32, np.int32, dense.dtype)
    assert values.size <= (8 if name == "block_sparse_matmul" else 1) * np.count_nonzero(dense)
    np.testing.assert_array_equal(FROM[name](values, columns, starts, K), dense)


def test_what_no_format_takes():
    with pytest.raises(ValueError, match="to_blocks: dense must have a multiple of 8 rows; got 9"):
        formats.to_blocks(np.ones((9, 2)))
    with pytest.raises(ValueError, match=r"to_csr: dense must be a matrix; got shape \(3,\)"):
        formats.to_csr(np.ones(3))


TWO_FOUR = pytest.mark.parametrize(
    "function", [*cpu.rungs("two_four_matmul").values(), reference.two_four_matmul]
)


def two_four(shape, seed=0):
    """A dense matrix with two numbers, or fewer, in each four."""
    rng = np.random.default_rng(seed)
    numbers = rng.standard_normal((*shape[:1], shape[1] // 4, 4))
    ranks = rng.random(numbers.shape).argsort(2)
    return (numbers * (ranks < rng.integers(0, 3, (*numbers.shape[:2], 1)))).reshape(shape)


@TWO_FOUR
def test_two_four_is_the_dense_product(function):
    dense, x = two_four((19, 48)), np.random.default_rng(1).standard_normal((48, 70))
    values, positions = formats.to_two_four(dense)
    assert (values.shape, positions.shape) == ((19, 24), (19, 6))
    np.testing.assert_array_equal(formats.from_two_four(values, positions), dense)
    np.testing.assert_allclose(function(values, positions, x), dense @ x, 1e-13, 1e-13)
    np.testing.assert_allclose(function(values, positions, x[:, :1]), dense @ x[:, :1], 1e-13, 1e-13)


@TWO_FOUR
def test_two_four_takes_columns_by_eights(function):
    with pytest.raises(ValueError, match="two_four_matmul: x must have a multiple of 8 rows; got 12"):
        function(np.ones((2, 6)), np.ones((2, 1), np.uint8), np.ones((12, 3)))


@pytest.mark.parametrize(
    ("dense", "words"),
    [(np.ones((2, 8)), "two zeros or more in each four"), (np.ones((2, 4)), "a multiple of 8 columns")],
)
def test_what_is_not_two_four(dense, words):
    with pytest.raises(ValueError, match=f"to_two_four: dense must have {words}"):
        formats.to_two_four(dense)


def test_two_four_gives_the_same_bits_for_any_number_of_threads():
    for N in (1, 90):
        arrays = OPS["two_four_matmul"].draw(np.random.default_rng(2), {"R": 200, "K": 800, "N": N})
        once = cpu.two_four_matmul(*arrays)
        cpu.set_num_threads(3)
        try:
            np.testing.assert_array_equal(cpu.two_four_matmul(*arrays), once)
        finally:
            cpu.set_num_threads(1)
