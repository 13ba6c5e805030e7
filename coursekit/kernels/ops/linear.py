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
        Case("one, tiny", "tiny", {"...": (1,), "M": 1, "K": 1, "N": 1}),
    ),
)
