"""What a kernel asks of the memories of a GPU: sectors, bank conflicts and races, counted from its real accesses.

Global memory comes in sectors of 32 bytes, four to a line of 128. The 32 threads of a warp execute an access together,
and it takes as many sectors as their addresses touch (CUDA C++ Best Practices Guide, "Coalesced Access to Global
Memory"). Shared memory has 32 banks, each of which gives one word of 4 bytes in one pass; threads that want the same
word share it (CUDA C++ Programming Guide, "Shared Memory").

What is counted is what the source says. The compiler may keep a number in a register that the source reads twice, and
caches may have a sector already; neither is known here. The threads of a warp execute an access together when they are
at the same place of the source, in the same turns of all loops around it, and between the same barriers. So they part
at an ``if`` and in a loop that some leave before others, and go on together behind it, as the Volta architecture's
compilers arrange it (CUDA C++ Programming Guide, "SIMT Architecture"). For that the counts are exact. A GPU may part
threads for longer than that; and a compiler may turn an ``if`` into a choice between two numbers, or take a loop apart,
and need fewer requests. What stands before a ``break`` or a ``return`` within a loop is on the way out of it: there it
is Python's compiler that says whether threads which leave in different turns still meet.
"""

import inspect
from dataclasses import dataclass, field

import numpy as np

from coursekit.measure.gpu.blocks import check_block, run, sizes
from coursekit.measure.gpu.books import ATOMIC, COLUMNS, READ, WARP, WRITE
from coursekit.measure.gpu.count import SECTOR, Traffic, key_of, requests, traffic_of
from coursekit.measure.gpu.plain import python_function
from coursekit.measure.gpu.races import Race, races_in
from coursekit.measure.text import html_table, text_table


