"""Traces of kernels small enough to count by hand what they ask of memory."""

import importlib
import math

import numpy as np
import pytest
from numba import cuda, float32, float64, int32

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
def tree(x, out):
    s = cuda.shared.array(64, float32)
    t = cuda.threadIdx.x
    s[t] = x[t]
    cuda.syncthreads()
    half = 32
    while half > 0:
        if t < half:
            s[t] += s[t + half]
        cuda.syncthreads()
        half //= 2
    out[0] = s[0]


@cuda.jit
def tree_without_a_barrier(x, out):
    s = cuda.shared.array(64, float32)
    t = cuda.threadIdx.x
    s[t] = x[t]
    cuda.syncthreads()
    half = 32
    while half > 0:
        if t < half:
            s[t] += s[t + half]
        half //= 2
    cuda.syncthreads()
    out[0] = s[0]
    cuda.syncthreads()


def test_a_reduction_with_its_barriers_has_no_race():
    got = trace(tree, 1, 64, np.ones(64, np.float32), np.zeros(1, np.float32))
    assert got.arrays["out"] == 64 and got.races == [] and got.barriers == 7


def test_a_reduction_without_a_barrier_has_one():
    got = trace(tree_without_a_barrier, 1, 64, np.ones(64, np.float32), np.zeros(1, np.float32))
    # Thread 0 reads s[16] in the second step, which thread 16 writes in the first.
    (race,) = got.races
    assert race.array == "s" and race.lines[0] == race.lines[1]
    assert race.texts == ("s[t] += s[t + half]",) * 2
    assert 0 < race.threads[0] + race.threads[1] < 64
    # s[16:32] in step 2, s[8:16] in step 3, ..., s[1] in step 6: one pair each.
    assert race.pairs == 16 + 8 + 4 + 2 + 1


@cuda.jit
def late_writer(x, out):
    s = cuda.shared.array(32, float32)
    t = cuda.threadIdx.x
    for _ in range(2):
        s[t] = x[t]
        cuda.syncthreads()
        out[t] = s[31 - t]  # and no barrier before the next round writes


def test_a_round_must_not_begin_before_all_have_read():
    got = trace(late_writer, 1, 32, np.ones(32, np.float32), np.zeros(32, np.float32))
    assert len(got.races) == 1 and got.races[0].pairs == 32
    assert got.races[0].lines[1] == got.races[0].lines[0] + 2


@cuda.jit
def atomics(out, waits):
    s = cuda.shared.array(1, int32)
    if cuda.threadIdx.x == 0:
        s[0] = 0
    cuda.syncthreads()
    cuda.atomic.add(s, 0, 1)
    if waits:
        cuda.syncthreads()
    out[cuda.threadIdx.x] = s[0]


def test_atomics_do_not_race_with_each_other():
    got = trace(atomics, 1, 40, np.zeros(40, np.int32), True)
    assert got.races == [] and (got.arrays["out"] == 40).all()


def test_atomics_race_with_what_is_none():
    (race,) = trace(atomics, 1, 40, np.zeros(40, np.int32), False).races
    assert race.lines[1] == race.lines[0] + 3 and race.pairs == 40 * 39 / 2


@cuda.jit
def through_a_warp(out):
    s = cuda.shared.array(32, float32)
    t = cuda.threadIdx.x
    s[t] = t
    cuda.syncwarp()
    out[t] = s[31 - t]


def test_syncwarp_orders_a_warp():
    got = trace(through_a_warp, 1, 32, np.zeros(32, np.float32))
    assert got.races == [] and got.arrays["out"][0] == 31


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


@cuda.jit
def parted(out):
    if cuda.threadIdx.x < 3:
        cuda.syncthreads()
    else:
        cuda.syncthreads()


@cuda.jit
def overflowing(out):
    out[cuda.grid(1)] = 1


