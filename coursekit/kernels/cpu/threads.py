"""How many threads the kernels use, and how work is split among them.

Kernels run on one thread unless more are asked for. The threads are Python's own, and the kernels release the
interpreter's lock; so neither torch's number of threads changes, nor Numba's, nor OpenMP's. Each element of a result is
computed by one thread in an order that does not depend on how many there are, so the bits of a result do not either.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

_wanted = 1


def set_num_threads(number: int) -> None:
    """Use this many threads from now on, where an operation is large enough to be split.

    Raises:
        TypeError: ``number`` is no int.
        ValueError: ``number`` is below 1.
    """
    global _wanted
    if not isinstance(number, int) or isinstance(number, bool):
        raise TypeError(f"set_num_threads: number must be an int; got {type(number).__name__}")
    if number < 1:
        raise ValueError(f"set_num_threads: number must be 1 or more; got {number}")
    _wanted = number


def get_num_threads() -> int:
    """How many threads the kernels use."""
    return _wanted


def split(work: Callable[[int, int], None], total: int, grain: int) -> None:
    """Call ``work(start, stop)`` for parts of ``range(total)``, each on a thread of its own.

    Args:
        work: a function that may run beside itself, and does not call split; what it raises is raised here.
        total: how much there is to do.
        grain: each part starts at a multiple of it and is no smaller, so that less than two grains stay on one thread.
    """
    if _wanted == 1 or total < 2 * grain:
        return work(0, total)
    parts = min(_wanted, total // grain)
    bounds = [i * (total // grain) // parts * grain for i in range(parts)] + [total]
    futures = [_pool(parts).submit(work, *bounds[i : i + 2]) for i in range(1, parts)]
    try:
        work(0, bounds[1])
    finally:
        errors = [future.exception() for future in futures]
    for error in filter(None, errors):
        raise error


@cache
def _pool(parts: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(parts - 1, thread_name_prefix="coursekit")


if hasattr(os, "register_at_fork"):  # a child has the pools of its parent, and none of their threads
    os.register_at_fork(after_in_child=_pool.cache_clear)
