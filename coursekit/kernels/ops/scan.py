"""A recurrence without a function around it, which need not be computed one step after the other."""

import numpy as np

from coursekit.kernels.contract import Array, Case, Operation, Tolerance


def _step_by_step(a, b, h0=None):
    a, b = np.float64(a), np.float64(b)
    h = np.zeros(len(a)) if h0 is None else np.float64(h0)
    out = np.empty(a.shape)
    for t in range(a.shape[1]):
        h = a[:, t] * h + b[:, t]
        out[:, t] = h
    return out


def _fading(rng, op, sizes, dtype):
    """Factors from -1 to 1, as gates have them and stable systems."""
    N, T = sizes["N"], sizes["T"]
    parts = rng.uniform(-1, 1, (N, T)), rng.standard_normal((N, T)), rng.standard_normal(N)
    return tuple(part.astype(dtype) for part in parts)


LINEAR_RECURRENCE = Operation(
    name="linear_recurrence",
    formula="h ← a[t] h + b[t]; out[t] = h",
    inputs=(Array("a", ("N", "T")), Array("b", ("N", "T")), Array("h0", ("N",), optional=True)),
    outputs=(Array("out", ("N", "T")),),
    reference=_step_by_step,
    count=lambda s, options: 2 * s["N"] * s["T"],
    # Factors of size 1 forget no error, and there are as many as steps; those drawn here forget at once.
    tolerance={"float32": Tolerance(1e-5, 1e-5), "float64": Tolerance(1e-13, 1e-13)},
    sample=_fading,
    cases=(
        Case("1 of 65536", "benchmark", {"N": 1, "T": 2**16}),
        Case("1 of 4M", "benchmark", {"N": 1, "T": 2**22}),
        Case("a few steps", "test", {"N": 3, "T": 5}),
        Case("many chunks", "test", {"N": 2, "T": 9001}),
        Case("one sequence", "test", {"N": 1, "T": 4096}),
        Case("one step", "test", {"N": 7, "T": 1}),
        Case("no steps", "test", {"N": 4, "T": 0}),
        Case("no sequences", "test", {"N": 0, "T": 5}),
        Case("a few", "tiny", {"N": 2, "T": 5}),
        Case("no step", "tiny", {"N": 2, "T": 0}),
    ),
)
