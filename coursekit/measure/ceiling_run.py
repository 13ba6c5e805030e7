"""The measurement behind `ceilings`: every quantity in turn, again and again, and the best of the medians."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

import numpy as np
import psutil

from coursekit.measure.machine import Machine
from coursekit.measure.microbench import Kernels, buffers, kernels, run_together
from coursekit.measure.roofline import MAIN_MEMORY, THREADS, Ceilings, assemble, working_sets

SAMPLE_S = 3e-3
SAMPLES = 3
PASSES = (12, 60)
STEADY = 8
LIMIT_S = 10.0


@dataclass
class Probe:
    """One quantity: `run(repeats)` gives the seconds that `repeats` units of `amount` (FLOPs or bytes) took."""

    what: str
    threads: str
    amount: float
    run: Callable[[int], float]
    repeats: int = 1

    def calibrate(self) -> None:
        """Set `repeats` so that one sample lasts SAMPLE_S or a little longer."""
        self.run(1)
        while (taken := self.run(self.repeats)) < SAMPLE_S and self.repeats < 1 << 40:
            self.repeats = max(
                self.repeats + 1, round(self.repeats * min(20, 1.2 * SAMPLE_S / max(taken, 1e-7)))
            )

    def rate(self) -> float:
        """The median of a few samples, in amounts per second."""
        return self.amount * self.repeats / median(self.run(self.repeats) for _ in range(SAMPLES))


def measure(machine: Machine, progress: Callable[[float, str], object] | None = None) -> Ceilings:
    """Measure everything; `progress(part, what)` hears of each step. Raises nothing but MemoryError."""
    report = progress or (lambda part, what: None)
    start = time.perf_counter()
    report(0.0, "compiling")
    free = psutil.virtual_memory().available
    best: dict[tuple[str, str], float] = {}
    sets: dict[str, int] = {}
    for group, threads in enumerate(THREADS):
        count = 1 if threads == "one" else machine.cores
        one_sets = working_sets(machine.caches, count, free)
        sets = sets or one_sets
        probes = list(make_probes(kernels(), machine, threads, count, one_sets))
        limit = start + LIMIT_S * (group + 1) / len(THREADS)
        climb(probes, best, limit, lambda part, what, g=group: report((g + part) / len(THREADS), what))
    report(1.0, "done")
    return assemble(machine, best, sets, time.perf_counter() - start)


def climb(probes: list[Probe], best: dict, limit: float, report, now=time.perf_counter) -> None:
    """Raise best[(what, threads)] in passes over all probes, until no pass of the last few raised one by 1 %.

    A pass visits every probe, so that a slow spell of the machine is not blamed on one of them.
    """
    for probe in probes:
        probe.calibrate()
    least, most = PASSES
    quiet = 0
    for made in range(most):
        improved = False
        for probe in probes:
            report(made / most, f"{probe.what}, {probe.threads}")
            key, rate = (probe.what, probe.threads), probe.rate()
            improved |= rate > 1.01 * best.get(key, 0)
            best[key] = max(rate, best.get(key, 0))
        quiet = 0 if improved else quiet + 1
        if made + 1 >= least and (quiet >= STEADY or now() > limit):
            return


def make_probes(
    k: Kernels, machine: Machine, threads: str, count: int, sets: dict[str, int]
) -> Iterator[Probe]:
    """A probe for the peak, one for each cache, and two for what streaming stores may serve better."""
    x, y = np.float32(0.999), np.float32(0.001)
    steps = 1000
    yield Probe(
        "peak", threads, count * steps * k.flops_per_step, _each([lambda n: k.fma(n * steps, x, y)] * count)
    )
    for level, nbytes in sets.items():
        pairs = [buffers(nbytes, k.block) for _ in range(count)]
        moved = sum(2 * dst.nbytes for dst, _ in pairs)
        shared = level in (machine.caches[-1].name, MAIN_MEMORY)
        for loop in [k.copy, k.stream] if shared else [k.copy]:
            copiers = [_copier(loop, dst, src) for dst, src in pairs]
            yield Probe(level, threads, moved, _each(copiers, shared))


def _copier(loop, dst, src):
    return lambda n: loop(dst, src, n)


def _each(functions: list[Callable[[int], object]], shared: bool = False) -> Callable[[int], float]:
    """run(repeats) -> seconds on the threads' CPU clock, which other programs disturb less than the wall's.

    Several threads that share what they measure are timed by the wall: only what they do at once counts.
    """
    fine = time.get_clock_info("thread_time").resolution < 1e-6
    if len(functions) > 1:
        which = 1 if fine and not shared else 0
        return lambda n: run_together([lambda f=f: f(n) for f in functions])[which]
    clock = time.thread_time if fine else time.perf_counter

    def run(repeats: int) -> float:
        start = clock()
        functions[0](repeats)
        return clock() - start

    return run
