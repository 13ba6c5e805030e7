"""Blocks and grids for :mod:`coursekit.measure.gpu.run`: who runs next, and what lets those who wait go on."""

import math
from itertools import groupby

import numpy as np
from greenlet import greenlet

from coursekit.measure.gpu.books import WARP, Recorder
from coursekit.measure.gpu.loops import Turns, Watch
from coursekit.measure.gpu.plain import as_plain
from coursekit.measure.gpu.run import Cuda, Index, TracedArray


class Thread:
    """A thread of a block: a greenlet, which runs when it is resumed, until it waits or is done.

    Threads of the operating system would do as well, but a sandbox allows few of them, and they take longer.
    """

    def __init__(self, run, number: int, index: Index, block: int, block_index: Index):
        self.greenlet, self.number, self.index = greenlet(run), number, index
        self.block, self.block_index = block, block_index
        self.epoch = self.warp_epoch = self.waits = 0
        self.turns = Turns()
        self.waits_at = self.offer = self.answer = None

    @property
    def is_done(self) -> bool:
        return self.greenlet.dead

    def resume(self) -> None:
        """Run on. What the kernel raises is raised here, with a note of where."""
        try:
            self.greenlet.switch()
        except BaseException as error:
            error.add_note(f"in thread {self.index} of block {self.block_index}")
            raise

    def wait(self, where, offer=None):
        """Let others go on until all are here; for a shuffle, with the value that others may have.

        ``offer`` is that value and a function that says of which lane this one wants it, or None for those of all.
        """
        self.waits_at, self.offer = where, offer
        self.greenlet.parent.switch()
        return self.answer


def run(function, names, grid, block, arguments, shared: int, most: int, loops: bool):
    """Run a kernel. Returns the books, and the copies of its arrays as it left them, by name."""
    books = Recorder(most)
    cuda = Cuda(books, grid, block, shared)
    plain, codes = as_plain(function, cuda)
    books.code = plain.__code__
    books.watch = watch = Watch(codes if loops else [], lambda: books.thread.turns)
    copies, results, given = {}, {}, []
    for name, value in zip(names, arguments, strict=True):
        if isinstance(value, np.ndarray) and value.ndim:
            if id(value) not in copies:
                number = books.new_array(name, "global")
                copies[id(value)] = TracedArray(value.copy(order="K"), number, 0, books)
            value = copies[id(value)]
            results[name] = value.data
        given.append(value)

    def thread():
        watch.begin()
        plain(*given)

    with watch.watching():
        for number, at in enumerate(_indices(grid)):
            cuda.begin_block()
            _run_block(thread, books, number, at, block)
    return books, results


def _indices(size) -> list[Index]:
    """All positions; x changes fastest, as in the numbers of threads and warps."""
    nx, ny, nz = size
    return [Index(x, y, z) for z in range(nz) for y in range(ny) for x in range(nx)]


def _run_block(function, books: Recorder, number: int, block_index: Index, block) -> None:
    threads = [Thread(function, i, index, number, block_index) for i, index in enumerate(_indices(block))]
    live = threads
    try:
        while live:
            for thread in live:
                if thread.waits_at is None:
                    books.thread = thread
                    thread.resume()
            live = [thread for thread in live if not thread.is_done]
            if not _let_warps_go_on(live):
                _let_block_go_on(live, threads, books)
    finally:
        for thread in threads:
            if thread.greenlet:  # it waits, as another one has failed
                thread.greenlet.throw()


def _let_warps_go_on(live: list[Thread]) -> bool:
    """Answer the shuffles of each warp whose threads are all at the same one; whether there was any."""
    any_went = False
    for _, group in groupby(live, key=lambda thread: thread.number // WARP):
        warp = list(group)
        here = warp[0].waits_at
        if here[0] == "warp" and all(thread.waits_at == here for thread in warp):
            offers = {thread.number % WARP: thread.offer for thread in warp}
            for lane, thread in zip(offers, warp, strict=True):
                value, source = thread.offer
                if source is None:
                    thread.answer = {other: offer[0] for other, offer in offers.items()}
                else:
                    thread.answer = offers.get(source(lane), (value,))[0]
                thread.waits_at = None
            any_went = True
    return any_went


def _let_block_go_on(live: list[Thread], threads: list[Thread], books: Recorder) -> None:
    if len(places := {thread.waits_at for thread in live}) > 1:
        lines = sorted({books.sites[site][1] for _, site in places})
        raise RuntimeError(
            f"threads of block {live[0].block_index} wait for each other in different places, lines "
            f"{' and '.join(map(str, lines))}: a barrier or a shuffle has to be reached by all of them"
        )
    if live and len(live) < len(threads):
        gone, line = next(thread for thread in threads if thread.is_done), books.sites[live[0].waits_at[1]][1]
        raise RuntimeError(
            f"thread {gone.index} of block {gone.block_index} never reaches line {line}, where {len(live)} others "
            "wait: a barrier has to be reached by all threads of the block"
        )
    for thread in live:
        thread.waits_at = None
        thread.epoch += 1
        books.barriers = max(books.barriers, thread.epoch)


def sizes(size) -> tuple[int, int, int]:
    """A grid or a block as three numbers. Raises ValueError for what is no size."""
    size = tuple(size) if isinstance(size, (tuple, list)) else (size,)
    if not 1 <= len(size) <= 3 or not all(isinstance(n, (int, np.integer)) and n > 0 for n in size):
        raise ValueError(f"grid and threads must be positive ints, or up to three of them; got {size}")
    return (*map(int, size), *(1,) * (3 - len(size)))


def check_block(block) -> None:
    """Raises ValueError for a block that no GPU takes."""
    if math.prod(block) > 1024:
        raise ValueError(f"a block has at most 1024 threads; got {math.prod(block)}")
