"""In which turn of its loops a thread is: the threads of a warp that are in the same one execute an access together.

Python says so itself: it jumps backwards at the end of each turn. From Python 3.12 on ``sys.monitoring`` tells of such
jumps; before, ``sys.settrace`` tells of the lines, and a step backwards is a jump.
"""

import bisect
import contextlib
import dis
import sys
from collections.abc import Iterator
from functools import cache, partial
from types import CodeType, FrameType

TOOL = "coursekit.measure.trace"


def _nothing() -> None:
    """In place of what is not needed."""


@cache
def loops_of(code: CodeType) -> tuple[tuple[int, int], ...]:
    """The loops of a function: the offsets of their first instruction and of the last that jumps there, in order.

    A ``while`` has two places that are jumped to, as ``continue`` asks its question at the top, and the end of a turn
    asks it at the bottom. Stretches that overlap, neither of them within the other, are of one loop.
    """
    ends: dict[int, int] = {}
    for i in dis.get_instructions(code):
        if "JUMP_BACKWARD" in i.opname:
            ends[i.argval] = max(ends.get(i.argval, 0), i.offset)
    found: list[tuple[int, int]] = []
    for first, last in sorted(ends.items()):
        if found and found[-1][0] < first <= found[-1][1] < last:
            found[-1] = found[-1][0], last
        else:
            found.append((first, last))
    return tuple(found)


class Turns:
    """The turns that the functions which one thread runs are in: for each of its frames, by loop."""

    def __init__(self) -> None:
        self._turns: dict[FrameType, dict[tuple[int, int], int]] = {}

    def jumped(self, frame: FrameType, to: int) -> None:
        """A turn begins: of the innermost loop that has its beginning there. Those within it begin anew."""
        loops = loops_of(frame.f_code)
        place = bisect.bisect(loops, (to, sys.maxsize)) - 1
        while place >= 0 and loops[place][1] < to:
            place -= 1
        if place < 0:
            return
        loop, turns = loops[place], self._turns.setdefault(frame, {})
        turns[loop] = turns.get(loop, 0) + 1
        for inner in [one for one in turns if loop[0] < one[0] <= loop[1]]:
            del turns[inner]

    def left(self, frame: FrameType) -> None:
        self._turns.pop(frame, None)

    def at(self, frame: FrameType, kernel: CodeType) -> tuple[int, ...]:
        """The turns of all loops around the place where the frame stands, and around where it was called from."""
        if not self._turns:
            return ()
        found = self._within(frame)
        while frame.f_code is not kernel:
            frame = frame.f_back
            found += -1, *self._within(frame)
        return found

    def _within(self, frame: FrameType) -> tuple[int, ...]:
        """Of the loops around the place where one frame stands, the beginning and the turn; the outer loop first."""
        if not (turns := self._turns.get(frame)):
            return ()
        place = frame.f_lasti
        inside = [(loop[0], turn) for loop, turn in turns.items() if loop[0] <= place <= loop[1]]
        return inside[0] if len(inside) == 1 else tuple(number for pair in sorted(inside) for number in pair)


class Watch:
    """Tells ``turns()``, those of the thread that runs, of each turn of the loops in these functions.

    ``begin`` is to be called where a thread begins, as each greenlet is traced for itself. Between ``pause`` and
    ``go_on`` nothing is told, which makes calls of functions cheap again.
    """

    def __init__(self, codes: list[CodeType], turns) -> None:
        self.codes, self.turns = {code for code in codes if loops_of(code)}, turns
        is_traced = self.codes and sys.version_info < (3, 12)
        self.begin = self.go_on = partial(sys.settrace, self._entered) if is_traced else _nothing
        self.pause = partial(sys.settrace, None) if is_traced else _nothing

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        if not self.codes:
            yield
        elif sys.version_info >= (3, 12):
            with self._monitored():
                yield
        else:
            before = sys.gettrace()
            try:
                yield
            finally:
                sys.settrace(before)

    @contextlib.contextmanager
    def _monitored(self) -> Iterator[None]:
        ours = sys.monitoring
        tool = next(number for number in (4, 3, 5, 2, 1, 0) if ours.get_tool(number) is None)
        ours.use_tool_id(tool, TOOL)
        events = ours.events.JUMP, ours.events.PY_RETURN
        try:
            for event, told in zip(events, (self._jumped, self._returned), strict=True):
                ours.register_callback(tool, event, told)
            for code in self.codes:
                ours.set_local_events(tool, code, events[0] | events[1])
            yield
        finally:
            for code in self.codes:
                ours.set_local_events(tool, code, 0)
            for event in events:
                ours.register_callback(tool, event, None)
            ours.free_tool_id(tool)

    def _jumped(self, code, place, to) -> None:
        if to < place:
            self.turns().jumped(sys._getframe(1), to)

    def _returned(self, *_) -> None:
        self.turns().left(sys._getframe(1))

    def _entered(self, frame, event, _):
        return self._lines() if frame.f_code in self.codes else None

    def _lines(self):
        """A trace of one call. A line is met again without another in between only where it is jumped back to."""
        place = line = -1

        def told(frame, event, _):
            nonlocal place, line
            if event == "line":
                if frame.f_lasti <= place or frame.f_lineno == line:
                    self.turns().jumped(frame, frame.f_lasti)
                place, line = frame.f_lasti, frame.f_lineno
            elif event == "return":
                self.turns().left(frame)
            return told

        return told
