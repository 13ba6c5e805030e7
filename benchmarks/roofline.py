"""The roofline of this machine with the course's kernels under it: ``python benchmarks/roofline.py [FILE.png]``.

Ceilings and kernels are measured now, on one core; times are medians of interleaved rounds. Without a file it
prints the table only. README.md shows the picture made with docs/images/roofline.png.
"""

import sys
from functools import partial

import numpy as np
import torch

from coursekit import measure, plots
from coursekit.kernels import cpu, reference
from coursekit.kernels.ops import OPS

SHOWN = {  # operation: the readable version, and the sizes
    "matmul": ("matmul_blocked", {"M": 1024, "K": 1024, "N": 1024}),
    "softmax": ("softmax_rows", {"...": (1024, 1024)}),
    "bias_gelu": ("bias_gelu_fused", {"...": (1024,), "N": 1024}),
}
ALT = (
    "Roofline of one core: sloping lines for each cache and memory, a flat roof, and six kernels under them."
)


def main(path: str | None) -> None:
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    calls, costs = {}, {}
    for name, (readable, sizes) in SHOWN.items():
        arguments = OPS[name].draw(rng, sizes)
        for kind, function in (("", getattr(cpu, readable)), (", torch", getattr(reference, name))):
            calls[name + kind] = partial(function, *arguments)
            costs[name + kind] = OPS[name].cost(sizes)
    ceilings = measure.ceilings(refresh=True)
    timed = measure.compare(calls, budget_s=5)
    print(ceilings, timed, sep="\n\n")
    if path:
        points = {name: (costs[name].intensity, costs[name].flops / timed[name].median) for name in calls}
        plots.roofline(ceilings, points, alt=ALT, title=ceilings.machine).savefig(path, dpi=plots.DPI)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
