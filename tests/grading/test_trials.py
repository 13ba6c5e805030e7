"""The trials of a generator that works ahead: a right one passes, and each fault is told from the others."""

import queue
import threading

import pytest

from coursekit.grading import trials


def right(source, depth, *, size=None, catch=Exception, tells=True, looks=True):
    """Makes items ahead in a thread; the options make it wrong."""
    waiting, stop = queue.Queue(depth if size is None else size), threading.Event()

    def put(*pair):
        while not stop.is_set():
            try:
                return waiting.put(pair, timeout=0.05)
            except queue.Full:
                continue

    def run():
        try:
            for item in source:
                put("item", item)
                if looks and stop.is_set():
                    return
            put("end", None)
        except catch as error:
            put("error", error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        while True:
            kind, item = waiting.get()
            if kind == "end":
                return
            if kind == "error":
                raise item
            yield item
    finally:
        if tells:
            stop.set()
            thread.join()


def lazy(source, depth):
    yield from source


def varied(**wrong):
    return lambda source, depth: right(source, depth, **wrong)


ITEMS = list(range(12))


@pytest.mark.parametrize("depth", [1, 3, 100])
def test_a_right_one_passes_every_trial(depth):
    assert trials.all_items(right, [1, None], depth) == ([1, None], 0)
    asks, least, most = "a thread asks the source", "depth are ready", "no more than depth + 1 in advance"
    items = list(range(2 * depth + 9))
    assert trials.resting_after(right, 2, items, depth) == (items, asks, least, most)
    assert trials.slow_after(right, 2, ITEMS, depth) == (ITEMS, "no item waits for the next")
    assert trials.stopped_early(right, depth, 2) == ([0, 1], "0 threads are left", "takes no more")
    assert trials.broken_source(right, [1], depth, KeyError) == ([1], "KeyError", 0)


def test_who_asks_and_how_many_wait_is_seen():
    _, asks, least, _ = trials.resting_after(lazy, 1, ITEMS, 2)
    assert (asks, least) == ("the consumer asks the source", "fewer than depth are ready")
    assert trials.resting_after(varied(size=1), 1, ITEMS, 3)[2] == "fewer than depth are ready"
    assert trials.resting_after(varied(size=0), 1, ITEMS, 3)[3] == "more than depth + 1 in advance"


def test_a_thread_that_does_not_stop_is_seen():
    assert trials.stopped_early(varied(tells=False), 2, 1)[1] == "1 threads are left"
    assert trials.stopped_early(varied(looks=False), 2, 1)[2] == "goes on taking"


def test_an_item_that_waits_for_the_next_is_seen():
    def late(source, depth):
        before = []
        for item in source:
            yield from before
            before = [item]
        yield from before

    assert trials.slow_after(late, 1, ITEMS, 1) == (ITEMS, "an item waits for the next")


def test_a_consumer_who_waits_in_vain_is_given_up(monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    assert trials.broken_source(varied(catch=KeyError), [1], 1, ValueError) == "the consumer waits in vain"


def test_an_error_of_the_generator_itself_comes_through():
    def broken(source, depth):
        raise ZeroDivisionError
        yield

    with pytest.raises(ZeroDivisionError):
        trials.all_items(broken, [1], 1)
