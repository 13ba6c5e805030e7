"""Trials of a generator that makes items ahead in a thread: what comes out, who asks, how many wait, what stops.

For the exercise on prefetching. Each calls ``ahead(source, depth)``, the generator on trial, and returns words and
numbers that do not depend on how fast the machine is. A consumer that waits for ever is given up after some seconds.
"""

import threading
import time


def _threads_left(before, seconds=1.0):
    """How many threads there are more than before, once they had time to end."""
    extra = [thread for thread in threading.enumerate() if thread not in before]
    for thread in extra:
        thread.join(seconds / len(extra))
    return sum(thread.is_alive() for thread in extra)


def _in_time(consume, seconds=3.0):
    """What consume returns, called in a thread, so that a consumer who waits for ever does not stop the notebook."""
    came = []

    def run():
        try:
            came.append((consume(), None))
        except Exception as broken:
            came.append((None, broken))

    consumer = threading.Thread(target=run, daemon=True)
    consumer.start()
    consumer.join(seconds)
    value, error = came[0] if came else ("the consumer waits in vain", None)
    if error is not None:
        raise error
    return value


def all_items(ahead, items, depth):
    """The items that come out, and how many threads are left: a pair. None where `ahead` returns None."""

    def consume():
        before, generator = threading.enumerate(), ahead(iter(items), depth)
        return None if generator is None else (list(generator), _threads_left(before))

    return _in_time(consume)


def resting_after(ahead, count, items, depth):
    """The consumer takes `count` items, and rests: who asks the source, and how many are taken in advance?

    Returns all items, and three sentences.
    """

    def consume():
        taken, takers, enough, many = [], set(), threading.Event(), threading.Event()

        def source():
            for item in items:
                takers.add(threading.get_ident())
                taken.append(item)
                if len(taken) >= count + depth:
                    enough.set()
                if len(taken) > count + depth + 1:
                    many.set()
                yield item

        generator = ahead(source(), depth)
        got = [next(generator) for _ in range(count)]
        least = "depth are ready" if enough.wait(1) else "fewer than depth are ready"
        most = "more than depth + 1 in advance" if many.wait(0.1) else "no more than depth + 1 in advance"
        got += generator
        taker = "the consumer" if threading.get_ident() in takers else "a thread"
        return got, f"{taker} asks the source", least, most

    return _in_time(consume)


def slow_after(ahead, count, items, depth):
    """A source that waits before its next item until the consumer has got `count`, or for half a second.

    Returns all items, and whether one that was there had to wait for the next.
    """

    def consume():
        has_them, waited = threading.Event(), []

        def source():
            yield from items[:count]
            waited.append(not has_them.wait(0.5))
            yield from items[count:]

        generator = ahead(source(), depth)
        got = [next(generator) for _ in range(count)]
        has_them.set()
        got += generator
        return got, "an item waits for the next" if any(waited) else "no item waits for the next"

    return _in_time(consume)


def stopped_early(ahead, depth, count):
    """The consumer takes `count` items of a long source and closes the generator: does the thread stop?

    Returns the items, how many threads are left, and whether the source is still asked.
    """

    def consume():
        closed, late = threading.Event(), []

        def source():
            for item in range(150):
                if closed.is_set():
                    late.append(item)
                    time.sleep(0.01)
                yield item

        before, generator = threading.enumerate(), ahead(source(), depth)
        some = [next(generator) for _ in range(count)]
        closed.set()
        generator.close()
        left = _threads_left(before)
        taken = "goes on taking" if len(late) > depth + 5 else "takes no more"
        return some, f"{left} threads are left", taken

    return _in_time(consume)


def broken_source(ahead, items, depth, kind):
    """A source that raises an error of the class `kind` after its items.

    Returns what the consumer got, the name of the error's class, and how many threads are left.
    """

    def source():
        yield from items
        raise kind("broken")

    def consume():
        got, before = [], threading.enumerate()
        try:
            for item in ahead(source(), depth):
                got.append(item)
        except Exception as broken:
            return got, type(broken).__name__, _threads_left(before)
        return got, "no error", _threads_left(before)

    return _in_time(consume)
