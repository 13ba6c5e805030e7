"""Products of matrices."""

from math import prod, sqrt

import numpy as np

from coursekit.kernels.contract import Array, Case, Operation, Tolerance, standard_normal


def _matmul(a, b):
    a, b = np.float64(a), np.float64(b)
    return np.einsum("mk,kn->mn", a, b, optimize=False)


def _layer_inputs(rng, op, sizes, dtype):
    """Products of unit variance at any K, as a network's initial weights give: one tolerance fits all."""
    a, b = standard_normal(rng, op, sizes, dtype)
    return a, b / np.asarray(sqrt(max(sizes["K"], 1)), b.dtype)


MATMUL = Operation(
    name="matmul",
    formula="out[m, n] = Σₖ a[m, k] · b[k, n]",
    inputs=(Array("a", ("M", "K")), Array("b", ("K", "N"))),
    outputs=(Array("out", ("M", "N")),),
    reference=_matmul,
    count=lambda s, options: 2 * s["M"] * s["N"] * s["K"],
    tolerance={"float32": Tolerance(1e-5, 1e-5), "float64": Tolerance(1e-13, 1e-13)},
    sample=_layer_inputs,
    cases=(
        Case("square 256", "benchmark", {"M": 256, "K": 256, "N": 256}),
        Case("square 512", "benchmark", {"M": 512, "K": 512, "N": 512}),
        Case("square 1024", "benchmark", {"M": 1024, "K": 1024, "N": 1024}),
        Case("square 2048", "benchmark", {"M": 2048, "K": 2048, "N": 2048}),
        Case("batch 64 through 784-128", "benchmark", {"M": 64, "K": 784, "N": 128}),
        Case("tall 4096x64x64", "benchmark", {"M": 4096, "K": 64, "N": 64}),
        Case("32 cubed", "test", {"M": 32, "K": 32, "N": 32}),
        Case("odd", "test", {"M": 67, "K": 131, "N": 1037}),
        Case("deep", "test", {"M": 3, "K": 2049, "N": 5}),
        Case("row by matrix", "test", {"M": 1, "K": 100, "N": 33}),
        Case("outer product", "test", {"M": 17, "K": 1, "N": 19}),
        Case("one column", "test", {"M": 33, "K": 65, "N": 1}),
        Case("no rows", "test", {"M": 0, "K": 4, "N": 5}),
        Case("empty sum", "test", {"M": 4, "K": 0, "N": 5}),
        Case("one tile", "tiny", {"M": 16, "K": 16, "N": 16}),
        Case("over the tile's edge", "tiny", {"M": 17, "K": 18, "N": 19}),
        Case("under the tile's edge", "tiny", {"M": 15, "K": 31, "N": 3}),
        Case("over the tile's edge in fours", "tiny", {"M": 18, "K": 20, "N": 24}),
        Case("one element", "tiny", {"M": 1, "K": 1, "N": 1}),
        Case("no columns", "tiny", {"M": 3, "K": 2, "N": 0}),
        Case("empty sum, tiny", "tiny", {"M": 2, "K": 0, "N": 3}),
    ),
)


def _batched_matmul(a, b):
    a, b = np.float64(a), np.float64(b)
    return np.einsum("...mk,...kn->...mn", a, b, optimize=False)


BATCHED_MATMUL = Operation(
    name="batched_matmul",
    formula="out[..., m, n] = Σₖ a[..., m, k] · b[..., k, n]",
    inputs=(Array("a", ("...", "M", "K")), Array("b", ("...", "K", "N"))),
    outputs=(Array("out", ("...", "M", "N")),),
    reference=_batched_matmul,
    count=lambda s, options: 2 * prod(s["..."]) * s["M"] * s["N"] * s["K"],
    tolerance={"float32": Tolerance(1e-5, 1e-5), "float64": Tolerance(1e-13, 1e-13)},
    sample=_layer_inputs,
    cases=(
        Case("64 of 64 cubed", "benchmark", {"...": (64,), "M": 64, "K": 64, "N": 64}),
        Case("8 of 256 cubed", "benchmark", {"...": (8,), "M": 256, "K": 256, "N": 256}),
        Case("heads 8x1024x64x1024", "benchmark", {"...": (8,), "M": 1024, "K": 64, "N": 1024}),
        Case("three", "test", {"...": (3,), "M": 17, "K": 19, "N": 33}),
        Case("two by two", "test", {"...": (2, 2), "M": 7, "K": 5, "N": 9}),
        Case("no batch", "test", {"...": (), "M": 13, "K": 6, "N": 4}),
        Case("none", "test", {"...": (0,), "M": 3, "K": 4, "N": 5}),
        Case("empty sums", "test", {"...": (2,), "M": 3, "K": 0, "N": 5}),
        Case("two, tiny", "tiny", {"...": (2,), "M": 3, "K": 4, "N": 5}),
        Case("two by two in fours", "tiny", {"...": (2, 2), "M": 17, "K": 12, "N": 4}),
        Case("one, tiny", "tiny", {"...": (1,), "M": 1, "K": 1, "N": 1}),
        Case("none, tiny", "tiny", {"...": (0,), "M": 2, "K": 4, "N": 4}),
        Case("empty sums, tiny", "tiny", {"...": (2,), "M": 1, "K": 0, "N": 4}),
    ),
)