@cuda.jit
def exotic(out):
    out[0] = cuda.ballot_sync(0, True)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: trace(overflowing, 1, 5, x), IndexError, r"out\[4\] is outside of its shape \(4,\)"),
        (lambda x: trace(parted, 1, 4, x), RuntimeError, "wait for each other in different places, lines"),
        (lambda x: trace(exotic, 1, 1, x), NotImplementedError, r"cuda\.ballot_sync is not known"),
        (lambda x: trace(overflowing, 1, 4), TypeError, r"takes 1 arguments \(out\); got 0"),
        (
            lambda x: trace(overflowing, 1, 4, [1]),
            TypeError,
            "out must be a NumPy array or a number; got list",
        ),
        (lambda x: trace(overflowing, 0, 4, x), ValueError, "grid and threads must be positive"),
        (lambda x: trace(overflowing, 1, 1025, x), ValueError, "at most 1024 threads; got 1025"),
        (lambda x: trace(overflowing, 1, 4, x, most=3), RuntimeError, "more than 3 accesses"),
        (lambda x: trace(overflowing, 1, 4, x).requests("y"), ValueError, "one of out; got 'y'"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(np.zeros(4))


def test_an_error_names_the_thread():
    with pytest.raises(IndexError) as caught:
        trace(overflowing, 3, 2, np.zeros(4))
    assert caught.value.__notes__ == ["in thread (0, 0, 0) of block (2, 0, 0)"]


def test_it_shows_itself():
    got = trace(tree_without_a_barrier, 1, 64, np.ones(64, np.float32), np.zeros(1, np.float32))
    assert "s" in repr(got) and "3 barriers, race in s: line" in repr(got)
    assert "<table>" in got._repr_html_() and "s[t] += s[t + half]" in got._repr_html_()


STASH, PAIRS, TABLE, SCALE = [], ([], 1), np.arange(4, dtype=np.float32), 2
PUT = STASH.append


class Place:
    x = STASH


def helper(v, stash=[]):  # noqa: B006
    stash.append(v)


@cuda.jit(device=True)
def remembers(v, stash=[]):  # noqa: B006
    return stash


def into_a_list(x):
    STASH[0] = x[0]


def into_a_tuple_of_lists(x):
    PAIRS[0][0] = x[0]


def through_a_method(x):
    PUT(x[0])


def into_a_class(x):
    Place.x[0] = x[0]


def through_a_function(x):
    helper(x[0])


def through_a_default(x):
    remembers(x[0])


def into_a_global(x):
    global SCALE
    SCALE = x[0]


def onto_a_type(x):
    place = float32
    place.x = x[0]


def within_another():
    kept = 0

    def kernel(x):
        nonlocal kept
        kept = x[0]

    return kernel


@pytest.mark.parametrize(
    "kernel",
    [
        into_a_list,
        into_a_tuple_of_lists,
        through_a_method,
        into_a_class,
        through_a_function,
        through_a_default,
        into_a_global,
        onto_a_type,
        within_another(),
    ],
)
def test_threads_share_nothing_that_is_not_counted(kernel):
    with pytest.raises(TypeError, match=r"from outside of it|not its own"):
        trace(kernel, 1, 2, np.ones(2, np.float32))
    assert STASH == [] and PAIRS == ([], 1) and SCALE == 2


def with_constants(out):
    i = cuda.grid(1)
    out[i] = min(TABLE[i], float32(SCALE)) + math.sqrt(PAIR_OF_NUMBERS[1])


def into_a_table(out):
    TABLE[0] = 7


PAIR_OF_NUMBERS = (1, 4)


def test_constants_from_outside_are_constants():
    assert trace(with_constants, 1, 4, np.zeros(4, np.float32)).arrays["out"].tolist() == [2, 3, 4, 4]
    with pytest.raises(ValueError, match="read-only"):
        trace(into_a_table, 1, 4, np.zeros(4, np.float32))


def test_more_shared_memory_than_a_block_has():
    def hoards(x):
        whole = cuda.shared.array(12289, "float32")
        whole[0] = x[0]

    with pytest.raises(ValueError, match=r"a block has 49,152 bytes of shared memory; got 49,168"):
        trace(hoards, 1, 1, np.ones(1, np.float32))


def sin(x):
    """Beside the kernel, and of the name of what it calls in another module."""


def test_a_function_beside_the_kernel_is_not_in_it():
    def takes(x):
        x[0] = math.sin(x[0])

    assert trace(takes, 1, 1, np.zeros(1)).arrays["x"][0] == 0


def test_races_in_global_memory():
    """Lost updates: all threads of a block, and of the grid, add to one number; atomics do not race."""

    def lost(x, out):
        out[0] += x[cuda.grid(1)]

    def kept(x, out):
        cuda.atomic.add(out, 0, x[cuda.grid(1)])

    x = np.ones(8, np.float32)
    found = trace(lost, 2, 4, x, np.zeros(1, np.float32))
    assert {race.array for race in found.races} == {"out"}
    assert [race.pairs for race in found.races] == [28, 28], (
        "one has read what another adds to, and two write"
    )
    assert not trace(kept, 2, 4, x, np.zeros(1, np.float32)).races


def test_a_barrier_orders_global_memory_within_a_block_and_not_between_blocks():
    def passes_on(x):
        i = cuda.grid(1)
        x[i] = i
        cuda.syncthreads()
        x[(i + 1) % x.size] += 1

    assert not trace(passes_on, 1, 4, np.zeros(4)).races
    (race, *_) = trace(passes_on, 2, 2, np.zeros(4)).races
    assert race.blocks == (0, 1) or race.blocks == (1, 0)
    assert "nothing orders blocks" in str(race)


def test_what_is_noted_is_what_is_accessed():
    """An index is one number for each dimension; NumPy would take others for many elements, or for a copy of them."""

    def odd(x, out):
        out[0, 0] = x[0, 0, ...]

    def listed(x, out):
        out[0, 0] = x[[1, 1], :][0, 0]

    def true(x, out):
        out[True, np.int8(1)] = x[True, True]

    x = np.arange(4.0).reshape(2, 2)
    for kernel in (odd, listed):
        with pytest.raises((TypeError, IndexError)):
            trace(kernel, 1, 1, x, np.zeros_like(x))
    assert trace(true, 1, 1, x, np.zeros_like(x)).arrays["out"].tolist() == [[0, 0], [0, 3]]
    with pytest.raises(IndexError, match=r"x\[1\]: its shape is \(2, 2\)"):
        trace(lambda x: cuda.atomic.add(x, 1, 1), 1, 1, x)


def test_a_shared_array_hides_no_global_one():
    def reused(x, out):
        given = x
        x = cuda.shared.array(32, float32)
        t = cuda.threadIdx.x
        x[t] = given[t]
        out[t] = x[t]

    got = trace(reused, 1, 32, np.ones(32, np.float32), np.zeros(32, np.float32))
    assert (got.traffic["x"].sectors, got.traffic["x (shared)"].reads, got.total.sectors) == (4, 32, 8)


def test_local_memory_holds_nothing_at_first():
    def reads(out):
        out[0] = cuda.local.array(4, float32)[2]

    assert math.isnan(trace(reads, 1, 1, np.zeros(1, np.float32)).arrays["out"][0])


def with_a_class(x):
    class A:
        y = STASH

    A.y.append(x[0])


def with_a_try(x):
    try:
        x[99] = 1
    except IndexError:
        x[0] = 1


def with_an_import(x):
    import random

    x[0] = random.random()


@pytest.mark.parametrize("kernel", [with_a_class, with_a_try, with_an_import])
def test_what_no_gpu_runs_is_refused(kernel):
    with pytest.raises(TypeError, match="no GPU runs that"):
        trace(kernel, 1, 1, np.zeros(2))


def test_only_numbers_are_stored_and_passed_on():
    def stores(x):
        cuda.shared.array(1, "O")[0] = [x[0]]

    def passes(x):
        cuda.shfl_sync(0xFFFFFFFF, [x[0]], 0)

    with pytest.raises(TypeError, match="arrays within a kernel hold numbers; got object"):
        trace(stores, 1, 1, np.zeros(1))
    with pytest.raises(TypeError, match="a shuffle passes numbers on; got list"):
        trace(passes, 1, 1, np.zeros(1))


class Held(float):
    x = STASH


class Posing:
    __module__ = "numba.cuda"
    py_func = staticmethod(lambda x: None)


HELD, INT_ARRAY = Held(1), int32[:]


@pytest.mark.parametrize("kernel", [lambda x: HELD.x[0], lambda x: INT_ARRAY.x])
def test_a_constant_is_of_a_class_that_holds_nothing(kernel):
    with pytest.raises(TypeError, match="from outside of it"):
        trace(kernel, 1, 1, np.zeros(1))


def test_a_kernel_is_a_function_or_of_numba_itself():
    with pytest.raises(TypeError, match=r"must be a function, under @cuda.jit or not; got Posing"):
        trace(Posing(), 1, 1, np.zeros(1))


def test_a_barrier_that_some_threads_never_reach():
    def skips(x):
        if cuda.threadIdx.x < 3:
            cuda.syncthreads()
        x[cuda.threadIdx.x] = 1

    with pytest.raises(RuntimeError, match=r"thread \(3, 0, 0\) of block .* where 3 others wait"):
        trace(skips, 1, 4, np.zeros(4))
    assert trace(skips, 1, 3, np.zeros(4)).barriers == 1


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


def into_nothing(x):
    pass
