"""Who did what when: the spans of time that a pipeline's parts were busy, and the share of each."""

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """From ``start`` to ``stop``, in seconds since the timeline was made."""

    what: str
    start: float
    stop: float

    @property
    def seconds(self) -> float:
        return self.stop - self.start


class Timeline:
    """Collects spans, from any thread. ``clock`` returns seconds."""

    def __init__(self, clock=time.perf_counter):
        self.spans: list[Span] = []
        self._clock, self._zero, self._lock = clock, clock(), threading.Lock()

    @contextmanager
    def __call__(self, what: str) -> Iterator[None]:
        """``with timeline("train"):`` records the block, also one that raises."""
        start = self._clock()
        try:
            yield
        finally:
            span = Span(what, start - self._zero, self._clock() - self._zero)
            with self._lock:
                self.spans.append(span)

    def each(self, what: str, source: Iterable) -> Iterator:
        """The source's items; what it takes to get each of them is recorded, the end not."""
        items = iter(source)
        while True:
            start = self._clock()
            try:
                item = next(items)
            except StopIteration:
                return
            span = Span(what, start - self._zero, self._clock() - self._zero)
            with self._lock:
                self.spans.append(span)
            yield item

    def seconds(self, what: str) -> float:
        """The sum of all spans of this name."""
        return sum(span.seconds for span in self.spans if span.what == what)

    def share(self, what: str) -> float:
        """That sum as a share of the time from the first span's start to the last one's end; 0 where there is none."""
        if not self.spans:
            return 0.0
        whole = max(span.stop for span in self.spans) - min(span.start for span in self.spans)
        return self.seconds(what) / whole if whole > 0 else 0.0
