"""Races: two threads at one element, one of them writing, and nothing that says who comes first."""

import linecache
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from coursekit.measure.gpu.books import ATOMIC, READ, WARP, WRITE
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

    Threads that write the same bits to one element of global memory in the same line are tolerated, be they of several
    blocks, as in ``out[0] = s[0]`` behind a barrier: whoever comes last, the result is the same. Others are races, and
    in shared memory those are, too.
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
    touches = {touch: row for row, touch in zip(rows.tolist(), _touches(c, rows), strict=True)}  # each once
    if len({touch.written for touch in touches}) == 1 and next(iter(touches)).is_harmless:
        return
    for one, one_row in touches.items():
        if one.kind == READ:
            continue
        for other, other_row in touches.items():
            if _are_ordered(one, other):
                continue
            key = (one.site, other.site)
            if other.kind > READ:
                key = (min(key), max(key))
            threads = tuple(sorted(((one.block, one.thread), (other.block, other.thread))))
            if (key, threads) not in seen:
                seen.add((key, threads))
                pairs[key] += 1
                examples.setdefault(key, (one_row, other_row) if one.site == key[0] else (other_row, one_row))


class _Touch(NamedTuple):
    """What decides whether two accesses to one element race; the names are those of the books' columns."""

    kind: int
    site: int
    block: int
    thread: int
    epoch: int
    warp_epoch: int
    is_shared: bool
    address: int
    value: int

    @property
    def written(self) -> tuple[int, ...]:
        """What it leaves where, and by which line."""
        return self.kind, self.site, self.address, self.value

    @property
    def is_harmless(self) -> bool:
        """Whether others may write the same at the same time."""
        return self.kind == WRITE and not self.is_shared


def _touches(c, rows) -> Iterator[_Touch]:
    return map(_Touch._make, zip(*(c[name][rows].tolist() for name in _Touch._fields), strict=True))


def _are_ordered(one: _Touch, other: _Touch) -> bool:
    """Whether two accesses, one of which writes, come in an order, or leave the same in whatever order they come."""
    if one.kind == other.kind == ATOMIC:
        return True
    if one.block == other.block:
        if one.thread == other.thread or one.epoch != other.epoch:
            return True
        if one.thread // WARP == other.thread // WARP and one.warp_epoch != other.warp_epoch:
            return True
    return one.written == other.written and one.is_harmless


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
