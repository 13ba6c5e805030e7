"""One case of one operation: torch, its other rivals, and every version of ours, in turns."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
import torch
from rivals import PREPARED, RIVALS

from coursekit.kernels import cpu, reference
from coursekit.kernels.contract import Case, Operation
from coursekit.measure import Ceilings, Ratio, compare

TORCH = "torch"


@dataclass(frozen=True)
class Row:
    """What one version did in one case.

    Attributes:
        version: the function's name, or the rival's.
        public: whether it is the version that a user calls.
        threads: "one" or "all".
        seconds: the median of a call.
        flops, bytes: of the operation, by its contract.
        share: of what the ceilings allow at this intensity, in the level of memory that holds the arrays.
        speed: times as fast as each rival: name -> (median, low, high), its 95 % interval.
    """

    operation: str
    case: str
    dtype: str
    version: str
    public: bool
    threads: str
    seconds: float
    flops: int
    bytes: int
    share: float
    speed: dict[str, tuple[float, float, float]]

    @property
    def key(self) -> tuple[str, ...]:
        """What makes two rows of two runs the same measurement."""
        return self.operation, self.case, self.dtype, self.threads, self.version

    def as_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, facts: dict) -> "Row":
        return cls(**{**facts, "speed": {name: tuple(found) for name, found in facts["speed"].items()}})


def race(
    op: Operation, case: Case, ceilings: Ceilings, *, dtype="float32", threads="one", budget_s=1.0
) -> Iterator[Row]:
    """Time all versions of ``op`` in turns. One that takes longer than the budget for a call is left out.

    On one thread the clock is the thread's CPU time, which neighbours on the machine disturb less; on all it is the
    wall's. The numbers of threads of torch and of the kernels are set meanwhile.
    """
    count = 1 if threads == "one" else ceilings.cores
    before = torch.get_num_threads(), cpu.get_num_threads()
    torch.set_num_threads(count)
    cpu.set_num_threads(count)
    try:
        calls = {n: f for n, f in candidates(op, case, dtype).items() if _second_call(f) < budget_s}
        timings = compare(calls, budget_s=budget_s, clock="cpu" if count == 1 else "wall")
    finally:
        torch.set_num_threads(before[0])
        cpu.set_num_threads(before[1])
    cost = op.cost(case.sizes, dtype, **case.options)
    level = ceilings.holding(cost.bytes)
    ours = cpu.rungs(op.name)
    for name in calls:
        seconds = timings[name].median
        best = max(cost.flops / ceilings.peak(threads), cost.bytes / ceilings.bandwidth(level, threads))
        speed = {r: _plain(timings.ratio(name, r)) for r in calls if r not in ours and r != name}
        yield Row(
            op.name, case.name, dtype, name, name == op.name, threads,
            seconds, cost.flops, cost.bytes, best / seconds, speed,
        )  # fmt: skip


def candidates(op: Operation, case: Case, dtype: str) -> dict:
    """Calls without arguments: torch's first.

    Ours and the reference fill the same arrays, which are there already: where each had its own, two versions of the
    same loop were 1.2 times apart beyond the cache, by where their pages happened to lie.
    """
    arrays = op.draw(np.random.default_rng(0), case.sizes, dtype, **case.options)
    tensors = [torch.from_numpy(array) for array in arrays]
    sizes = op.sizes(case.sizes, case.options)

    empty = tuple(torch.zeros(a.dims(sizes), dtype=_torch_dtype(a, dtype)) for a in op.outputs)
    out = empty if len(empty) > 1 else empty[0]
    torch_call = partial(reference.rungs(op.name)[op.name], *tensors, **case.options, out=out)
    rivals = {name: partial(f, *tensors, **case.options) for name, f in RIVALS.get(op.name, {}).items()}
    prepared = {name: make(*tensors, **case.options) for name, make in PREPARED.get(op.name, {}).items()}
    calls = {n: partial(f, *tensors, **case.options, out=out) for n, f in cpu.rungs(op.name).items()}
    return {TORCH: torch_call, **rivals, **{n: f for n, f in prepared.items() if f}, **calls}


def _torch_dtype(array, dtype: str):
    return getattr(torch, dtype if array.dtype == "T" else array.dtype)


def _second_call(function) -> float:
    """Seconds of a second call: the first one compiles."""
    function()
    start = time.thread_time()
    function()
    return time.thread_time() - start


def _plain(ratio: Ratio) -> tuple[float, float, float]:
    return float(ratio.median), float(ratio.low), float(ratio.high)