@dataclass(frozen=True)
class Request:
    """What the threads of a warp ask for together, in one access that they execute.

    Attributes:
        array: the name that the kernel gives it.
        line: of the source.
        is_write: or an atomic operation.
        block: its number in the grid, x first.
        warp: its number in the block.
        threads: the numbers in the block of those that take part.
        addresses: bytes from the beginning of the array, one for each of them.
        width: bytes of each.
    """

    array: str
    line: int
    is_write: bool
    block: int
    warp: int
    threads: tuple[int, ...]
    addresses: tuple[int, ...]
    width: int

    @property
    def sectors(self) -> int:
        """Pieces of 32 bytes that the addresses touch."""
        return len({a // SECTOR for at in self.addresses for a in (at, at + self.width - 1)})


@dataclass(frozen=True)
class Trace:
    """All accesses of a kernel, and what they cost.

    Attributes:
        grid, block: blocks in the grid and threads in a block, as (x, y, z).
        arrays: copies of the arrays given, as the kernel left them.
        traffic: by the name of each array, global ones first.
        barriers: how many each thread passed, at most.
        waits: how many barriers and shuffles each thread took part in, at most, those within a warp among them.
        races: those in shared and in global memory.
        columns: all accesses, an array for each of their properties.
    """

    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    arrays: dict[str, np.ndarray]
    traffic: dict[str, Traffic]
    barriers: int
    waits: int
    races: list[Race]
    columns: dict[str, np.ndarray] = field(repr=False)
    names: list[str] = field(repr=False)
    sites: list[tuple[str, int]] = field(repr=False)
    groups: np.ndarray = field(repr=False)

    @property
    def total(self) -> Traffic:
        """Of all arrays together."""
        rows = [vars(traffic).values() for traffic in self.traffic.values()]
        return Traffic(*map(sum, zip(*rows, strict=True))) if rows else Traffic(*[0] * 9)

    @property
    def moved(self) -> int:
        """Bytes of all sectors of global memory that were asked for."""
        return self.total.moved

    @property
    def conflicts(self) -> int:
        """Passes through shared memory that conflicts have added."""
        return self.total.conflicts

    @property
    def atomics(self) -> int:
        """Atomic operations, in shared and in global memory."""
        return int((self.columns["kind"] == ATOMIC).sum())

    @property
    def most_elements(self) -> int:
        """Different elements that one thread reads from one barrier, be it of its warp, to the next, at most."""
        c = self.columns
        stretch = key_of(c["block"], c["thread"], c["epoch"], c["warp_epoch"])
        return _most_different(stretch, c, c["kind"] == READ)

    @property
    def most_reads(self) -> int:
        """Reads of one thread in all, of whatever array, at most."""
        c = self.columns
        thread = key_of(c["block"], c["thread"])[c["kind"] == READ]
        return int(np.unique(thread, return_counts=True)[1].max(initial=0))

    def most_read(self, array: str) -> int:
        """Different elements of an array that one thread reads, at most; 0 for an array that nobody touched."""
        return self._most_of(array, self.columns["kind"] == READ)

    def most_written(self, array: str) -> int:
        """Different elements of an array that one thread writes, at most, those of atomic operations among them."""
        return self._most_of(array, self.columns["kind"] != READ)

    def _most_of(self, array: str, rows: np.ndarray) -> int:
        c = self.columns
        number = self.names.index(array) if array in self.names else -1
        return _most_different(key_of(c["block"], c["thread"]), c, rows & (c["name"] == number))

    @property
    def stretches(self) -> list[tuple[int, int]]:
        """Reads and writes of shared memory before the first barrier, from there to the second, and so on."""
        c = self.columns
        reads, writes = (
            np.bincount(c["epoch"][c["is_shared"] & (c["kind"] == kind)], minlength=self.barriers + 1)
            for kind in (READ, WRITE)
        )
        return list(zip(reads.tolist(), writes.tolist(), strict=True))

    def requests(self, array: str, block: int = 0, warp: int = 0) -> list[Request]:
        """What one warp asks of an array, one access after the other, as the source has them.

        Raises ValueError for an array that the kernel did not touch.
        """
        if array not in self.traffic:
            raise ValueError(f"array must be one of {', '.join(self.traffic)}; got {array!r}")
        c = self.columns
        chosen = (c["name"] == self.names.index(array)) & (c["block"] == block)
        chosen = np.flatnonzero(chosen & (c["thread"] // WARP == warp))
        found = []
        for group in dict.fromkeys(self.groups[chosen].tolist()):
            rows = chosen[self.groups[chosen] == group]
            threads, addresses = c["thread"][rows].tolist(), c["address"][rows].tolist()
            kind, width = c["kind"][rows[0]], int(c["bytes"][rows[0]])
            line = self.sites[c["site"][rows[0]]][1]
            found.append(
                Request(array, line, bool(kind != READ), block, warp, tuple(threads), tuple(addresses), width)
            )
        return found

    def _rows(self):
        header = [
            "array",
            "reads",
            "writes",
            "requests",
            "sectors",
            "moved",
            "efficiency",
            "passes",
            "conflicts",
        ]
        rows = []
        for name, t in self.traffic.items():
            far = [f"{t.sectors:,}", f"{t.moved:,} B", f"{t.efficiency:.1%}"] if t.sectors else ["", "", ""]
            near = ["", ""] if t.sectors else [f"{t.passes:,}", f"{t.conflicts:,}"]
            rows.append([name, f"{t.reads:,}", f"{t.writes:,}", f"{t.requests:,}", *far, *near])
        return header, rows

    def _foot(self) -> str:
        races = "; ".join(f"race in {race}" for race in self.races) or "no races"
        return f"{self.barriers} barrier{'s' * (self.barriers != 1)}, {races}"

    def __repr__(self) -> str:
        return f"{text_table(*self._rows())}\n{self._foot()}"

    def _repr_html_(self) -> str:
        return html_table(*self._rows(), caption=self._foot())


def _most_different(key: np.ndarray, c, rows: np.ndarray) -> int:
    """The most different elements among the rows of one key."""
    found = np.unique(np.stack([key, c["array"], c["address"]])[:, rows], axis=1)
    return int(np.unique(found[0], return_counts=True)[1].max(initial=0))


def trace(
    kernel, grid, threads, *arguments, shared: int = 0, most: int = 4_000_000, loops: bool = True
) -> Trace:
    """Run a kernel without a GPU, on copies of its arrays, and count what it asks of memory.

    Args:
        kernel: as ``@cuda.jit`` gives it, or the Python function itself. It calls the module ``cuda`` by that name;
            of ``cuda`` it may use indices, shared and local arrays, barriers, shuffles and the simpler atomics.
        grid: blocks; an int, or a tuple of up to three.
        threads: in a block, alike.
        arguments: NumPy arrays, numbers, and tuples of numbers.
        shared: bytes of shared memory whose size is known at the launch only.
        most: accesses after which it gives up.
        loops: whether the turns of loops are told apart. Races do not depend on it, and before Python 3.12 it takes as
            long again. Without it the n-th access of one thread goes with the n-th of another in counts of requests.

    Raises:
        TypeError: the number of arguments is not that of the kernel, or one is neither array nor number.
        ValueError: grid or threads are no sizes, or a block has more than 1024 threads or 48 KiB of shared memory.
        TypeError: alike, the kernel uses a list or the like from outside of it, changes what is not its own, defines a
            class, imports, or has a try.
        IndexError: an access is outside of its array; a note says by which thread.
        RuntimeError: threads wait in different places, or for one that has ended, or there are more than ``most``
            accesses.
        NotImplementedError: the kernel uses a part of ``cuda`` that is not known here.
    """
    grid, block = sizes(grid), sizes(threads)
    check_block(block)
    function = python_function(kernel)
    names = list(inspect.signature(function).parameters)
    if len(names) != len(arguments):
        raise TypeError(f"the kernel takes {len(names)} arguments ({', '.join(names)}); got {len(arguments)}")
    for name, value in zip(names, arguments, strict=True):
        numbers = value if isinstance(value, tuple) else (value,)
        is_known = isinstance(value, np.ndarray) or all(
            isinstance(n, (np.number, int, float)) for n in numbers
        )
        if not is_known:
            raise TypeError(f"{name} must be a NumPy array or a number; got {type(value).__name__}")
    books, results = run(function, names, grid, block, arguments, shared, most, loops)
    return _counted(books, results, grid, block)


def _counted(books, results, grid, block) -> Trace:
    rows = np.array(books.rows, dtype=np.int64).reshape(-1, len(COLUMNS))
    c = {name: rows[:, i] for i, name in enumerate(COLUMNS)}
    names = list(dict.fromkeys(books.names))
    c["name"] = np.array([names.index(name) for name in books.names] or [0])[c["array"]]
    c["is_shared"] = np.array([space == "shared" for space in books.spaces] or [False])[c["array"]]
    groups = requests(c)
    traffic = {
        name: traffic_of(c, groups, (c["name"] == i) & (c["is_shared"] == is_shared))
        for is_shared in (False, True)
        for i, name in enumerate(names)
        if ((c["name"] == i) & (c["is_shared"] == is_shared)).any()
    }
    return Trace(
        grid,
        block,
        results,
        traffic,
        books.barriers,
        books.waits,
        races_in(c, books),
        c,
        names,
        books.sites,
        groups,
    )
