"""Every CUDA kernel on this machine's GPU, checked and timed: ``python benchmarks/gpu.py --json FILE --markdown FILE``.

Each version of each operation is first checked against float64, with inputs drawn anew in every run (the seed is in the
result). Then versions race torch eager, which calls cuBLAS and cuDNN, and torch.compile, in turns, by device events,
with a cold cache. The result names device, driver and versions. It takes up to eight minutes (``--minutes``); what did
not fit is listed. It needs Python, NumPy, Numba, numba-cuda and torch.
"""

import argparse
import json
import platform
import secrets
import subprocess
import sys
import time
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from targets import CUBLAS, GPU_TARGETS, Target
from torch.nn import functional

from coursekit.kernels import cuda, reference
from coursekit.kernels.contract import Case
from coursekit.kernels.ops import OPS

DEVICE = "cuda"
PACKAGES = ("numpy", "numba", "numba-cuda", "torch", "triton")
SLOW_TEXTBOOK = 2e9
"""FLOPs of a case beyond which only the public version is raced, and no textbook rung."""


def _gelu(x, bias, approximate="none"):
    return functional.gelu(x + bias, approximate=approximate)


def _chain(x, scale, shift, gain, offset, limit=6.0):
    return (_gelu(x * scale, shift, "tanh") * gain + offset).clamp(-limit, limit)


def _add_layer_norm(x, residual, weight, bias, eps=1e-5):
    total = x + residual
    return total, functional.layer_norm(total, weight.shape, weight, bias, eps)


COMPILED = {
    "softmax": lambda x, axis=-1: torch.softmax(x, axis),
    "log_sum_exp": lambda x: torch.logsumexp(x, -1),
    "layer_norm": lambda x, w, b, eps=1e-5: functional.layer_norm(x, w.shape, w, b, eps),
    "rms_norm": lambda x, w, eps=1e-6: functional.rms_norm(x, w.shape, w, eps),
    "add_layer_norm": _add_layer_norm,
    "bias_gelu": _gelu,
    "scale_shift_gelu_scale_shift_clip": _chain,
}
"""Operations that torch.compile fuses, as a user would write them."""

SIXTEEN = {"half_matmul": torch.float16, "bfloat16_matmul": torch.bfloat16}
"""Products of 16 bits, and what torch calls them. Its own product of them is a rival, though it rounds its results."""

LARGE = {"half_matmul": 4096, "bfloat16_matmul": 4096}
"""Sides of square products that fill a GPU, and would keep a CPU busy for minutes."""


def cases_to_race(op) -> tuple[Case, ...]:
    """The contract's, and the one that only a GPU can be asked for."""
    n = LARGE.get(op.name)
    more = (Case(f"square {n}", "benchmark", dict.fromkeys("MKN", n)),) if n else ()
    return *op.cases_for("benchmark"), *more


def describe() -> dict:
    """The device, its driver, and the versions of what was used."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    facts = torch.cuda.get_device_properties(0)
    return {
        "device": facts.name,
        "compute capability": f"{facts.major}.{facts.minor}",
        "memory GiB": round(facts.total_memory / 2**30, 1),
        "multiprocessors": facts.multi_processor_count,
        "driver": _driver(),
        "CUDA of torch": torch.version.cuda,
        "Python": platform.python_version(),
        **found,
    }


def _driver() -> str:
    """As nvidia-smi, which comes with the driver, says it."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "unknown (nvidia-smi does not say)"


def tensors(op, case, dtype, seed) -> list[torch.Tensor]:
    """Inputs on the GPU, drawn from the seed."""
    arrays = op.draw(np.random.default_rng(seed), case.sizes, dtype, **case.options)
    return [torch.from_numpy(np.ascontiguousarray(a)).reshape(a.shape).to(DEVICE) for a in arrays]


def empty_outputs(op, case, dtype):
    """Arrays for the results, full of what no kernel writes: nan, or the largest integer."""
    sizes = op.sizes(case.sizes, case.options)
    outs = []
    for spec in op.outputs:
        kind = getattr(torch, dtype if spec.dtype == "T" else spec.dtype)
        worst = float("nan") if kind.is_floating_point else torch.iinfo(kind).max
        outs.append(torch.full(spec.dims(sizes), worst, dtype=kind, device=DEVICE))
    return tuple(outs) if len(outs) > 1 else outs[0]


