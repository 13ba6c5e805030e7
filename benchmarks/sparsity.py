"""From how many zeros on a sparse product overtakes the dense ones: ``python benchmarks/sparsity.py [--size 1024]``.

For each share of zeros, the products with a sparse weight beside our dense one and torch's dense and sparse ones, on
one thread: medians of interleaved rounds, by the CPU time of the thread. Speeds are against our dense product, with
95 % intervals. The last lines give the share of zeros at which each overtakes it, between the two measured ones.
"""

import argparse
from functools import partial

import numpy as np
import torch

from coursekit.kernels import cpu, formats, reference
from coursekit.measure import compare

SHARES = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def weights(rng, size, zeros):
    """A weight with single zeros, and one with zeros eight rows at a time."""
    single, tall = rng.random((size, size)) >= zeros, rng.random((size // 8, size)) >= zeros
    dense = rng.standard_normal((size, size)).astype(np.float32)
    return dense * single, dense * tall.repeat(8, 0)


def candidates(rng, size, columns, zeros):
    single, tall = weights(rng, size, zeros)
    x = rng.standard_normal((size, columns)).astype(np.float32)

    def call(function, *arrays):
        tensors = [torch.from_numpy(array) for array in arrays]
        return partial(function, *tensors, out=torch.zeros(size, columns))

    return {
        "dense": call(cpu.matmul, single, x),
        "torch dense": call(torch.mm, single, x),
        "torch csr": call(reference.csr_matmul, *formats.to_csr(single), x),
        "csr": call(cpu.csr_matmul, *formats.to_csr(single), x),
        "blocks": call(cpu.block_sparse_matmul, *formats.to_blocks(tall), x),
    }


def crossover(shares, speeds):
    """Where the speed rises to 1, on a straight line between two shares; nan where it does not."""
    for i in range(1, len(shares)):
        if speeds[i - 1] < 1 <= speeds[i]:
            return float(np.interp(1, speeds[i - 1 : i + 1], shares[i - 1 : i + 1]))
    return shares[0] if speeds[0] >= 1 else float("nan")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=1024, help="rows and columns of the weight (%(default)s)")
    parser.add_argument("--columns", type=int, nargs="+", default=[64, 256], help="of x (64 and 256)")
    parser.add_argument("--budget", type=float, default=1.0, help="seconds for each row (%(default)s)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rng, seen = np.random.default_rng(0), {}
    for columns in arguments.columns:
        for zeros in SHARES:
            calls = candidates(rng, arguments.size, columns, zeros)
            comparison = compare(calls, budget_s=arguments.budget, clock="cpu")
            others = [name for name in calls if name != "dense"]
            if not seen:
                print(f"{'columns':>7} {'zeros':>6} {'dense':>9}", *(f"{name:>24}" for name in others))
            ratios = {name: comparison.ratio(name, "dense") for name in others}
            words = (f"{f'{r.median:.2f}x ({r.low:.2f} to {r.high:.2f})':>24}" for r in ratios.values())
            print(f"{columns:7} {zeros:6.0%} {comparison['dense'].median * 1e3:7.2f}ms", *words, flush=True)
            for name in others:
                seen.setdefault((columns, name), []).append(ratios[name].median)
    for (columns, name), speeds in seen.items():
        if not name.startswith("torch dense"):
            print(f"{name}, {columns} columns: overtakes at {crossover(SHARES, speeds):.0%} zeros")


if __name__ == "__main__":
    main()
