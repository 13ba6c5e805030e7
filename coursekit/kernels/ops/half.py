"""Products of numbers of 16 bits, summed in 32: what networks are trained in, and what tensor cores take."""

from math import sqrt

import numpy as np

from coursekit.kernels.contract import Array, Case, Operation, Tolerance, standard_normal
from coursekit.kernels.ops.linear import MATMUL


def _inputs(rng, op, sizes, dtype):
    """Products of unit variance at any K."""
    a, b = standard_normal(rng, op, sizes, dtype)
    return a, (b / np.float32(sqrt(max(sizes["K"], 1)))).astype(np.float16)


def _product(M, K, N):
    return {"M": M, "K": K, "N": N}


HALF_MATMUL = Operation(
    name="half_matmul",
    formula="out[m, n] = Σₖ a[m, k] · b[k, n], of float16, summed in float32",
    inputs=(Array("a", ("M", "K"), "float16"), Array("b", ("K", "N"), "float16")),
    outputs=(Array("out", ("M", "N"), "float32"),),
    reference=MATMUL.reference,
    count=MATMUL.count,
    # Products are exact in float32. Tensor cores cut partial sums off where others round them.
    tolerance={"float32": Tolerance(1e-5, 5e-5)},
    sample=_inputs,
    cases=(
        Case("square 256", "benchmark", _product(256, 256, 256)),
        Case("square 1024", "benchmark", _product(1024, 1024, 1024)),
        Case("64 by 784x128", "benchmark", _product(64, 784, 128)),
        Case("32 cubed", "test", _product(32, 32, 32)),
        Case("odd", "test", _product(67, 131, 45)),
        Case("deep", "test", _product(3, 2049, 5)),
        Case("one row", "test", _product(1, 100, 33)),
        Case("one column", "test", _product(33, 65, 1)),
        Case("no rows", "test", _product(0, 4, 5)),
        Case("empty sum", "test", _product(4, 0, 5)),
        Case("tiny", "tiny", _product(2, 5, 17)),
        Case("one tile, tiny", "tiny", _product(32, 16, 16)),
        Case("over the tile's edge in eights", "tiny", _product(33, 40, 24)),
        Case("one number", "tiny", _product(1, 1, 1)),
        Case("no columns, tiny", "tiny", _product(3, 8, 0)),
        Case("empty sum, tiny", "tiny", _product(2, 0, 8)),
    ),
)
