"""Races: two threads at one element, one of them writing, in no order."""

import math
import time

import numpy as np
import pytest
from numba import cuda, float32, int32

from coursekit.measure import trace


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


def test_it_shows_itself():
    got = trace(tree_without_a_barrier, 1, 64, np.ones(64, np.float32), np.zeros(1, np.float32))
    assert "s" in repr(got) and "3 barriers, race in s: line" in repr(got)
    assert "<table>" in got._repr_html_() and "s[t] += s[t + half]" in got._repr_html_()


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


def test_a_barrier_that_some_threads_never_reach():
    def skips(x):
        if cuda.threadIdx.x < 3:
            cuda.syncthreads()
        x[cuda.threadIdx.x] = 1

    with pytest.raises(RuntimeError, match=r"thread \(3, 0, 0\) of block .* where 3 others wait"):
        trace(skips, 1, 4, np.zeros(4))
    assert trace(skips, 1, 3, np.zeros(4)).barriers == 1


def own_number(out):
    out[0] = cuda.grid(1)


def same_number(out):
    out[0] = cuda.gridsize(1)


def too_early(x, out):
    s = cuda.shared.array(1, float32)
    if cuda.threadIdx.x == 1:
        s[0] = x[0]
    out[cuda.blockIdx.x] = s[0]


def in_turns(out):
    for turn in range(3):
        cuda.syncthreads()
        if cuda.threadIdx.x == turn:
            out[cuda.blockIdx.x] = turn


@pytest.mark.parametrize("grid, threads", [(1, 2), (1, 33), (2, 1), (3, 40)])
def test_threads_that_write_different_numbers_to_one_element_race(grid, threads):
    many = grid * threads
    (race,) = trace(own_number, grid, threads, np.zeros(1)).races
    assert (race.array, race.texts[0], race.pairs) == ("out", "out[0] = cuda.grid(1)", many * (many - 1) / 2)
    assert not trace(same_number, grid, threads, np.zeros(1)).races, "whoever comes last, it is the same"


def test_a_sum_that_is_not_there_yet_is_a_race_of_its_own():
    found = trace(too_early, 1, 2, np.ones(1, np.float32), np.zeros(1, np.float32)).races
    assert {race.array for race in found} == {"s", "out"}


def test_a_barrier_orders_numbers_that_differ():
    assert not trace(in_turns, 2, 3, np.zeros(2)).races


def test_two_not_a_numbers_of_the_same_bits_are_one_number_and_two_zeros_are_not():
    def signed(out, first, other):
        out[0] = first if cuda.threadIdx.x else other

    assert not trace(signed, 1, 2, np.zeros(1), math.nan, math.nan).races
    assert trace(signed, 1, 2, np.zeros(1), 0.0, -0.0).races


def test_in_shared_memory_the_same_number_races_too():
    def fills(out):
        s = cuda.shared.array(1, float32)
        s[0] = 1
        cuda.syncthreads()
        out[cuda.threadIdx.x] = s[0]

    assert [race.array for race in trace(fills, 1, 2, np.zeros(2)).races] == ["s"]


def test_many_who_write_the_same_are_looked_at_once():
    started = time.process_time()
    assert not trace(same_number, 32, 128, np.zeros(1)).races
    assert time.process_time() - started < 5