def _linear(x, weight, bias=None):
    x, weight = np.float64(x), np.float64(weight)
    out = np.einsum("mk,nk->mn", x, weight, optimize=False)
    return out if bias is None else out + np.float64(bias)


def _linear_inputs(rng, op, sizes, dtype):
    """Products of unit variance, as :func:`_layer_inputs`."""
    x, weight, bias = standard_normal(rng, LINEAR, sizes, dtype)
    return x, weight / np.asarray(sqrt(max(sizes["K"], 1)), dtype), bias


def _layer(M, K, N):
    return {"M": M, "K": K, "N": N}


LAYER_CASES = (
    *(Case(f"{m} through 1024-1024", "benchmark", _layer(m, 1024, 1024)) for m in (1, 4, 8, 64)),
    Case("1 through 4096-4096, 64 MB", "benchmark", _layer(1, 4096, 4096)),
    Case("64 through 784-128", "benchmark", _layer(64, 784, 128)),
    Case("one row", "test", _layer(1, 37, 203)),
    Case("odd", "test", _layer(17, 131, 45)),
    Case("deep", "test", _layer(70, 1100, 33)),
    Case("four rows", "test", _layer(4, 19, 64)),
    Case("one column", "test", _layer(5, 65, 1)),
    Case("no rows", "test", _layer(0, 4, 5)),
    Case("empty sum", "test", _layer(4, 0, 5)),
    Case("empty sum of one row", "test", _layer(1, 0, 5)),
    Case("no columns", "test", _layer(3, 4, 0)),
    Case("tiny", "tiny", _layer(3, 5, 7)),
    Case("over a panel's edge", "tiny", _layer(2, 3, 17)),
    Case("over a tile's edge in fours", "tiny", _layer(17, 20, 20)),
    Case("empty sum, tiny", "tiny", _layer(2, 0, 4)),
    Case("no rows, tiny", "tiny", _layer(0, 4, 4)),
    Case("one number", "tiny", _layer(1, 1, 1)),
)
LINEAR_TOLERANCE = {"float32": Tolerance(1e-5, 2e-5), "float64": Tolerance(1e-13, 1e-13)}

LINEAR = Operation(
    name="linear",
    formula="out[m, n] = Σₖ x[m, k] · weight[n, k] + bias[n]",
    inputs=(Array("x", ("M", "K")), Array("weight", ("N", "K")), Array("bias", ("N",), optional=True)),
    outputs=(Array("out", ("M", "N")),),
    reference=_linear,
    count=lambda s, options: s["M"] * s["N"] * (2 * s["K"] + 1),
    # A sum of K products of unit variance together, in any order.
    tolerance=LINEAR_TOLERANCE,
    sample=_linear_inputs,
    cases=LAYER_CASES,
)

PANEL = 16
"""Columns of a packed weight side by side: 16 float32 are one cache line, and whole registers on every machine."""


def _panels(s, options):
    return {"P": -(-s["N"] // PANEL), "16": PANEL}


def _pack_linear(weight):
    N, K = weight.shape
    P = -(-N // PANEL)
    padded = np.zeros((P * PANEL, K))
    padded[:N] = weight
    return padded.reshape(P, PANEL, K).transpose(0, 2, 1)


PACK_LINEAR = Operation(
    name="pack_linear",
    formula="panels[p, k, c] = weight[16 p + c, k], and 0 beyond the last row",
    inputs=(Array("weight", ("N", "K")),),
    outputs=(Array("panels", ("P", "K", "16")),),
    derive=_panels,
    reference=_pack_linear,
    count=lambda s, options: 0,
    tolerance={"float32": Tolerance(0, 0), "float64": Tolerance(0, 0)},
    cases=(
        Case("1024-1024", "benchmark", {"K": 1024, "N": 1024}),
        Case("784-128", "benchmark", {"K": 784, "N": 128}),
        Case("whole panels", "test", {"K": 19, "N": 32}),
        Case("odd", "test", {"K": 131, "N": 45}),
        Case("one row", "test", {"K": 7, "N": 1}),
        Case("nothing to sum", "test", {"K": 0, "N": 5}),
        Case("no rows", "test", {"K": 4, "N": 0}),
        Case("tiny", "tiny", {"K": 3, "N": 17}),
    ),
)


def _linear_packed(x, panels, bias):
    P, K, _ = panels.shape
    return _linear(x, panels.transpose(0, 2, 1).reshape(P * PANEL, K)[: len(bias)], bias)


def _packed_inputs(rng, op, sizes, dtype):
    x, weight, bias = _linear_inputs(rng, op, sizes, dtype)
    return x, np.ascontiguousarray(_pack_linear(weight), dtype), bias


LINEAR_PACKED = Operation(
    name="linear_packed",
    formula="out[m, n] = Σₖ x[m, k] · panels[n div 16, k, n mod 16] + bias[n]",
    inputs=(Array("x", ("M", "K")), Array("panels", ("P", "K", "16")), Array("bias", ("N",))),
    outputs=(Array("out", ("M", "N")),),
    derive=_panels,
    reference=_linear_packed,
    count=LINEAR.count,
    tolerance=LINEAR_TOLERANCE,
    sample=_packed_inputs,
    cases=LAYER_CASES,
)
