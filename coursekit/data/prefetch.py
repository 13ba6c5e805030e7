"""Getting the next item ready while this one is used: in a thread, or in the workers of torch's DataLoader."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import numpy as np

_END = object()


def prefetch(source: Iterable, depth: int = 2) -> Iterator:
    """Go through a source that a thread of its own keeps ahead.

    Worth it where making an item lets go of the interpreter's lock, as NumPy's, torch's and the course's kernels do for
    large arrays, or waits for a file. What the source raises is raised here, after the items before it. The thread ends
    with the source, or soon after the iterator is closed or forgotten.

    Parameters
    ----------
    source : iterable
        Its items are made in the thread, one after the other.
    depth : int
        Items that wait at most, at least 1. One more is in the making.

    Yields
    ------
    The source's items, in its order.

    Raises
    ------
    ValueError
        At the call, where depth is below 1.
    """
    if depth < 1:
        raise ValueError(f"depth is {depth}; at least 1 item has to find room")
    return _prefetch(iter(source), depth)


def _prefetch(items: Iterator, depth: int) -> Iterator:
    waiting, stop = queue.Queue(depth), threading.Event()
    thread = threading.Thread(target=_produce, args=(items, waiting, stop), name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            item, error = waiting.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        stop.set()
        thread.join()


def _produce(items: Iterator, waiting: queue.Queue, stop: threading.Event) -> None:
    try:
        for item in items:
            if not _put((item, None), waiting, stop):
                return
    except BaseException as error:
        _put((None, error), waiting, stop)
    else:
        _put((_END, None), waiting, stop)


def _put(entry: tuple, waiting: queue.Queue, stop: threading.Event) -> bool:
    """Wait for room, and look now and then whether somebody still wants it."""
    while not stop.is_set():
        try:
            waiting.put(entry, timeout=0.05)
        except queue.Full:
            continue
        return True
    return False


class Items:
    """Images one by one with work done on each: what a DataLoader asks for, here in a module that workers can import.

    A worker that is started afresh ("spawn", "forkserver") knows nothing of what a notebook's cells define, so
    ``work`` has to come from a module, too.

    Parameters
    ----------
    images : ndarray, shape (n, ...)
    labels : ndarray, int, shape (n,)
    work : function of one image
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, work: Callable[[np.ndarray], np.ndarray]):
        if len(images) != len(labels):
            raise ValueError(f"there are {len(images)} images but {len(labels)} labels")
        self.images, self.labels, self.work = images, labels, work

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[np.ndarray, int]:
        return self.work(self.images[i]), int(self.labels[i])


@contextmanager
def workers(items: Items, batch_size: int, number: int = 2, *, timeout_s: float = 120) -> Iterator:
    """``with workers(items, 64) as loader``: torch's DataLoader with processes of its own, which end with the block.

    The processes are started afresh ("spawn"): a copy of a running one ("fork") has its locks and none of its threads,
    and in a notebook there are always threads. Starting costs seconds, as each loads torch anew, and is done when
    the loader is first gone through; after that they stay for the next time.

    Parameters
    ----------
    items : Items
        Sent to each worker once.
    batch_size, number : int
        Items in a batch, and workers, at least 1 each.
    timeout_s : float
        Seconds that a batch may take before RuntimeError says that a worker hangs.

    Yields
    ------
    torch.utils.data.DataLoader
        In the order of the items; the last batch is left out where it is smaller.
    """
    from torch.utils.data import DataLoader

    loader = DataLoader(
        items,
        batch_size,
        drop_last=True,
        num_workers=number,
        multiprocessing_context="spawn",
        persistent_workers=True,
        timeout=timeout_s,
    )
    try:
        yield loader
    finally:
        if loader._iterator is not None:  # there is no public way to end them before the loader is forgotten
            loader._iterator._shutdown_workers()
            loader._iterator = None
