"""Products of numbers of 16 bits, summed in 32: what networks are trained in, and what tensor cores take.

A float16 has a significand of 11 bits, and reaches from 6·10⁻⁸ to 65504; a bfloat16 has one of 8, and the range of a
float32, of which it is the upper half.
"""

import numpy as np

from coursekit.kernels.bfloat16 import from_bfloat16, to_bfloat16
from coursekit.kernels.contract import Array, Case, Operation, Tolerance
from coursekit.kernels.ops.linear import MATMUL


def _halves(rng, op, sizes, dtype):
    """Products of unit variance at any K."""
    return tuple(x.astype(np.float16) for x in MATMUL.draw(rng, sizes))


def _bfloat16s(rng, op, sizes, dtype):
    """As :func:`_halves`, of bits."""
    return tuple(map(to_bfloat16, MATMUL.draw(rng, sizes)))


def _bfloat16_matmul(a, b):
    return MATMUL.reference(from_bfloat16(a), from_bfloat16(b))


def _product(M, K, N):
    return {"M": M, "K": K, "N": N}


# Products of two are exact in float32, within its range. Tensor cores cut partial sums off where others round them.
TOLERANCE = {"float32": Tolerance(1e-5, 5e-5)}
CASES = (
    Case("square 256", "benchmark", _product(256, 256, 256)),
    Case("square 1024", "benchmark", _product(1024, 1024, 1024)),
    Case("64 by 784x128", "benchmark", _product(64, 784, 128)),
    Case("1 by 1024x1024", "benchmark", _product(1, 1024, 1024)),
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
)

HALF_MATMUL = Operation(
    name="half_matmul",
    formula="out[m, n] = Σₖ a[m, k] · b[k, n], of float16, summed in float32",
    inputs=(Array("a", ("M", "K"), "float16"), Array("b", ("K", "N"), "float16")),
    outputs=(Array("out", ("M", "N"), "float32"),),
    reference=MATMUL.reference,
    count=MATMUL.count,
    tolerance=TOLERANCE,
    sample=_halves,
    cases=CASES,
)

BFLOAT16_MATMUL = Operation(
    name="bfloat16_matmul",
    formula="out[m, n] = Σₖ a[m, k] · b[k, n], of bfloat16 by their bits, summed in float32",
    inputs=(Array("a", ("M", "K"), "uint16"), Array("b", ("K", "N"), "uint16")),
    outputs=(Array("out", ("M", "N"), "float32"),),
    reference=_bfloat16_matmul,
    count=MATMUL.count,
    tolerance=TOLERANCE,
    sample=_bfloat16s,
    cases=CASES,
)
