"""The product of blocks with x by samples, which layers use: against the public kernel's contract and float64."""

import numpy as np
import pytest

from coursekit.kernels import cpu, formats
from coursekit.kernels.cpu.block_sparse_samples import multiply_samples


def sample(R, K, N, dtype, share=0.4):
    rng = np.random.default_rng(R + K + N)
    rows = -(-R // 8)
    dense = rng.standard_normal((rows, 8, K)) * (rng.random((rows, 1, K)) < share)
    dense = dense.reshape(rows * 8, K).astype(dtype)
    return dense, rng.standard_normal((N, K)).astype(dtype), rng.standard_normal(R).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("R", "K"), [(8, 1), (16, 31), (21, 40), (3, 7), (64, 0)])
@pytest.mark.parametrize("N", [0, 1, 2, 7, 8, 9, 24, 27])
def test_it_is_the_product_and_the_bias(R, K, N, dtype):
    dense, x, bias = sample(R, K, N, dtype)
    room = np.full((N + 2, R), 7, dtype)
    multiply_samples(*formats.to_blocks(dense), bias, x, room[1:-1])
    wanted = np.float64(x) @ np.float64(dense[:R]).T + bias
    np.testing.assert_allclose(room[1:-1], wanted, rtol=0, atol=(K + 1) * np.finfo(dtype).eps * 20)
    assert (room[[0, -1]] == 7).all()  # nothing beside out is written
    theirs = cpu.block_sparse_matmul(*formats.to_blocks(dense), np.ascontiguousarray(x.T)).T[:, :R] + bias
    np.testing.assert_allclose(room[1:-1], theirs, rtol=0, atol=(K + 1) * np.finfo(dtype).eps * 20)


def test_threads_do_not_change_a_bit():
    dense, x, bias = sample(256, 300, 1001, "float32")
    outs = [np.empty((1001, 256), np.float32) for _ in range(2)]
    threads = cpu.get_num_threads()
    try:
        for number, out in zip((1, 3), outs, strict=True):
            cpu.set_num_threads(number)
            multiply_samples(*formats.to_blocks(dense), bias, x, out)
    finally:
        cpu.set_num_threads(threads)
    np.testing.assert_array_equal(*outs)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda columns, starts: columns.__setitem__(-1, 30), "columns must be from 0 to 29; got 30"),
        (lambda columns, starts: columns.__setitem__(0, -(2**31)), "columns must be from 0 to 29"),
        (lambda columns, starts: starts.__setitem__(1, 10**6), "starts must nowhere fall"),
        (lambda columns, starts: starts.__setitem__(-1, 10**6), "starts must go from 0 to"),
        (lambda columns, starts: starts.__setitem__(0, -9), "starts must go from 0 to"),
    ],
)
def test_a_wrong_pattern_is_refused_before_anything_is_written(spoil, words, threads):
    dense, x, bias = sample(32, 30, 5, "float32")
    blocks, columns, starts = formats.to_blocks(dense)
    spoil(columns, starts)
    out, before = np.full((5, 32), 7, np.float32), cpu.get_num_threads()
    try:
        cpu.set_num_threads(threads)
        with pytest.raises(ValueError, match=f"multiply_samples: {words}"):
            multiply_samples(blocks, columns, starts, bias, x, out)
    finally:
        cpu.set_num_threads(before)
    assert (out == 7).all()
