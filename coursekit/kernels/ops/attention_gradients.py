"""The gradients of attention."""

from math import prod, sqrt

import numpy as np

from coursekit.kernels.contract import Array, Operation, Option, Tolerance
from coursekit.kernels.ops.attention import ATTENTION, pairs


def _attention_grad(q, k, v, grad, causal=False):
    q, k, v, grad = map(np.float64, (q, k, v, grad))
    M, N = q.shape[-2], k.shape[-2]
    dq, dk, dv = (np.zeros_like(a) for a in (q, k, v))
    scale = 1 / sqrt(max(q.shape[-1], 1))
    for head in np.ndindex(q.shape[:-2]):
        for m in range(M if N else 0):
            seen = (*head, slice(m + 1 if causal else None))
            here = (*head, m)
            with np.errstate(invalid="ignore"):
                scores = (k[seen] * q[here]).sum(1) * scale
                powers = np.exp(scores - scores.max())
                weights = powers / powers.sum()
                slopes = (v[seen] * grad[here]).sum(1)
                of_scores = weights * (slopes - (weights * slopes).sum()) * scale
            dv[seen] += weights[:, None] * grad[here]
            dk[seen] += of_scores[:, None] * q[here]
            dq[here] = (of_scores[:, None] * k[seen]).sum(0)
    return dq, dk, dv


def _count(sizes, options):
    D, E = sizes["D"], sizes["E"]
    seen = pairs(sizes["M"], sizes["N"], options["causal"])
    return prod(sizes["..."]) * seen * (6 * D + 4 * E + 6 + 5)


ATTENTION_GRAD = Operation(
    name="attention_grad",
    formula="w as in attention, s = w · (grad·v - Σ w · (grad·v)) / √D: dq = s k, dk = sᵀ q, dv = wᵀ grad",
    inputs=(*ATTENTION.inputs, Array("grad", ("...", "M", "E"))),
    outputs=(
        Array("q_gradient", ("...", "M", "D")),
        Array("k_gradient", ("...", "N", "D")),
        Array("v_gradient", ("...", "N", "E")),
    ),
    options={"causal": Option(False)},
    reference=_attention_grad,
    count=_count,
    # Sums over all queries, of differences of two numbers of a few units.
    tolerance={"float32": Tolerance(2e-5, 2e-5), "float64": Tolerance(1e-12, 1e-13)},
    cases=tuple(case for case in ATTENTION.cases if not case.name.startswith("one query, ")),
)