def check(op, function, case, dtype, seed) -> str:
    """How far a version is from float64, or what is wrong with it; nothing where all is within the tolerance."""
    arrays = tensors(op, case, dtype, seed)
    wanted = _in_float64(op, arrays, case.options)
    out = empty_outputs(op, case, dtype)
    try:
        function(*arrays, **case.options, out=out)
        if DEVICE == "cuda":
            torch.cuda.synchronize()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    outs, wants = (x if isinstance(x, tuple) else (x,) for x in (out, wanted))
    tolerance = op.tolerance[dtype]
    for got, want in zip(outs, wants, strict=True):
        off = (got.double() - want.double()).abs() - tolerance.rtol * want.double().abs()
        if not torch.isfinite(got.double()).eq(torch.isfinite(want.double())).all():
            return "nan or infinity where there should be none"
        if got.numel() and off.nan_to_num(0).max() > tolerance.atol:
            return f"off by {off.nan_to_num(0).max().item():.3g} beyond the tolerance"
    return ""


def _in_float64(op, arrays, options):
    """The reference's results; a product of 16 bits, which it sums in float32, is made here."""
    if op.name in SIXTEEN:
        a, b = (array.view(SIXTEEN[op.name]).double() for array in arrays)
        return a @ b
    exact = [a.double() if a.is_floating_point() else a for a in arrays]
    return reference.rungs(op.name)[op.name](*exact, **options)


def rivals(op, arrays, options, out) -> dict:
    """torch eager, torch.compile where it fuses something (it compiles before the race), and the product of 16 bits."""
    calls = {"torch": partial(reference.rungs(op.name)[op.name], *arrays, **options, out=out)}
    if op.name in SIXTEEN:
        a, b = (array.view(SIXTEEN[op.name]) for array in arrays)
        calls[CUBLAS] = partial(torch.mm, a, b, out=torch.empty_like(out, dtype=a.dtype))
    if op.name in COMPILED:
        compiled = torch.compile(partial(COMPILED[op.name], **options), dynamic=False)
        try:
            compiled(*arrays)
            calls["torch.compile"] = partial(compiled, *arrays)
        except Exception as error:
            print(f"  torch.compile does not work here: {type(error).__name__}")
    return calls


def race(op, case, dtype, clock, ceilings, seed, budget_s) -> list[dict]:
    """Rows of the table: every version of an operation in one case."""
    arrays = tensors(op, case, dtype, seed)
    cost = op.cost(case.sizes, dtype, **case.options)
    calls = rivals(op, arrays, case.options, empty_outputs(op, case, dtype))
    ours = cuda.rungs(op.name)
    for name, function in ours.items():
        if name == op.name or cost.flops <= SLOW_TEXTBOOK or "textbook" not in name:
            calls[name] = partial(function, *arrays, **case.options, out=empty_outputs(op, case, dtype))
    timings = clock.race(calls, budget_s)
    least = ceilings.least_seconds(cost, str(SIXTEEN.get(op.name, dtype)).removeprefix("torch."))
    return [
        {
            "operation": op.name,
            "case": case.name,
            "dtype": dtype,
            "version": name,
            "public": name == op.name,
            "microseconds": 1e6 * timing.median,
            "share of the ceiling": least / timing.median,
            "GB/s": cost.bytes / timing.median / 1e9,
            "TFLOP/s": cost.flops / timing.median / 1e12,
            "speed": {r: timing.speed(timings[r]) for r in timings if r not in ours and r != name},
        }
        for name, timing in timings.items()
    ]


