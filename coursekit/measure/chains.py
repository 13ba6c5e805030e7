"""How fast multiply-adds go, by the width of their vectors and by how many do not wait for each other."""

import functools
import time

from numba import njit

from coursekit.measure.microbench import fma_loop

LONGEST = 64


def fma_rate(lanes: int, chains: int, *, rounds: int = 7) -> float:
    """FLOP/s of multiply-adds on registers: ``chains`` accumulators of ``lanes`` float32 each, on one thread.

    A multiply-add counts 2. Each chain waits for its own last result and for no other, so few chains show the
    latency of the unit and many its throughput; more chains than the machine has registers go through the cache.
    The best of ``rounds`` short runs by the thread's CPU time: other work only ever makes one longer.

    Raises ValueError where lanes is no power of two, or either is not from 1 to 64.
    """
    if not (1 <= lanes <= LONGEST and lanes & (lanes - 1) == 0 and 1 <= chains <= LONGEST):
        raise ValueError(
            f"fma_rate: lanes must be a power of two and both from 1 to {LONGEST}; got {lanes}, {chains}"
        )
    run, steps = _loop(lanes, chains), 20_000
    best = min(_seconds(run, steps) for _ in range(rounds))
    return 2 * lanes * chains * steps / best


@functools.cache
def _loop(lanes: int, chains: int):
    steps = fma_loop(lanes, chains)
    return njit("float32(int64, float32, float32)")(lambda n, x, y: steps(n, x, y))


def _seconds(run, steps: int) -> float:
    start = time.thread_time()
    run(steps, 0.999, 0.001)
    return time.thread_time() - start
