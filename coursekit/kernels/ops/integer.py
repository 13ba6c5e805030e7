"""Products of small integers, exact: what quantised networks are made of."""

import numpy as np

from coursekit.kernels.contract import Array, Case, Operation, Option, Tolerance, standard_normal
from coursekit.kernels.ops.linear import LINEAR, PANEL

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
    "tiny": {
        "tiny": _product(2, 5, 17),
        "one tile, tiny": _product(32, 32, 16),
        "over the tile's edge in sixteens": _product(33, 48, 20),
        "one number": _product(1, 1, 1),
        "empty sum, tiny": _product(2, 0, 4),
        "no columns, tiny": _product(2, 16, 0),
    },
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

GROUP = 32
"""Neighbours along k that share a scale."""
LARGEST = 7
"""Of the integers from -8 to 7, those from -7 on are used, so that both signs reach equally far."""


def _int4_sizes(s, options):
    P, G = -(-s["N"] // PANEL), -(-s["K"] // GROUP)
    return {"P": P, "G": G, "H": G * GROUP // 2, "16": PANEL}


def _pack_int4(weight):
    """Quotients are rounded in float64, by scales that are float32 already: so every backend has the same bits."""
    N, K = weight.shape
    s = _int4_sizes({"N": N, "K": K}, {})
    padded = np.zeros((s["P"] * PANEL, s["G"] * GROUP))
    padded[:N, :K] = weight
    groups = padded.reshape(s["P"], PANEL, s["G"], GROUP).transpose(0, 2, 3, 1)
    scales = (np.abs(groups).max(2, initial=0) / LARGEST).astype(np.float32)
    numbers = np.rint(groups / np.where(scales > 0, scales, 1)[:, :, None].astype(np.float64)) + 8
    numbers = numbers.astype(np.uint8).reshape(s["P"], s["H"], 2, PANEL)
    return numbers[:, :, 0] | numbers[:, :, 1] << 4, scales


PACK_INT4 = Operation(
    name="pack_int4",
    formula="scale = max |weight| / 7 of 32 neighbours along k; packed = 8 + round(weight / scale), two to a byte",
    inputs=(Array("weight", ("N", "K")),),
    outputs=(Array("packed", ("P", "H", "16"), "uint8"), Array("scales", ("P", "G", "16"))),
    derive=_int4_sizes,
    reference=_pack_int4,
    # A size and a comparison for the maximum, a quotient, a sum and a rounding.
    count=lambda s, options: 5 * s["N"] * s["K"],
    tolerance=EXACT,
    cases=(
        Case("1024-1024", "benchmark", {"K": 1024, "N": 1024}),
        Case("whole panels", "test", {"K": 64, "N": 32}),
        Case("odd", "test", {"K": 131, "N": 45}),
        Case("one row", "test", {"K": 7, "N": 1}),
        Case("nothing to sum", "test", {"K": 0, "N": 5}),
        Case("no rows", "test", {"K": 4, "N": 0}),
        Case("tiny", "tiny", {"K": 33, "N": 17}),
    ),
)


def _int4_linear(x, packed, scales, bias):
    P, H, _ = packed.shape
    numbers = np.stack([packed & 15, packed >> 4], 2).reshape(P, 2 * H, PANEL) - 8.0
    weight = numbers * np.repeat(np.float64(scales), GROUP, 1)
    weight = weight.transpose(0, 2, 1).reshape(P * PANEL, 2 * H)[: len(bias), : x.shape[1]]
    return np.einsum("mk,nk->mn", np.float64(x), weight, optimize=False) + np.float64(bias)


def _int4_inputs(rng, op, sizes, dtype):
    x, weight, bias = LINEAR.sample(rng, LINEAR, sizes, dtype)
    packed, scales = _pack_int4(weight)
    return x, np.ascontiguousarray(packed), scales.astype(dtype), bias


INT4_LINEAR = Operation(
    name="int4_linear",
    formula="out[m, n] = Σₖ x[m, k] · (packed[n, k] - 8) · scales[n, k div 32] + bias[n]",
    inputs=(
        Array("x", ("M", "K")),
        Array("packed", ("P", "H", "16"), "uint8"),
        Array("scales", ("P", "G", "16")),
        Array("bias", ("N",)),
    ),
    outputs=(Array("out", ("M", "N")),),
    derive=_int4_sizes,
    reference=_int4_linear,
    count=LINEAR.count,
    # As for a linear layer of float32.
    tolerance={"float32": LINEAR.tolerance["float32"]},
    sample=_int4_inputs,
    cases=(
        Case("1 through 1024-1024", "benchmark", _product(1, 1024, 1024)),
        Case("1 through 4096-4096", "benchmark", _product(1, 4096, 4096)),
        Case("4 through 1024-1024", "benchmark", _product(4, 1024, 1024)),
        Case("one row", "test", _product(1, 70, 107)),
        Case("odd", "test", _product(3, 131, 45)),
        Case("one column", "test", _product(2, 32, 1)),
        Case("no rows", "test", _product(0, 4, 5)),
        Case("empty sum", "test", _product(2, 0, 5)),
        Case("no columns", "test", _product(2, 4, 0)),
        Case("tiny", "tiny", _product(2, 33, 17)),
    ),
)