def markdown(found: dict) -> str:
    """The public versions as a table, below what they were measured on."""
    facts = ", ".join(f"{name} {value}" for name, value in found["machine"].items())
    peaks = ", ".join(f"{name} {rate / 1e12:.1f} TFLOP/s" for name, rate in found["ceilings"]["peak"].items())
    lines = [
        f"# {found['machine']['device']}",
        "",
        f"`python benchmarks/gpu.py`, {found['date']}. {facts}.",
        "",
        f"Ceilings of the same run: copy {found['ceilings']['copy'] / 1e9:.0f} GB/s; cuBLAS {peaks}.",
        "",
        f"Checked against float64 with fresh inputs (seed {found['seed']}): {len(found['right'])} right, "
        f"{len(found['wrong'])} wrong; {len(found['left out'])} cases left out for want of time.",
        "",
        f"| operation | case | time | of the ceiling | times as fast as torch | as torch.compile | as {CUBLAS} |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        if row["public"]:
            speeds = " | ".join(_speed(row["speed"].get(name)) for name in ("torch", "torch.compile", CUBLAS))
            time_us, share = row["microseconds"], row["share of the ceiling"]
            lines.append(
                f"| `{row['operation']}` | {row['case']} | {time_us:.1f} µs | {share:.0%} | {speeds} |"
            )
    lines += ["", *targets(found["rows"])]
    for name, words in found["wrong"].items():
        lines.append(f"\nWrong: {name}: {words}")
    return "\n".join(lines) + "\n"


def targets(rows: list[dict], wanted: tuple[Target, ...] = GPU_TARGETS) -> list[str]:
    """A sentence for each target whose case was raced."""
    found = []
    for target in wanted:
        for row in rows:
            if (row["version"], row["case"]) == (target.version or target.operation, target.case):
                speed = row["speed"][target.rival]
                verdict = "reached" if speed[0] >= target.least else "missed"
                found.append(
                    f"Target {verdict}: {row['version']}, {target.case}: {_speed(speed)} times as fast as "
                    f"{target.rival}, wanted {target.least:g}, better {target.aim:g}."
                )
    return found


def _speed(found) -> str:
    return "" if found is None else f"{found[0]:.2f} ({found[1]:.2f} to {found[2]:.2f})"


def check_all(ops, seed) -> dict:
    """Every version in all small cases and dtypes."""
    right, wrong = [], {}
    for op in ops:
        for dtype in op.dtypes:
            for case in (*op.cases_for("tiny"), *op.cases_for("test")):
                for name, function in cuda.rungs(op.name).items():
                    what = f"{name}, {case.name}, {dtype}"
                    if problem := check(op, function, case, dtype, seed):
                        wrong[what] = problem
                    else:
                        right.append(what)
        print(f"{op.name}: checked", flush=True)
    return {"right": right, "wrong": wrong}


def race_all(ops, clock, ceilings, stop, found) -> None:
    """All large cases until the time is over, each checked before it is timed; adds to ``found``."""
    cases = [(op, case) for op in ops for case in cases_to_race(op)]
    for number, (op, case) in enumerate(cases):
        what, dtype, seed = f"{op.name}, {case.name}", op.dtypes[0], found["seed"]
        left = stop - time.perf_counter()
        if left <= 0:
            found["left out"].append(what)
            continue
        try:
            if problem := check(op, cuda.rungs(op.name)[op.name], case, dtype, seed):
                found["wrong"][what] = problem
            rows = race(op, case, dtype, clock, ceilings, seed, min(1.0, left / (len(cases) - number)))
        except Exception as error:  # out of memory, say: the others go on
            found["wrong"][what] = f"{type(error).__name__}: {error}"
            continue
        found["rows"] += rows
        for row in rows:
            print(_line(row), flush=True)


def _line(row) -> str:
    speeds = ", ".join(f"{name} {_speed(value)}" for name, value in row["speed"].items())
    version = f"{'*' if row['public'] else ' '}{row['version']}"
    time_us, share = row["microseconds"], row["share of the ceiling"]
    return f"{version:40} {row['case']:24} {time_us:10.1f} µs  {share:4.0%}  {speeds}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="operations, all where none is named")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--minutes", type=float, default=7.5)
    options = parser.parse_args()
    unknown = [name for name in options.names if not cuda.rungs(name)]
    if unknown:
        sys.exit(f"there is no CUDA kernel named {', '.join(unknown)}")
    if not torch.cuda.is_available():
        sys.exit("no GPU that torch can use was found; without one, the kernels are checked by `make test`")
    from gpu_clock import Clock, measure_ceilings

    stop = time.perf_counter() + 60 * options.minutes
    clock, seed = Clock(), secrets.randbelow(2**32)
    ceilings = measure_ceilings(clock)
    ops = [
        op for name, op in OPS.items() if cuda.rungs(name) and (not options.names or name in options.names)
    ]
    found = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": describe(),
        "seed": seed,
        "ceilings": {"copy": ceilings.copy, "peak": ceilings.peak},
        **check_all(ops, seed),
        "rows": [],
        "left out": [],
    }
    race_all(ops, clock, ceilings, stop, found)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    if options.markdown:
        options.markdown.write_text(markdown(found))
    print(*targets(found["rows"]), sep="\n")
    for what, wrong in found["wrong"].items():
        print(f"WRONG {what}: {wrong}")
    sys.exit(bool(found["wrong"]))


if __name__ == "__main__":
    main()
