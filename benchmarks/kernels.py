"""Every version of every CPU kernel against torch and other rivals: ``python benchmarks/kernels.py [operation ...]``.

Each case is run in turns on the same arrays; times are medians, and speed is how many times as fast as the rival,
with its 95 % interval. Our kernels and torch's reference fill an output that is there already, since a fresh large
one costs page faults at each call. Rivals named "..., no out" return a fresh one, which is the fairer race where torch
has no ``out`` and its reference has to copy. The share is of what this machine's ceilings, measured in the same run,
allow in float32: above 100 % where a method needs fewer operations than the contract counts (Winograd), or smaller
numbers (int8, bits).
"""

import argparse
import json
import os
import sys
from pathlib import Path

# torch's threads wait for more work for a while after a call, on a core that the next candidate's threads need.
os.environ |= {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}

import numba
import torch
from race import TORCH, Row, race
from tables import changes, markdown, target_table

from coursekit.kernels.ops import OPS
from coursekit.measure import ceilings, this_machine

HEADER = (
    f"{'operation':20} {'case':26} {'version':24} {'time':>10} {'GFLOP/s':>8} {'GB/s':>7} {'share':>6}  speed"
)


def line(row: Row) -> str:
    speed = ", ".join(
        f"{name} {m:.2f} ({low:.2f} to {high:.2f})" for name, (m, low, high) in row.speed.items()
    )
    rates = f"{row.flops / row.seconds / 1e9:8.2f} {row.bytes / row.seconds / 1e9:7.2f} {row.share:6.1%}"
    version = f"{'*' if row.public else ' '}{row.version}{'' if row.threads == 'one' else ', all cores'}"
    return (
        f"{row.operation:20.20} {row.case:26.26} {version:24.36} {row.seconds * 1e6:8.1f}µs {rates}  {speed}"
    )


def load(path: Path) -> list[Row]:
    """The rows that ``--json`` wrote. Raises ValueError, with the file's name, where they are none."""
    try:
        return [Row.from_dict(facts) for facts in json.loads(path.read_text(encoding="utf-8"))["rows"]]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a file that --json wrote: {error}") from None


def save(path: Path, rows: list[Row], machine: str) -> None:
    facts = {
        "made by": "python benchmarks/kernels.py --json",
        "machine": machine,
        "versions": {"torch": torch.__version__, "numba": numba.__version__},
        "rows": [row.as_dict() for row in rows],
    }
    path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def parse(arguments: list[str] | None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("operations", nargs="*", help=f"some of {', '.join(OPS)}; all if none is named")
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64"])
    parser.add_argument("--budget", type=float, default=1.0, help="seconds for each case (%(default)s)")
    parser.add_argument("--threads", default="one", choices=["one", "all", "both"], help="(%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all rows to FILE")
    parser.add_argument("--markdown", action="store_true", help="end with a table for a README")
    parser.add_argument(
        "--against", type=Path, metavar="FILE", help="say what became slower since FILE was written"
    )
    found = parser.parse_args(arguments)
    if unknown := set(found.operations) - set(OPS):
        parser.error(f"no operation {', '.join(sorted(unknown))}; there are {', '.join(OPS)}")
    if found.budget <= 0:
        parser.error(f"--budget must be above 0; got {found.budget}")
    try:
        found.earlier = load(found.against) if found.against else []
    except (OSError, ValueError) as error:
        parser.error(str(error))
    return found


def run(names, dtype: str, threads: list[str], budget_s: float) -> list[Row]:
    """Race every benchmark case of these operations, printing rows as they come."""
    roof, rows = ceilings(refresh=True), []
    print(roof, HEADER, sep="\n\n", flush=True)
    for op in (OPS[name] for name in names):
        if dtype not in op.dtypes:
            continue
        for case in op.cases_for("benchmark"):
            for count in threads:
                found = list(race(op, case, roof, dtype=dtype, threads=count, budget_s=budget_s))
                print(*map(line, found), sep="\n", flush=True)
                rows += found
    return rows


def main(arguments: list[str] | None = None) -> int:
    wanted = parse(arguments)
    threads = ["one", "all"] if wanted.threads == "both" else [wanted.threads]
    rows = run(wanted.operations or OPS, wanted.dtype, threads, wanted.budget)
    print("\n* is the version that a user calls.")
    if wanted.json:
        save(wanted.json, rows, str(this_machine()))
    if table := target_table(rows):
        print(f"\n{table}")
    if wanted.markdown:
        print(f"\n{markdown(rows, TORCH)}")
    slower = changes(wanted.earlier, rows, TORCH)
    if wanted.against:
        print(f"\nSince {wanted.against}:", *(slower or ["nothing became slower."]), sep="\n")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
