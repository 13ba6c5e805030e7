"""The contract: what each operation is, what it costs, and how exact it must be.

The agreement tests, the benchmarks, the roofline and the lessons' tables read :data:`OPS`, so that an
operation is described once. Importing this module loads NumPy and nothing heavier.

FLOPs count the mathematics, not an implementation: +, -, ·, /, a comparison, exp, erf, tanh and sqrt
count 1 each, and a reduction over n elements counts n. So a multiply-add is 2. A polynomial for exp or
erf costs ten to thirty instructions: kernels with them need more arithmetic than the count says.
"""

from math import erfc, prod, sqrt

import numpy as np

from coursekit.kernels.contract import Array, Case, Operation, Tolerance, axis_of, one_of, standard_normal


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
        Case("square 1024", "benchmark", {"M": 1024, "K": 1024, "N": 1024}),
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


def _softmax(x, axis=-1):
    x = np.float64(x)
    with np.errstate(invalid="ignore"):
        powers = np.exp(x - x.max(axis=axis, keepdims=True, initial=-np.inf))
        return powers / powers.sum(axis=axis, keepdims=True)


SOFTMAX = Operation(
    name="softmax",
    formula="out[i] = exp(x[i] - max x) / Σⱼ exp(x[j] - max x)",
    inputs=(Array("x", ("...",)),),
    outputs=(Array("out", ("...",)),),
    options={"axis": axis_of("x")},
    inplace=("x",),
    reference=_softmax,
    count=lambda s, options: 5 * prod(s["..."]),
    tolerance={"float32": Tolerance(1e-5, 1e-7), "float64": Tolerance(1e-13, 1e-15)},
    cases=(
        Case("4096 rows of 10", "benchmark", {"...": (4096, 10)}),
        Case("1024 rows of 1024", "benchmark", {"...": (1024, 1024)}),
        Case("attention 8x256x256", "benchmark", {"...": (8, 256, 256)}),
        Case("over channels", "benchmark", {"...": (8, 64, 1024)}, {"axis": 1}),
        Case("vector", "test", {"...": (1001,)}),
        Case("rows", "test", {"...": (37, 129)}),
        Case("columns", "test", {"...": (37, 129)}, {"axis": 0}),
        Case("middle of four", "test", {"...": (3, 2, 33, 5)}, {"axis": 2}),
        Case("negative axis", "test", {"...": (4, 7, 6)}, {"axis": -2}),
        Case("rows of one", "test", {"...": (5, 1)}),
        Case("no rows", "test", {"...": (0, 5)}),
        Case("rows of none", "test", {"...": (5, 0)}),
        Case("a few rows", "tiny", {"...": (2, 5)}),
        Case("longer than the block", "tiny", {"...": (2, 70)}),
        Case("just the block", "tiny", {"...": (1, 64)}),
        Case("middle axis", "tiny", {"...": (2, 5, 2)}, {"axis": 1}),
        Case("tiny vector", "tiny", {"...": (7,)}, {"axis": 0}),
        Case("nothing", "tiny", {"...": (0, 3)}),
    ),
)


def _bias_gelu(x, bias, approximate="none"):
    v = np.float64(x) + np.float64(bias)
    with np.errstate(invalid="ignore", over="ignore"):
        if approximate == "tanh":
            return 0.5 * v * (1 + np.tanh(sqrt(2 / np.pi) * (v + 0.044715 * v**3)))
        return 0.5 * v * np.vectorize(erfc, otypes=[np.float64])(-v / sqrt(2))


BIAS_GELU = Operation(
    name="bias_gelu",
    formula="v = x + bias; out = v · ½(1 + erf(v/√2)), or v · ½(1 + tanh(√(2/π)(v + 0.044715 v³)))",
    inputs=(Array("x", ("...", "N")), Array("bias", ("N",))),
    outputs=(Array("out", ("...", "N")),),
    options={"approximate": one_of("none", "tanh")},
    inplace=("x",),
    reference=_bias_gelu,
    count=lambda s, options: (10 if options["approximate"] == "tanh" else 6) * prod(s["..."]) * s["N"],
    tolerance={"float32": Tolerance(1e-5, 2e-6), "float64": Tolerance(1e-13, 1e-14)},
    cases=(
        Case("256x1024, erf", "benchmark", {"...": (256,), "N": 1024}),
        Case("256x1024, tanh", "benchmark", {"...": (256,), "N": 1024}, {"approximate": "tanh"}),
        Case("4096x768, erf", "benchmark", {"...": (4096,), "N": 768}),
        Case("rows, erf", "test", {"...": (37,), "N": 129}),
        Case("rows, tanh", "test", {"...": (37,), "N": 129}, {"approximate": "tanh"}),
        Case("vector", "test", {"...": (), "N": 1001}),
        Case("four dimensions", "test", {"...": (2, 3, 4), "N": 5}, {"approximate": "tanh"}),
        Case("rows of one", "test", {"...": (5,), "N": 1}),
        Case("no rows", "test", {"...": (0,), "N": 5}),
        Case("rows of none", "test", {"...": (5,), "N": 0}),
        Case("tiny rows, erf", "tiny", {"...": (3,), "N": 7}),
        Case("tiny rows, tanh", "tiny", {"...": (2, 2), "N": 3}, {"approximate": "tanh"}),
        Case("longer than a block", "tiny", {"...": (3,), "N": 50}),
        Case("tiny vector", "tiny", {"...": (), "N": 4}),
        Case("nothing", "tiny", {"...": (0,), "N": 3}),
    ),
)


OPS: dict[str, Operation] = {op.name: op for op in (MATMUL, SOFTMAX, BIAS_GELU)}
