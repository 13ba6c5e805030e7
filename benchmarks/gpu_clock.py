"""Time on a GPU: device events, a cold cache, calls in turns, and the ceilings that kernels are measured against."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median, quantiles

import torch

ROUNDS = 5, 100
"""The fewest and the most rounds of a race."""


@dataclass(frozen=True)
class Timing:
    """Seconds of the calls of one candidate, round by round."""

    seconds: list[float]

    @property
    def median(self) -> float:
        return median(self.seconds)

    def speed(self, other: "Timing") -> tuple[float, float, float]:
        """How many times as fast this is as the other: the median over the rounds, and the quartiles."""
        ratios = [b / a for a, b in zip(self.seconds, other.seconds, strict=True)]
        low, middle, high = quantiles(ratios, n=4)
        return middle, low, high


class Clock:
    """Times calls that queue work on the current stream.

    Before each call a buffer larger than the level-2 cache is written, so nothing of the call's data is left in it. And
    while the GPU writes it, Python queues the call behind: what it takes to launch is not in the time.
    """

    def __init__(self) -> None:
        cache = torch.cuda.get_device_properties(0).L2_cache_size
        self.buffer = torch.empty(max(4 * cache, 256 << 20), dtype=torch.uint8, device="cuda")

    def race(self, calls: Mapping[str, Callable], budget_s: float) -> dict[str, Timing]:
        """All calls in turns, after a warm-up; as many rounds as fit into the budget, within limits."""
        for _ in range(3):
            for call in calls.values():
                call()
        torch.cuda.synchronize()
        start = time.perf_counter()
        self._round(calls)
        once = time.perf_counter() - start
        few, many = ROUNDS
        rounds = [self._round(calls) for _ in range(min(max(int(budget_s / once), few), many))]
        return {name: Timing([found[name] for found in rounds]) for name in calls}

    def _round(self, calls) -> dict[str, float]:
        events = {}
        for name, call in calls.items():
            self.buffer.fill_(len(events) + 1)
            first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            first.record()
            call()
            last.record()
            events[name] = first, last
        torch.cuda.synchronize()
        return {name: first.elapsed_time(last) / 1e3 for name, (first, last) in events.items()}


@dataclass(frozen=True)
class Ceilings:
    """What this GPU reaches: bytes per second of a copy, and FLOPs per second of large products, by dtype."""

    copy: float
    peak: dict[str, float]

    def least_seconds(self, cost, dtype: str) -> float:
        """What a kernel of this cost takes at the ceilings."""
        return max(cost.bytes / self.copy, cost.flops / self.peak.get(dtype, self.peak["float32"]))


def measure_ceilings(clock: Clock, size: int = 8192, copied: int = 1 << 28) -> Ceilings:
    """A copy of a gigabyte, and products of cuBLAS: float32 without tensor cores, and halves with them."""
    torch.backends.cuda.matmul.allow_tf32 = False
    source = torch.randn(copied, device="cuda")
    target = torch.empty_like(source)
    copy = clock.race({"copy": lambda: target.copy_(source)}, 1.0)["copy"].median
    rate = {}
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        a, b = (torch.randn(size, size, device="cuda").to(dtype) for _ in range(2))
        out = torch.empty_like(a)
        seconds = clock.race({"mm": lambda a=a, b=b, out=out: torch.mm(a, b, out=out)}, 1.0)["mm"].median
        rate[str(dtype).removeprefix("torch.")] = 2 * size**3 / seconds
    return Ceilings(2 * source.nbytes / copy, rate)
