"""Which accesses a warp executes together: those of the same place, in the same turns of all loops around it."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import cuda, float32

from coursekit.measure import trace
from coursekit.measure.gpu.loops import loops_of


def together(x, out):
    i = cuda.threadIdx.x
    for k in range(4):
        out[32 * k + i] = x[32 * k + i]


def lane_by_lane(x, out):
    i = cuda.threadIdx.x
    for lane in range(32):
        if lane == i:
            out[i] = x[i]


def lane_by_lane_in_a_while(x, out):
    i, lane = cuda.threadIdx.x, 0
    while lane < 32:
        if lane != i:
            lane += 1
            continue
        out[i] = x[i]
        lane += 1


def lane_by_lane_in_a_line(x, out):
    i = cuda.threadIdx.x
    for lane in range(32): out[i if lane == i else 32] = x[i] if lane == i else 0  # fmt: skip # noqa: E701


def lane_by_lane_in_two_loops(x, out):
    i = cuda.threadIdx.x
    for high in range(4):
        for low in range(8):
            if 8 * high + low == i:
                out[i] = x[i]


def lane_by_lane_in_a_tuple(x, out):
    i = cuda.threadIdx.x
    for lanes in ((0, 8), (8, 32)):
        for lane in range(*lanes):
            if lane == i:
                out[i] = x[i]


def lane_by_lane_until_it_breaks(x, out):
    i, lane = cuda.threadIdx.x, 0
    while True:
        if lane == i:
            out[i] = x[i]
            break
        lane += 1


@cuda.jit(device=True)
def number_at(x, i):
    found = float32(0)
    for lane in range(32):
        if lane == i:
            found = x[i]
    return found


def number_at_last(x, i, lane):
    return x[i] if lane == i else number_at_last(x, i, lane + 1)


number_at_last = cuda.jit(device=True)(number_at_last)


def lane_by_lane_in_a_function_that_calls_itself(x, out):
    i = cuda.threadIdx.x
    out[i] = number_at_last(x, i, 0)


def lane_by_lane_in_a_list(x, out):
    i = cuda.threadIdx.x
    (out[i],) = [x[i] for lane in range(32) if lane == i]


def lane_by_lane_in_a_device_function(x, out):
    i = cuda.threadIdx.x
    out[i] = number_at(x, i)


SERIAL = [
    lane_by_lane,
    lane_by_lane_in_a_while,
    lane_by_lane_in_a_line,
    lane_by_lane_in_two_loops,
    lane_by_lane_in_a_tuple,
    lane_by_lane_until_it_breaks,
    lane_by_lane_in_a_device_function,
    lane_by_lane_in_a_function_that_calls_itself,
    lane_by_lane_in_a_list,
]


def traced(kernel):
    return trace(kernel, 1, 32, np.ones(128, np.float32), np.zeros(128, np.float32)).traffic


@pytest.mark.parametrize("kernel", SERIAL)
def test_lanes_that_take_turns_ask_one_by_one(kernel):
    assert (traced(kernel)["x"].requests, traced(kernel)["x"].sectors) == (32, 32)


def test_lanes_in_step_ask_together():
    seen = traced(together)
    assert (seen["x"].requests, seen["out"].requests, seen["x"].sectors) == (4, 4, 16)


def ragged(x, out):
    i = cuda.threadIdx.x
    for _ in range(2):
        for _ in range(i % 3):
            out[i] = 0
        out[i] = x[i]
    out[i] = x[i]


def test_lanes_that_leave_a_loop_before_others_meet_them_behind_it():
    seen = traced(ragged)
    assert (seen["x"].requests, seen["out"].requests) == (3, 2 * (2 + 1) + 1)


def skipping(x, out):
    i, k = cuda.threadIdx.x, 0
    while k < 4:
        k += 1
        if (k + i) % 2:
            continue
        out[i] = x[i]
    while k > 0:
        k -= 1
        if i % 2:
            k -= 1
            continue
        k -= 1
    out[i] = x[i]


def test_continue_begins_a_turn_as_the_end_of_a_turn_does():
    assert traced(skipping)["x"].requests == 4 + 1


def test_a_while_with_continue_is_one_loop():
    assert [len(loops_of(kernel.__code__)) for kernel in (skipping, ragged, together)] == [2, 2, 1]


def test_a_device_function_begins_its_loops_anew_at_each_call():
    def calls_it_twice(x, out):
        i = cuda.threadIdx.x
        for _ in range(i % 2 + 1):
            out[i] = number_at(x, 5)

    assert traced(calls_it_twice)["x"].requests == 2


def test_a_long_loop():
    """Jumps over more than 255 instructions are coded in another way."""
    body = "\n".join(f"        s += {k} * (s - {k})" for k in range(120))
    source = f"def long(x, out):\n    s = i = cuda.threadIdx.x\n    for k in range(32):\n{body}\n"
    names = {"cuda": cuda}
    exec(f"{source}        if k == i:\n            out[i] = x[i]\n", names)
    assert traced(names["long"])["x"].requests == 32


def test_conflicts_are_those_of_lanes_together():
    def column(out, is_serial):
        s = cuda.shared.array((32, 32), float32)
        i = cuda.threadIdx.x
        for k in range(32 if is_serial else 1):
            if not is_serial or k == i:
                s[i, 0] = k
        out[i] = 0

    seen = [trace(column, 1, 32, np.zeros(32), serial).traffic["s"] for serial in (0, 1)]
    assert [(s.requests, s.passes, s.conflicts) for s in seen] == [(1, 32, 31), (32, 32, 0)]


@settings(deadline=None, max_examples=25)
@given(st.lists(st.lists(st.integers(0, 3), max_size=3), min_size=32, max_size=32))
def test_requests_are_the_different_turns_that_lanes_are_in(turns):
    """Against sets of turns: a lane goes round the outer loop once for each number, and so often round the inner."""
    ends = np.zeros((32, 4), np.int64)
    for lane, inner in enumerate(turns):
        ends[lane, : len(inner) + 1] = [len(inner), *inner]

    def nested(ends, out):
        i = cuda.threadIdx.x
        for outer in range(ends[i, 0]):
            inner = 0
            while inner < ends[i, outer + 1]:
                out[i] = 1
                inner += 1

    seen = trace(nested, 1, 32, ends, np.zeros(32)).traffic
    different = {(o, k) for inner in turns for o, n in enumerate(inner) for k in range(n)}
    assert (seen["out"].requests if "out" in seen else 0) == len(different)


def test_what_watched_before_watches_again():
    def watch(frame, event, argument):
        return None

    before = sys.gettrace()
    sys.settrace(watch)
    try:
        trace(together, 1, 32, np.ones(128), np.zeros(128))
        assert sys.gettrace() is watch
        with pytest.raises(IndexError):
            trace(together, 1, 33, np.ones(128), np.zeros(128))
        assert sys.gettrace() is watch
    finally:
        sys.settrace(before)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring came with Python 3.12")
def test_no_tool_stays_behind():
    before = [sys.monitoring.get_tool(number) for number in range(6)]
    trace(together, 1, 32, np.ones(128), np.zeros(128))
    assert [sys.monitoring.get_tool(number) for number in range(6)] == before


def test_an_access_that_python_has_written_down_twice_is_one():
    """Python copies a short end of a function into both branches before it."""

    def chosen(x, out):
        i = cuda.threadIdx.x
        out[i] = 1 if i % 2 else 2

    def doubled(x, out):
        i = cuda.threadIdx.x
        out[i] += x[i] + x[i]

    assert traced(chosen)["out"].requests == 1
    assert (traced(doubled)["out"].requests, traced(doubled)["x"].requests) == (2, 2)


def test_without_loops_the_nth_time_goes_with_the_nth():
    def seen(loops):
        x = np.ones(32, np.float32)
        return trace(lane_by_lane, 1, 32, x, x.copy(), loops=loops).traffic["x"].requests

    assert (seen(True), seen(False)) == (32, 1)
