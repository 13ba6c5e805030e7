"""Races: two threads of a block at one element of shared memory, and nothing that says who comes first."""

import linecache
from collections import Counter
from dataclasses import dataclass

import numpy as np

from coursekit.measure.gpu.books import ATOMIC, READ, WARP
from coursekit.measure.gpu.count import key_of, split


@dataclass(frozen=True)
class Race:
    """Two threads of a block at one element of shared memory, one of them writing, and no barrier between them.

    Attributes:
        array: its name in the kernel.
        lines: of the source, that which writes first.
        texts: what stands there.
        threads: the first two that were found, by their numbers in the block.
        pairs: how many pairs of threads and elements race in these lines, over all blocks.
    """

    array: str
    lines: tuple[int, int]
    texts: tuple[str, str]
    threads: tuple[int, int]
    pairs: int

    def __str__(self) -> str:
        (one, other), (first, second) = self.lines, self.texts
        return (
            f"{self.array}: line {one} ({first}) by thread {self.threads[0]} and line {other} ({second}) by thread "
            f"{self.threads[1]}, with no barrier between them; {self.pairs:,} pairs in all"
        )


def races_in(c, books) -> list[Race]:
    rows = np.flatnonzero(c["is_shared"])
    if not len(rows):
        return []
    unit = int(c["bytes"][rows].min())
    again, place = split(c["address"][rows], c["bytes"][rows], unit)
    again = rows[again]
    key = key_of(c["block"][again], c["epoch"][again], place)
    order = np.argsort(key, kind="stable")
    again, key = again[order], key[order]
    ends = np.flatnonzero(np.r_[True, np.diff(key) != 0, True])
    thread, kind, starts = c["thread"][again], c["kind"][again], ends[:-1]
    many = np.maximum.reduceat(thread, starts) != np.minimum.reduceat(thread, starts)
    suspicious = np.flatnonzero(many & (np.maximum.reduceat(kind, starts) > READ))
    pairs, examples = Counter(), {}
    for i in suspicious:
        _race_at(c, again[starts[i] : ends[i + 1]], pairs, examples)
    return [_race(c, books, key, *examples[key], many) for key, many in pairs.items()]


def _race_at(c, rows, pairs: Counter, examples: dict) -> None:
    """Add those who race at one element between two barriers."""
    seen = set()
    for one in rows[c["kind"][rows] > READ]:
        for other in rows:
            if _are_ordered(c, one, other):
                continue
            key = (int(c["site"][one]), int(c["site"][other]))
            if c["kind"][other] > READ:
                key = (min(key), max(key))
            threads = tuple(sorted((int(c["thread"][one]), int(c["thread"][other]))))
            if (key, threads) not in seen:
                seen.add((key, threads))
                pairs[key] += 1
                examples.setdefault(key, (one, other) if int(c["site"][one]) == key[0] else (other, one))


def _are_ordered(c, one, other) -> bool:
    if c["thread"][one] == c["thread"][other]:
        return True
    if c["kind"][one] == c["kind"][other] == ATOMIC:
        return True
    is_one_warp = c["thread"][one] // WARP == c["thread"][other] // WARP
    return bool(is_one_warp and c["warp_epoch"][one] != c["warp_epoch"][other])


def _race(c, books, key, one, other, pairs) -> Race:
    places = [books.sites[site] for site in key]
    return Race(
        array=books.names[c["array"][one]],
        lines=tuple(line for _, line in places),
        texts=tuple(linecache.getline(file, line).strip() for file, line in places),
        threads=(int(c["thread"][one]), int(c["thread"][other])),
        pairs=pairs,
    )
