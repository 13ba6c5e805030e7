"""This machine's ceilings: how fast it can calculate, and how fast it can move data.

The roofline model (S. Williams, A. Waterman, D. Patterson, Communications of the ACM 52(4), 2009) bounds a kernel
that does I operations for each byte it moves by min(peak, I · bandwidth). Both bounds are measured here, since
data sheets know neither the neighbours nor the clock rate of the moment.
"""

import math
import time
from dataclasses import dataclass

import numpy as np

from coursekit.measure.machine import Cache, Machine
from coursekit.measure.text import binary, html_table, si, significant, text_table

MAIN_MEMORY = "DRAM"
THREADS = ("one", "all")


@dataclass(frozen=True)
class Level:
    """A level of memory: its size and the bytes that one core's copy went over; bytes per second, read + written."""

    name: str
    size: int
    working_set: int
    one: float
    all: float


@dataclass(frozen=True)
class Ceilings:
    """Peak float32 FLOP/s (a multiply-add counts 2) and copy bandwidths in bytes/s (read + written).

    `threads` is 'one' or 'all' everywhere; `level` is a key of `levels`, from 'L1' to 'DRAM'. A kernel that reads
    more than it writes can exceed the copy bandwidth a little. Where other programs keep the machine busy, the
    bandwidths of all cores in the last cache and in main memory come out too low: then measure again.
    """

    machine: str
    fingerprint: str
    cores: int
    peaks: dict[str, float]
    levels: dict[str, Level]
    measured_at: str
    took_s: float

    def peak(self, threads: str = "one") -> float:
        """Float32 FLOP/s from registers. Raises ValueError for threads other than 'one' and 'all'."""
        return self.peaks[_threads(threads)]

    def bandwidth(self, level: str = MAIN_MEMORY, threads: str = "one") -> float:
        """Bytes per second of a copy in `level`. Raises ValueError for an unknown level."""
        if level not in self.levels:
            raise ValueError(f"level must be one of {', '.join(self.levels)}, got {level!r}")
        return getattr(self.levels[level], _threads(threads))

    def ridge(self, level: str = MAIN_MEMORY, threads: str = "one") -> float:
        """FLOP per byte above which calculation, and no longer `level`, is the bound."""
        return self.peak(threads) / self.bandwidth(level, threads)

    def attainable(self, intensity, level: str = MAIN_MEMORY, threads: str = "one"):
        """The roofline: FLOP/s that `intensity` (FLOP per byte, a number or an array) allows at best."""
        bound = np.minimum(self.peak(threads), np.asarray(intensity) * self.bandwidth(level, threads))
        return float(bound) if np.ndim(intensity) == 0 else bound

    def holding(self, nbytes: float) -> str:
        """The name of the smallest level in which so many bytes have room."""
        return next((level.name for level in self.levels.values() if nbytes <= level.size), MAIN_MEMORY)

    def _rows(self) -> tuple[list[str], list[list[str]]]:
        header = ["ceiling", "size", "one core", f"all {self.cores} cores", "ridge (one core)"]
        rows = [["float32 peak", "", si(self.peak("one"), "FLOP/s"), si(self.peak("all"), "FLOP/s"), ""]]
        for level in self.levels.values():
            ridge = f"{significant(self.ridge(level.name), 2)} FLOP/B"
            rows.append(
                [f"{level.name} copy", binary(level.size), si(level.one, "B/s"), si(level.all, "B/s"), ridge]
            )
        return header, rows

    def __repr__(self) -> str:
        return (
            f"{text_table(*self._rows())}\n{self.machine}, measured {self.measured_at} in {self.took_s:.0f} s"
        )

    def _repr_html_(self) -> str:
        return html_table(*self._rows(), caption=f"{self.machine}, measured {self.measured_at}")


def assemble(
    machine: Machine, rates: dict[tuple[str, str], float], sets: dict[str, int], took_s: float
) -> Ceilings:
    """Ceilings from rates[(what, threads)], where `what` is 'peak' or the name of a level.

    All cores together are never slower than one, so a smaller rate for them is noise, and one core's is taken.
    """
    best = {(w, t): max(r, rates[w, "one"]) for (w, t), r in rates.items()}
    sizes = {cache.name: cache.size for cache in machine.caches} | {MAIN_MEMORY: machine.memory}
    return Ceilings(
        machine=str(machine),
        fingerprint=machine.fingerprint,
        cores=machine.cores,
        peaks={t: best["peak", t] for t in THREADS},
        levels={n: Level(n, sizes[n], sets[n], best[n, "one"], best[n, "all"]) for n in sizes},
        measured_at=time.strftime("%Y-%m-%d %H:%M"),
        took_s=took_s,
    )


def working_sets(caches: tuple[Cache, ...], threads: int, free: int) -> dict[str, int]:
    """Bytes for each of `threads` copies, source and destination together, so that they live in each level.

    Half the level, shared by the threads that share it, but above what the level below holds. For main memory four
    times all the last caches, at least 64 MiB, at most 1 GiB and a quarter of the `free` bytes.
    """
    sets, below = {}, 0
    for cache in caches:
        sets[cache.name] = max(cache.size // 2 // min(threads, cache.shared_by), 3 * below // 2)
        below = cache.size
    last = caches[-1]
    together = 4 * last.size * math.ceil(threads / last.shared_by)
    sets[MAIN_MEMORY] = min(max(together, 64 << 20), 1 << 30, free // 4) // threads
    return sets


def _threads(threads: str) -> str:
    if threads not in THREADS:
        raise ValueError(f"threads must be 'one' or 'all', got {threads!r}")
    return threads
