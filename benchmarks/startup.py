"""The first call of each public CPU kernel in a new process: ``python benchmarks/startup.py``.

The machine code of an earlier process is on disk then, so nothing is compiled; where it is not, the first of the two
processes that this starts compiles it. Times are wall-clock, of one call each, with what it loads from disk.
"""

import subprocess
import sys

EACH = """
import sys, time
import numpy as np
from coursekit.kernels import cpu
from coursekit.kernels.ops import OPS
for op in OPS.values():
    case = op.cases_for("tiny")[0]
    arrays = op.draw(np.random.default_rng(0), case.sizes, op.dtypes[0], **case.options)
    start = time.perf_counter()
    getattr(cpu, op.name)(*arrays, **case.options)
    print(op.name, time.perf_counter() - start, flush=True)
"""


def first_calls() -> dict[str, float]:
    """Seconds of the first call by operation, in a process of its own."""
    run = subprocess.run([sys.executable, "-c", EACH], check=True, stdout=subprocess.PIPE, text=True)
    return {name: float(seconds) for name, seconds in map(str.split, run.stdout.splitlines())}


def main() -> None:
    print("compiling what is not compiled yet ...", flush=True)
    first_calls()
    seconds = first_calls()
    for name in sorted(seconds, key=seconds.get, reverse=True):
        print(f"{name:40} {1e3 * seconds[name]:6.0f} ms")
    over = [name for name in seconds if seconds[name] > 0.5]
    print(f"over half a second: {', '.join(over) or 'none'}")


if __name__ == "__main__":
    main()
