"""Sectors and passes: what the accesses of a :mod:`coursekit.measure.gpu.tracing` cost, in arrays of NumPy's.

``c`` is a dict of columns everywhere, with an entry for each access.
"""

from dataclasses import dataclass

import numpy as np

from coursekit.measure.gpu.books import READ, WARP

SECTOR, LINE, BANKS, WORD = 32, 128, 32, 4


@dataclass(frozen=True)
class Traffic:
    """What happened to one array, or to all in global memory; bytes are exact ints.

    Attributes:
        reads: elements or vectors read by threads.
        writes: those written, atomic operations among them.
        requests: accesses executed by warps.
        asked: bytes, summed over threads.
        used: bytes that differ within a request, so that a number which a whole warp wants counts once.
        sectors: of 32 bytes, summed over the requests; 0 in shared memory.
        lines: of 128 bytes, alike.
        passes: through the banks of shared memory; 0 in global memory.
        conflicts: those passes that banks without conflicts would not need.
    """

    reads: int
    writes: int
    requests: int
    asked: int
    used: int
    sectors: int
    lines: int
    passes: int
    conflicts: int

    @property
    def moved(self) -> int:
        """Bytes of all sectors."""
        return SECTOR * self.sectors

    @property
    def efficiency(self) -> float:
        """The share of the moved bytes that a thread wanted; nan where none was moved."""
        return self.used / self.moved if self.sectors else float("nan")


def requests(c) -> np.ndarray:
    """For each access the number of the request that it is part of.

    Threads of a warp execute it together when it stands in the same place, they are in the same turns of all loops
    around it, and no barrier is between them. Where Python shows no loop (an access is made twice in one turn, say by a
    function that calls itself), the n-th time of one goes with the n-th of another.
    """
    own = key_of(c["array"], c["site"], c["block"], c["epoch"], c["warp_epoch"], c["turn"])
    return _ranks(key_of(own, c["thread"] // WARP, _times(key_of(own, c["thread"]))))


def key_of(*columns: np.ndarray) -> np.ndarray:
    """One number for each row, the same for the same rows and for no others."""
    key = np.zeros_like(columns[0])
    for column in columns:
        size = int(column.max(initial=0)) + 1
        if (int(key.max(initial=0)) + 1) * size >= 1 << 62:
            key = _ranks(key)
        key = key * size + column
    return key


def _ranks(key: np.ndarray) -> np.ndarray:
    return np.unique(key, return_inverse=True)[1].ravel()


def _times(key: np.ndarray) -> np.ndarray:
    """The how-manieth each row is among those with its key."""
    order = np.argsort(key, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(key[order]) != 0]) if len(key) else np.empty(0, np.int64)
    turn = np.empty(len(key), np.int64)
    turn[order] = np.arange(len(key)) - np.repeat(starts, np.diff(starts, append=len(key)))
    return turn


def traffic_of(c, groups, chosen) -> Traffic:
    group, address, width = groups[chosen], c["address"][chosen], c["bytes"][chosen]
    is_shared = bool(c["is_shared"][chosen][0])
    kinds = np.bincount(c["kind"][chosen], minlength=3)
    _, different = np.unique(key_of(group, address, width), return_index=True)
    passes, least = _passes(group, address, width, c["thread"][chosen] % WARP) if is_shared else (0, 0)
    return Traffic(
        reads=int(kinds[READ]),
        writes=int(kinds[READ + 1 :].sum()),
        requests=len(np.unique(group)),
        asked=int(width.sum()),
        used=int(width[different].sum()),
        sectors=0 if is_shared else _pieces(group, address, width, SECTOR),
        lines=0 if is_shared else _pieces(group, address, width, LINE),
        passes=passes,
        conflicts=passes - least,
    )


def _pieces(group, address, width, size: int) -> int:
    """Pieces of memory of a size that the requests touch, summed."""
    touched = np.concatenate([address // size, (address + width - 1) // size])
    return len(np.unique(key_of(np.tile(group, 2), touched)))


def _passes(group, address, width, lane) -> tuple[int, int]:
    """Passes through the banks, and how many there would be without conflicts.

    A warp that asks for 8 or 16 bytes a thread is served by halves or quarters, 128 bytes at a time.
    """
    part = lane * np.maximum(width, WORD) // (BANKS * WORD)
    again, word = split(address, width, WORD)
    served = _ranks(key_of(group, part))[again]
    _, one_of_each = np.unique(key_of(served, word), return_index=True)
    served, bank = served[one_of_each], word[one_of_each] % BANKS
    many = int(served.max()) + 1
    words_of = np.bincount(served * BANKS + bank, minlength=many * BANKS).reshape(many, BANKS)
    return int(words_of.max(axis=1).sum()), many


def split(address, width, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Accesses cut into units of a size: for each unit the row of its access, and its number in memory."""
    units = np.maximum(width // size, 1)
    again = np.repeat(np.arange(len(units)), units)
    return again, address[again] // size + np.arange(len(again)) - np.repeat(np.cumsum(units) - units, units)
