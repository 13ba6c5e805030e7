"""Weighted means of values, with weights from products of queries and keys."""

from math import prod, sqrt

import numpy as np

from coursekit.kernels.contract import Array, Case, Operation, Option, Tolerance


def _attention(q, k, v, causal=False):
    q, k, v = np.float64(q), np.float64(k), np.float64(v)
    out = np.zeros((*q.shape[:-1], v.shape[-1]))
    for where in np.ndindex(q.shape[:-1]):
        *head, m = where
        seen = slice(m + 1 if causal else None)
        keys, values = k[tuple(head)][seen], v[tuple(head)][seen]
        with np.errstate(invalid="ignore"):
            scores = (keys * q[where]).sum(1) / sqrt(max(q.shape[-1], 1))
            weights = np.exp(scores - scores.max(initial=-np.inf))
            out[where] = (weights[:, None] * values).sum(0) / weights.sum() if weights.size else 0
    return out


def pairs(M: int, N: int, causal: bool) -> int:
    """How many pairs of query and key there are; a causal query sees the keys up to its own position."""
    return sum(min(m + 1, N) for m in range(M)) if causal else M * N


def _count(sizes, options):
    M, N = sizes["M"], sizes["N"]
    return prod(sizes["..."]) * pairs(M, N, options["causal"]) * (2 * sizes["D"] + 2 * sizes["E"] + 6)


def _sizes(heads, M, N, D, E):
    return {"...": heads, "M": M, "N": N, "D": D, "E": E}


CAUSAL = {"causal": True}

ATTENTION = Operation(
    name="attention",
    formula="out[m] = Σₙ w[m, n] · v[n], w[m] = softmax over n of q[m]·k[n] / √D; n ≤ m if causal",
    inputs=(Array("q", ("...", "M", "D")), Array("k", ("...", "N", "D")), Array("v", ("...", "N", "E"))),
    outputs=(Array("out", ("...", "M", "E")),),
    options={"causal": Option(False)},
    reference=_attention,
    count=_count,
    # Scores of normal inputs lie within ±5, with errors of a few units in the last place, which exp passes on.
    tolerance={"float32": Tolerance(1e-5, 3e-6), "float64": Tolerance(1e-13, 1e-14)},
    cases=(
        Case("1x8x1024x64", "benchmark", _sizes((1, 8), 1024, 1024, 64, 64)),
        Case("1x8x1024x64, causal", "benchmark", _sizes((1, 8), 1024, 1024, 64, 64), CAUSAL),
        Case("32x4x128x32", "benchmark", _sizes((32, 4), 128, 128, 32, 32)),
        Case("one query, 1x8x1024x64", "benchmark", _sizes((1, 8), 1, 1024, 64, 64)),
        Case("odd", "test", _sizes((2, 3), 37, 131, 19, 21)),
        Case("odd, causal", "test", _sizes((2, 3), 131, 131, 19, 21), CAUSAL),
        Case("one matrix", "test", _sizes((), 50, 70, 64, 32)),
        Case("more queries than keys, causal", "test", _sizes((2,), 70, 33, 8, 8), CAUSAL),
        Case("fewer queries than keys, causal", "test", _sizes((2,), 33, 170, 8, 8), CAUSAL),
        Case("several blocks, causal", "test", _sizes((2,), 300, 300, 8, 8), CAUSAL),
        Case("one query", "test", _sizes((2,), 1, 600, 16, 16)),
        Case("one key", "test", _sizes((2,), 30, 1, 5, 7)),
        Case("numbers", "test", _sizes((1, 1, 2), 9, 9, 1, 1)),
        Case("no heads", "test", _sizes((0,), 4, 5, 6, 7)),
        Case("no queries", "test", _sizes((2,), 0, 5, 6, 7)),
        Case("no keys", "test", _sizes((2,), 4, 0, 6, 7)),
        Case("no keys, causal", "test", _sizes((2,), 4, 0, 6, 7), CAUSAL),
        Case("equal weights", "test", _sizes((2,), 4, 5, 0, 7)),
        Case("no values", "test", _sizes((2,), 4, 5, 6, 0)),
        Case("a few", "tiny", _sizes((2,), 3, 5, 4, 3)),
        Case("a few, causal", "tiny", _sizes((2,), 5, 5, 4, 3), CAUSAL),
        Case("longer than the block", "tiny", _sizes((), 2, 40, 2, 2)),
        Case("no key at all", "tiny", _sizes((), 2, 0, 2, 2)),
    ),
)
