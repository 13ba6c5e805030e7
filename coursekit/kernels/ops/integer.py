"""Products of small integers, exact: what quantised networks are made of."""

import numpy as np

from coursekit.kernels.contract import Array, Case, Operation, Option, Tolerance, standard_normal
from coursekit.kernels.ops.linear import PANEL

FOUR = 4
"""Neighbours along k that lie side by side in a packed matrix: machines multiply and add them in one instruction."""
EXACT = {"float32": Tolerance(0, 0)}
"""No array here is of a floating type; the one named stands for all."""


def _int8_matmul(a, b):
    """Exact in int64, and then modulo 2³²."""
    return np.einsum("mk,kn->mn", np.int64(a), np.int64(b), optimize=False).astype(np.int32)


def _product(M, K, N):
    return {"M": M, "K": K, "N": N}


PRODUCTS = {
    "benchmark": {
        "1 by 1024x1024": _product(1, 1024, 1024),
        "64 by 1024x1024": _product(64, 1024, 1024),
        "512 cubed": _product(512, 512, 512),
        "64 by 784x128": _product(64, 784, 128),
    },
    "test": {
        "odd": _product(19, 131, 45),
        "one row": _product(1, 70, 37),
        "two rows": _product(2, 33, 16),
        "many rows": _product(110, 40, 66),
        "one column": _product(7, 9, 1),
        "no rows": _product(0, 4, 5),
        "empty sum": _product(4, 0, 5),
        "no columns": _product(3, 4, 0),
    },
    "tiny": {"tiny": _product(2, 5, 17), "one number": _product(1, 1, 1)},
}

INT8_MATMUL = Operation(
    name="int8_matmul",
    formula="out[m, n] = Σₖ a[m, k] · b[k, n] modulo 2³²",
    inputs=(Array("a", ("M", "K"), "int8"), Array("b", ("K", "N"), "int8")),
    outputs=(Array("out", ("M", "N"), "int32"),),
    reference=_int8_matmul,
    count=lambda s, options: 2 * s["M"] * s["N"] * s["K"],
    tolerance=EXACT,
    cases=tuple(Case(name, use, s) for use, sizes in PRODUCTS.items() for name, s in sizes.items()),
)


def _packed_sizes(K, N):
    return {"P": -(-N // PANEL), "Q": -(-K // FOUR), "16": PANEL, "4": FOUR}


def _pack_int8(b):
    K, N = b.shape
    s = _packed_sizes(K, N)
    padded = np.zeros((s["Q"] * FOUR, s["P"] * PANEL), np.int8)
    padded[:K, :N] = b
    return padded.reshape(s["Q"], FOUR, s["P"], PANEL).transpose(2, 0, 3, 1)


PACK_INT8 = Operation(
    name="pack_int8",
    formula="panels[p, q, c, i] = b[4 q + i, 16 p + c], and 0 beyond the edges",
    inputs=(Array("b", ("K", "N"), "int8"),),
    outputs=(Array("panels", ("P", "Q", "16", "4"), "int8"),),
    derive=lambda s, options: _packed_sizes(s["K"], s["N"]),
    reference=_pack_int8,
    count=lambda s, options: 0,
    tolerance=EXACT,
    cases=(
        Case("1024x1024", "benchmark", {"K": 1024, "N": 1024}),
        Case("784x128", "benchmark", {"K": 784, "N": 128}),
        Case("whole panels", "test", {"K": 20, "N": 32}),
        Case("odd", "test", {"K": 131, "N": 45}),
        Case("one column", "test", {"K": 7, "N": 1}),
        Case("nothing to sum", "test", {"K": 0, "N": 5}),
        Case("no columns", "test", {"K": 4, "N": 0}),
        Case("tiny", "tiny", {"K": 5, "N": 17}),
    ),
)


def _int8_matmul_packed(a, panels, columns=0):
    P, Q, *_ = panels.shape
    b = panels.transpose(1, 3, 0, 2).reshape(Q * FOUR, P * PANEL)
    return _int8_matmul(a, b[: a.shape[1], :columns])


def _packed_inputs(rng, op, sizes, dtype):
    a, b = standard_normal(rng, INT8_MATMUL, sizes, dtype)
    return a, np.ascontiguousarray(_pack_int8(b))


INT8_MATMUL_PACKED = Operation(
    name="int8_matmul_packed",
    formula="out[m, n] = Σₖ a[m, k] · panels[n div 16, k div 4, n mod 16, k mod 4] modulo 2³²",
    inputs=(Array("a", ("M", "K"), "int8"), Array("panels", ("P", "Q", "16", "4"), "int8")),
    outputs=(Array("out", ("M", "N"), "int32"),),
    options={"columns": Option(0, lambda value, shapes: "" if value >= 0 else "0 or more")},
    derive=lambda s, options: {"N": options["columns"], **_packed_sizes(s["K"], options["columns"])},
    reference=_int8_matmul_packed,
    count=INT8_MATMUL.count,
    tolerance=EXACT,
    sample=_packed_inputs,
    cases=tuple(
        Case(name, use, {"M": s["M"], "K": s["K"]}, {"columns": s["N"]})
        for use, sizes in PRODUCTS.items()
        for name, s in sizes.items()
    ),
)
