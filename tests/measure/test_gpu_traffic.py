"""Traces of kernels small enough to count by hand what they ask of memory."""

import importlib
import math

import numpy as np
import pytest
from numba import cuda, float32, float64

from coursekit.kernels.cuda.vectors import load4, store4
from coursekit.measure import trace

matmuls = importlib.import_module("coursekit.kernels.cuda.matmul")
softmaxes = importlib.import_module("coursekit.kernels.cuda.softmax")


@cuda.jit
def copy(x, out, stride, start):
    i = cuda.grid(1)
    out[i] = x[start + i * stride]


@pytest.mark.parametrize(
    ("dtype", "stride", "start", "sectors", "lines"),
    [
        ("float32", 1, 0, 4, 1),
        ("float32", 2, 0, 8, 2),
        ("float32", 32, 0, 32, 32),
        ("float32", 0, 0, 1, 1),
        ("float32", 1, 1, 5, 2),  # the last of 32 floats is in the next sector
        ("float64", 1, 0, 8, 2),
        ("int32", 3, 0, 12, 3),
        ("int8", 1, 0, 1, 1),
    ],
)
def test_sectors_of_a_copy_with_a_stride(dtype, stride, start, sectors, lines):
    x = np.arange(33 + 31 * 32).astype(dtype)
    got = trace(copy, 1, 32, x, np.zeros(32, dtype), stride, start)
    seen, size = got.traffic["x"], x.itemsize
    assert (seen.sectors, seen.lines, seen.requests, seen.reads, seen.writes) == (sectors, lines, 1, 32, 0)
    assert (seen.asked, seen.used) == (32 * size, (32 if stride else 1) * size)
    assert seen.efficiency == seen.used / (32 * sectors)
    assert (got.arrays["out"] == x[start : start + 31 * stride + 1 : stride or 1][:32]).all()
    (request,) = got.requests("x")
    assert request.sectors == sectors and request.addresses[1] == (start + stride) * size


def test_the_arguments_stay_as_they_were():
    out = np.zeros(4)
    trace(copy, 1, 4, np.ones(4), out, 1, 0)
    assert not out.any()


def test_every_warp_of_every_block_asks_for_itself():
    x = np.zeros(4 * 48, np.float32)
    got = trace(copy, 4, 48, x, x.copy(), 1, 0)  # 48 threads: a whole warp, and half of one
    assert got.traffic["x"].requests == 8
    assert got.traffic["x"].sectors == 4 * (4 + 2)
    assert [r.threads for r in got.requests("x", block=3, warp=1)] == [tuple(range(32, 48))]


def test_a_product_without_tiles():
    a = np.random.default_rng(0).random((32, 32), np.float32)
    got = trace(matmuls._textbook, (2, 2), (16, 16), a, a.copy(), np.zeros_like(a))
    np.testing.assert_allclose(got.arrays["out"], a @ a, rtol=1e-5)
    # A warp is two rows of a block: two numbers of a, and 16 neighbours of b, at each of 32 steps of 32 warps.
    seen = got.traffic
    assert (seen["a"].sectors, seen["b"].sectors, seen["out"].sectors) == (32 * 32 * 2, 32 * 32 * 2, 128)
    assert seen["a"].reads + seen["b"].reads == 2 * 32**3
    assert seen["a"].efficiency == 8 / 64 and seen["b"].efficiency == 1


def test_a_product_in_tiles():
    a = np.random.default_rng(0).random((32, 32), np.float32)
    got = trace(matmuls._tiled, (2, 2), (16, 16), a, a.copy(), np.zeros_like(a))
    np.testing.assert_allclose(got.arrays["out"], a @ a, rtol=1e-5)
    seen = got.traffic
    assert seen["a"].reads + seen["b"].reads == 2 * 32**3 / 16
    assert seen["a"].moved == seen["b"].moved == 4 * 32**3 / 16
    assert seen["a"].efficiency == 1
    assert seen["tile_a"].conflicts == seen["tile_b"].conflicts == 0
    assert seen["tile_a"].reads == 32**3 and seen["tile_a"].writes == 2048
    assert got.barriers == 4 and got.races == []


@cuda.jit
def transpose_plain(x, out):
    i, j = cuda.grid(2)
    for k in range(0, 32, 4):
        out[i, j + k] = x[j + k, i]


@cuda.jit
def transpose_tile(x, out):
    tile = cuda.shared.array((32, 32), float32)
    i, j = cuda.threadIdx.x, cuda.threadIdx.y
    for k in range(0, 32, 4):
        tile[j + k, i] = x[j + k, i]
    cuda.syncthreads()
    for k in range(0, 32, 4):
        out[j + k, i] = tile[i, j + k]


@cuda.jit
def transpose_padded(x, out):
    tile = cuda.shared.array((32, 33), float32)
    i, j = cuda.threadIdx.x, cuda.threadIdx.y
    for k in range(0, 32, 4):
        tile[j + k, i] = x[j + k, i]
    cuda.syncthreads()
    for k in range(0, 32, 4):
        out[j + k, i] = tile[i, j + k]


def test_transposes():
    x = np.arange(1024, dtype=np.float32).reshape(32, 32)
    plain, tile, padded = (
        trace(kernel, 1, (32, 4), x, np.zeros_like(x))
        for kernel in (transpose_plain, transpose_tile, transpose_padded)
    )
    for got in (plain, tile, padded):
        assert (got.arrays["out"] == x.T).all() and got.races == []
        assert got.traffic["x"].sectors == 128
    assert plain.traffic["out"].sectors == 32 * 32
    assert tile.traffic["out"].sectors == padded.traffic["out"].sectors == 128
    # Written along rows, 32 requests in a pass each. Read down a column, all 32 threads want bank 0 of 32.
    assert (tile.traffic["tile"].passes, tile.conflicts) == (32 + 32 * 32, 32 * 31)
    assert (padded.traffic["tile"].passes, padded.conflicts) == (64, 0)


