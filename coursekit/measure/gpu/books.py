"""The books that are kept of a traced kernel: each access to memory, and the place in the source that it comes from."""

import bisect
import dis
from array import array

READ, WRITE, ATOMIC = range(3)
WARP = 32
COLUMNS = (
    "array",
    "address",
    "bytes",
    "kind",
    "site",
    "block",
    "thread",
    "epoch",
    "warp_epoch",
    "turn",
    "value",
)
"""Of an access: epoch counts the barriers that the thread has passed, warp_epoch its ``syncwarp``; turn is the same for
the same turns of all loops around it, and value for the same bits written, 0 for a read."""


class Recorder:
    """The books: what was accessed, and where in the source.

    Attributes:
        rows: one number for each of COLUMNS, access after access.
        sites: the line of each place in the source from which memory is accessed.
        names: of the arrays, with ``spaces``, "global" or "shared", beside them.
        barriers: how many a thread has passed, at most.
        waits: how many barriers and shuffles a thread has taken part in, at most, those within a warp among them.
    """

    def __init__(self, most: int):
        self.rows, self.most = array("q"), most * len(COLUMNS)
        self.sites, self.names, self.spaces, self.barriers, self.waits = [], [], [], 0, 0
        self._numbers, self._places, self.thread, self.code = {}, {}, None, None
        self._turns, self._values, self.watch = {}, {}, None

    def site(self, frame) -> int:
        """The number of the place where the frame stands, called from where it was called."""
        code, outer = frame.f_code, frame
        key = code, frame.f_lasti
        while outer.f_code is not self.code:
            outer = outer.f_back
            key += outer.f_code, outer.f_lasti
        key = tuple(map(id, key[::2])) + key[1::2]
        if key not in self._numbers:
            self._numbers[key] = self._new_site(frame)
        return self._numbers[key]

    def _new_site(self, frame) -> int:
        """Its place in the source, with the kind of the instruction: in ``s[t] += 1`` two stand in one place."""
        place, outer = [], frame
        while outer is not None:
            place += outer.f_code, *_place_in_source(outer)
            outer = None if outer.f_code is self.code else outer.f_back
        number = self._places.setdefault(tuple(place), len(self.sites))
        if number == len(self.sites):
            self.sites.append((frame.f_code.co_filename, frame.f_lineno))
        return number

    def new_array(self, name: str, space: str) -> int:
        """Its number. What is counted is told apart by names, so a shared array has none that a global one has."""
        if ("global", name) in zip(self.spaces, self.names, strict=True):
            name = f"{name} ({space})"
        self.names.append(name)
        self.spaces.append(space)
        return len(self.names) - 1

    def wait(self, where, offer=None):
        """The running thread waits for others: see :meth:`coursekit.measure.gpu.blocks.Thread.wait`."""
        self.thread.waits += 1
        self.waits = max(self.waits, self.thread.waits)
        return self.thread.wait(where, offer)

    def note(self, number, address, nbytes, kind, frame, written: bytes | None = None) -> None:
        """An access of the running thread; ``written`` is what it leaves in memory."""
        t = self.thread
        if len(self.rows) >= self.most:
            raise RuntimeError(
                f"the kernel makes more than {self.most // len(COLUMNS):,} accesses: trace a smaller problem"
            )
        self.rows.extend(
            (
                number,
                address,
                nbytes,
                kind,
                self.site(frame),
                t.block,
                t.number,
                t.epoch,
                t.warp_epoch,
                self._number(self._turns, t.turns.at(frame, self.code)),
                0 if written is None else 1 + self._number(self._values, written),
            )
        )

    @staticmethod
    def _number(known: dict, what) -> int:
        return known.setdefault(what, len(known))


def _place_in_source(frame) -> tuple:
    """Lines and columns of what the frame is at; Python may have put it into its code twice. Where it keeps no columns,
    the offset. It may point at an instruction or at the caches behind it, which are one place."""
    found = list(dis.get_instructions(frame.f_code))
    at = found[bisect.bisect([i.offset for i in found], frame.f_lasti) - 1]
    columns = at.positions is not None and at.positions.col_offset is not None
    return (at.opname, *at.positions) if columns else (at.opname, at.offset)
