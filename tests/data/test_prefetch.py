import gc
import multiprocessing
import pickle
import threading
import time

import numpy as np
import pytest

from coursekit.data import Items, Timeline, prefetch, workers


def running():
    return [thread for thread in threading.enumerate() if thread.name == "prefetch"]


def ended(within=2.0):
    stop = time.monotonic() + within
    while running() and time.monotonic() < stop:
        time.sleep(0.01)
    return not running()


@pytest.mark.parametrize("depth", [1, 2, 100])
def test_the_same_items_in_the_same_order(depth):
    assert list(prefetch(range(50), depth)) == list(range(50)) and list(prefetch([], depth)) == []
    assert list(prefetch([None, None], depth)) == [None, None]
    assert ended()


def test_items_are_made_ahead_in_another_thread_and_no_more_than_asked_for():
    made = []

    def source():
        for i in range(20):
            made.append(threading.current_thread().name)
            yield i

    items = prefetch(source(), 3)
    assert next(items) == 0
    stop = time.monotonic() + 5
    while len(made) < 5 and time.monotonic() < stop:
        time.sleep(0.01)
    time.sleep(0.1)
    assert len(made) == 5 and set(made) == {"prefetch"}  # one given out, three that wait, one in the making
    items.close()
    assert ended() and len(made) == 5


def test_an_error_comes_after_the_items_before_it():
    def source():
        yield 1
        raise KeyError("broken")

    items = prefetch(source())
    assert next(items) == 1
    with pytest.raises(KeyError, match="broken"):
        next(items)
    assert ended() and list(items) == []


def test_an_iterator_that_is_forgotten_ends_its_thread():
    items = prefetch(iter(int, 1))
    next(items)
    del items
    gc.collect()
    assert ended()


def test_nothing_runs_before_the_first_item_is_asked_for():
    prefetch(range(3))
    assert not running()
    with pytest.raises(ValueError, match="depth is 0"):
        prefetch(range(3), 0)


def test_items_travel_to_a_worker():
    items = Items(np.arange(6.0).reshape(3, 2), np.array([1, 0, 1]), np.negative)
    again = pickle.loads(pickle.dumps(items))
    assert len(again) == 3 and np.array_equal(again[1][0], [-2, -3]) and again[1][1] == 0
    with pytest.raises(ValueError, match="3 images but 2 labels"):
        Items(np.ones((3, 2)), np.ones(2), abs)


@pytest.mark.slow
def test_workers_give_the_batches_in_order_and_end():
    items = Items(np.arange(14.0).reshape(7, 2), np.arange(7), np.negative)
    with workers(items, 2) as loader:
        for _ in range(2):
            batches = list(loader)
            assert [y.tolist() for _, y in batches] == [[0, 1], [2, 3], [4, 5]]
            assert batches[1][0].tolist() == [[-4, -5], [-6, -7]]
        assert len(multiprocessing.active_children()) == 2
    assert multiprocessing.active_children() == []


@pytest.mark.slow
def test_workers_end_also_where_the_block_raises():
    with pytest.raises(KeyError), workers(Items(np.ones((4, 1)), np.ones(4), np.negative), 2, 1) as loader:
        next(iter(loader))
        raise KeyError
    assert multiprocessing.active_children() == []
    with workers(Items(np.ones((4, 1)), np.ones(4), np.negative), 2, 1):
        pass


def ticking():
    now = [0.0]

    def clock():
        now[0] += 1
        return now[0]

    return clock


def test_a_timeline_adds_up():
    timeline = Timeline(ticking())
    with timeline("a"):
        pass
    with pytest.raises(RuntimeError), timeline("b"), timeline("a"):
        raise RuntimeError
    assert [(s.what, s.start, s.stop) for s in timeline.spans] == [("a", 1, 2), ("a", 4, 5), ("b", 3, 6)]
    assert timeline.seconds("a") == 2 and timeline.share("a") == 2 / 5 and timeline.share("c") == 0
    assert Timeline().share("a") == 0


def test_a_timeline_sees_what_each_item_takes():
    timeline = Timeline(ticking())
    assert list(timeline.each("wait", "xyz")) == ["x", "y", "z"]
    assert [span.what for span in timeline.spans] == ["wait"] * 3 and timeline.seconds("wait") == 3
