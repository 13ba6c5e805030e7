"""Each version of each CPU kernel against torch, on one thread: ``python benchmarks/kernels.py [operation ...]``.

Both write into an array that is there already, since a fresh large one costs torch page faults at each
call. Times are medians of interleaved rounds, by the CPU time of the thread. Speed is how many times as
fast as torch, with its 95 % interval. Where torch has no ``out``, the reference copies, and a second
rival (``benchmarks/rivals.py``) does not. A version of which one call takes longer than the budget is left out.
"""

import argparse
import time
from functools import partial

import numpy as np
import torch
from rivals import RIVALS

from coursekit.kernels import cpu, reference
from coursekit.kernels.ops import OPS

HEADER = f"{'operation':14} {'case':26} {'version':20} {'time':>10} {'GFLOP/s':>8} {'GB/s':>7}   speed against torch"


def candidates(op, case, versions, dtype):
    """Calls without arguments, torch's first; each version fills an array of its own."""
    arrays = op.draw(np.random.default_rng(0), case.sizes, dtype, **case.options)
    tensors = [torch.from_numpy(array) for array in arrays]
    sizes = op.sizes(case.sizes, case.options)

    def out():
        empty = tuple(
            torch.zeros(a.dims(sizes), dtype=getattr(torch, dtype if a.dtype == "T" else a.dtype))
            for a in op.outputs
        )
        return empty if len(empty) > 1 else empty[0]

    torch_call = partial(reference.rungs(op.name)[op.name], *tensors, **case.options, out=out())
    rivals = {name: partial(f, *tensors, **case.options) for name, f in RIVALS.get(op.name, {}).items()}
    calls = {name: partial(f, *tensors, **case.options, out=out()) for name, f in versions.items()}
    return {"torch": torch_call, **rivals, **calls}


def one_call(function):
    """Seconds of a second call: the first one compiles."""
    function()
    start = time.thread_time()
    function()
    return time.thread_time() - start


def rows(op, case, comparison, dtype):
    cost = op.cost(case.sizes, dtype, **case.options)
    for name, timing in comparison.timings.items():
        ratio = comparison.ratio(name, "torch")
        speed = f"{ratio.median:.2f}x ({ratio.low:.2f} to {ratio.high:.2f})" if name != "torch" else "1"
        yield (
            f"{op.name:14} {case.name:26} {name:20} {timing.median * 1e6:8.1f}µs "
            f"{cost.flops / timing.median / 1e9:8.2f} {cost.bytes / timing.median / 1e9:7.2f}   {speed}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("operations", nargs="*", help=f"some of {', '.join(OPS)}; all if none is named")
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64"])
    parser.add_argument("--budget", type=float, default=1.0, help="seconds for each case (%(default)s)")
    arguments = parser.parse_args()
    if unknown := set(arguments.operations) - set(OPS):
        parser.error(f"no operation {', '.join(unknown)}; there are {', '.join(OPS)}")

    from coursekit.measure import compare

    torch.set_num_threads(1)
    print(HEADER)
    for op in (OPS[name] for name in arguments.operations or OPS):
        for case in op.cases_for("benchmark"):
            calls = candidates(op, case, cpu.rungs(op.name), arguments.dtype)
            calls = {name: f for name, f in calls.items() if one_call(f) < arguments.budget}
            comparison = compare(calls, budget_s=arguments.budget, clock="cpu")
            print(*rows(op, case, comparison, arguments.dtype), sep="\n", flush=True)


if __name__ == "__main__":
    main()
