"""Races: two threads at one element, one of them writing, and nothing that says who comes first."""

import linecache
from collections import Counter
from dataclasses import dataclass

import numpy as np

from coursekit.measure.gpu.books import ATOMIC, READ, WARP
from coursekit.measure.gpu.count import key_of, split

MOST = 1024
"""Threads of a block."""


@dataclass(frozen=True)
class Race:
    """Two threads at one element, one of them writing, in one block with no barrier between them, or in two blocks.

    Attributes:
        array: its name in the kernel.
        lines: of the source, that which writes first.
        texts: what stands there.
        threads: the first two that were found, by their numbers in the block.
        blocks: where these are, by their numbers in the grid.
        pairs: how many pairs of threads race in these lines.
    """

    array: str
    lines: tuple[int, int]
    texts: tuple[str, str]
    threads: tuple[int, int]
    blocks: tuple[int, int]
    pairs: int

    def __str__(self) -> str:
        (one, other), (first, second) = self.lines, self.texts
        where = [""] * 2 if self.blocks[0] == self.blocks[1] else [f" of block {n}" for n in self.blocks]
        why = "nothing orders blocks" if where[0] else "with no barrier between them"
        return (
            f"{self.array}: line {one} ({first}) by thread {self.threads[0]}{where[0]} and line {other} ({second}) by "
            f"thread {self.threads[1]}{where[1]}, {why}; {self.pairs:,} pairs in all"
        )


def races_in(c, books) -> list[Race]:
    """Those in shared memory, where a block is alone, and in global memory, which all blocks reach.

    Several threads that write to one element of global memory in the same line are taken to write the same.
    """
    pairs, examples = Counter(), {}
    shared = np.flatnonzero(c["is_shared"])
    _look(c, shared, lambda again: (c["block"][again], c["epoch"][again]), pairs, examples)
    for number in range(len(books.names)):
        rows = np.flatnonzero((c["array"] == number) & ~c["is_shared"])
        if (c["kind"][rows] > READ).any():
            _look(c, rows, lambda again: (), pairs, examples)
    return [_race(c, books, key, *examples[key], many) for key, many in pairs.items()]


def _look(c, rows, apart, pairs, examples) -> None:
    """Look at each element that several threads come to; ``apart`` says of accesses what keeps them apart."""
    if not len(rows):
        return
    again, place = split(c["address"][rows], c["bytes"][rows], int(c["bytes"][rows].min()))
    again = rows[again]
    key = key_of(*apart(again), place)
    order = np.argsort(key, kind="stable")
    again, key = again[order], key[order]
    ends = np.flatnonzero(np.r_[True, np.diff(key) != 0, True])
    thread, kind, starts = c["block"][again] * MOST + c["thread"][again], c["kind"][again], ends[:-1]
    many = np.maximum.reduceat(thread, starts) != np.minimum.reduceat(thread, starts)
    for i in np.flatnonzero(many & (np.maximum.reduceat(kind, starts) > READ)):
        _race_at(c, again[starts[i] : ends[i + 1]], pairs, examples)


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
            threads = tuple(sorted((int(c["block"][i]), int(c["thread"][i])) for i in (one, other)))
            if (key, threads) not in seen:
                seen.add((key, threads))
                pairs[key] += 1
                examples.setdefault(key, (one, other) if int(c["site"][one]) == key[0] else (other, one))


def _are_ordered(c, one, other) -> bool:
    if c["kind"][one] == c["kind"][other] == ATOMIC:
        return True
    if not c["is_shared"][one] and c["kind"][other] > READ and c["site"][one] == c["site"][other]:
        return True  # all give the result that they have in common, as in ``out[0] = s[0]``
    if c["block"][one] != c["block"][other]:
        return False
    if c["thread"][one] == c["thread"][other] or c["epoch"][one] != c["epoch"][other]:
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
        blocks=(int(c["block"][one]), int(c["block"][other])),
        pairs=pairs,
    )