@cuda.jit
def by_eight_bytes(out):
    s = cuda.shared.array(128, float64)
    t = cuda.threadIdx.x
    s[t] = t
    s[2 * t] = t
    out[t] = s[0]


def test_eight_bytes_a_thread_take_half_a_warp_at_a_time():
    seen = trace(by_eight_bytes, 1, 32, np.zeros(32)).traffic["s"]
    # In a row: 2 passes. Every other one: 2 in each half. The same for all: a pass for each half.
    assert (seen.passes, seen.conflicts) == (2 + 4 + 2, 2)


@cuda.jit
def shuffled(out):
    t = cuda.threadIdx.x
    value = float32(t)
    offset = 16
    while offset > 0:
        value += cuda.shfl_xor_sync(0xFFFFFFFF, value, offset)
        offset //= 2
    out[t] = value


def test_a_sum_by_shuffles_touches_no_memory():
    got = trace(shuffled, 1, 64, np.zeros(64, np.float32))
    assert (got.arrays["out"] == [sum(range(32))] * 32 + [sum(range(32, 64))] * 32).all()
    assert list(got.traffic) == ["out"]


@cuda.jit
def in_fours(x, out):
    s = cuda.shared.array(0, float32)
    t = 4 * cuda.threadIdx.x
    a, b, c, d = load4(x, t)
    store4(s, t, d, c, b, a)
    out[t] = s[t]


def test_loads_of_128_bits():
    x = np.arange(128, dtype=np.float32)
    got = trace(in_fours, 1, 32, x, np.zeros_like(x), shared=512)
    seen = got.traffic["x"]
    assert (seen.requests, seen.sectors, seen.asked) == (1, 16, 512)
    # Stored in quarters of a warp without conflicts; read every fourth: the words of four lanes in one bank.
    assert (got.traffic["s"].passes, got.conflicts) == (4 + 4, 3)
    assert (got.arrays["out"][::4] == x[3::4]).all()


def test_the_softmax_of_the_course():
    N = 512
    x = np.random.default_rng(0).random(2 * N, np.float32)
    got = trace(softmaxes._rows, 2, softmaxes.THREADS, x, N, np.zeros_like(x), shared=4 * N)
    wanted = np.exp(x.reshape(2, N))
    wanted /= wanted.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(got.arrays["out"].reshape(2, N), wanted, rtol=1e-5)
    assert got.moved == 2 * x.nbytes, "read once, written once"
    assert got.races == [] and got.traffic["row"].conflicts == 0


@cuda.jit(device=True)
def first_of(row):
    return row[0]


@cuda.jit
def rows_of(x, out):
    m = cuda.grid(1)
    if m < x.shape[0]:
        out[m] = first_of(x[m]) + first_of(x.T[m])


def test_rows_and_device_functions():
    x = np.arange(16.0).reshape(4, 4)
    got = trace(rows_of, 1, 8, x, np.zeros(4))
    assert (got.arrays["out"] == x[:, 0] + x[0]).all()
    assert got.traffic["x"].requests == 2, "one for each place it is called from"
    assert got.traffic["x"].sectors == 4 + 1


def test_two_dimensions_count_x_first():
    @cuda.jit
    def fill(out):
        n, m = cuda.grid(2)
        out[m, n] = math.sqrt(m)

    got = trace(fill, (2, 3), (16, 2), np.zeros((6, 32), np.float32))
    assert got.traffic["out"].sectors == 6 * 4
    assert {a // 128 for a in got.requests("out", block=3)[0].addresses} == {2, 3}  # block (1, 1)


def test_a_shared_array_hides_no_global_one():
    def reused(x, out):
        given = x
        x = cuda.shared.array(32, float32)
        t = cuda.threadIdx.x
        x[t] = given[t]
        out[t] = x[t]

    got = trace(reused, 1, 32, np.ones(32, np.float32), np.zeros(32, np.float32))
    assert (got.traffic["x"].sectors, got.traffic["x (shared)"].reads, got.total.sectors) == (4, 32, 8)


def test_waits_elements_stretches_and_atomics():
    def mixed(x, out):
        s = cuda.shared.array(32, float32)
        t = cuda.threadIdx.x
        s[t] = x[t] + x[t] + x[t + 1]
        cuda.syncthreads()
        if t == 0:
            out[0] = s[0] + s[1] + s[2]
        cuda.syncwarp()
        out[1 + t] = cuda.shfl_xor_sync(0xFFFFFFFF, s[t], 1)
        if t < 2:
            cuda.atomic.add(out, 40, 1)

    got = trace(mixed, 1, 32, np.ones(33, np.float32), np.zeros(41, np.float32))
    assert (got.barriers, got.waits, got.most_elements, got.atomics) == (1, 3, 3, 2)
    assert got.stretches == [(0, 32), (3 + 32, 0)]
    quiet = trace(into_nothing, 1, 1, np.zeros(1))
    assert (quiet.waits, quiet.most_elements, quiet.stretches) == (0, 0, [(0, 0)])
    # Thread 0 reads three numbers of x, three of s, and one more.
    assert (got.most_reads, got.most_read("x"), got.most_read("s"), got.most_read("y")) == (7, 2, 3, 0)
    assert (got.most_written("out"), got.most_written("x"), quiet.most_reads) == (3, 0, 0)


def into_nothing(x):
    pass
