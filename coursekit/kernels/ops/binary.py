"""Products of matrices of ones and minus ones, of which 64 are packed into a word.

Bit i of word w stands for entry 64·w + i: 1 for +1, 0 for -1. Where the rows are no multiple of 64 long, the bits
beyond are 0 in both matrices, which leaves the product alone: only bits that differ count.
"""

import numpy as np

from coursekit.kernels.contract import Array, Case, Operation, Option, Tolerance

BITS = 64
"""Of a word."""

EXACT = Tolerance(0, 0)


def words(k: int) -> int:
    """How many words k bits take."""
    return -(-k // BITS)


def _pack_signs(x):
    padded = np.zeros((x.shape[0], words(x.shape[1]), BITS), np.uint8)
    padded.reshape(len(x), words(x.shape[1]) * BITS)[:, : x.shape[1]] = x >= 0
    return (padded.astype(np.uint64) << np.arange(BITS, dtype=np.uint64)).sum(2, dtype=np.uint64)


PACK_SIGNS = Operation(
    name="pack_signs",
    formula="bit i of out[m, w] = x[m, 64·w + i] ≥ 0; the bits beyond x are 0",
    inputs=(Array("x", ("M", "K")),),
    outputs=(Array("out", ("M", "W"), "uint64"),),
    derive=lambda s, options: {"W": words(s["K"])},
    reference=_pack_signs,
    count=lambda s, options: s["M"] * s["K"],
    tolerance={"float32": EXACT, "float64": EXACT},
    cases=(
        Case("1024x1024", "benchmark", {"M": 1024, "K": 1024}),
        Case("64x4096", "benchmark", {"M": 64, "K": 4096}),
        Case("whole words", "test", {"M": 5, "K": 192}),
        Case("odd", "test", {"M": 37, "K": 131}),
        Case("less than a word", "test", {"M": 9, "K": 13}),
        Case("one bit", "test", {"M": 3, "K": 1}),
        Case("no bits", "test", {"M": 3, "K": 0}),
        Case("no rows", "test", {"M": 0, "K": 70}),
        Case("a few", "tiny", {"M": 2, "K": 67}),
        Case("nothing", "tiny", {"M": 2, "K": 0}),
    ),
)


def _fits(k, shapes):
    W = shapes["a"][-1] if shapes["a"] else 0
    return "" if k == 0 or words(k) == W else f"one that takes {W} words of 64, or 0 for all their bits"


def _binary_matmul(a, b, k=0):
    differ = np.zeros((len(a), len(b)), np.int64)
    for w in range(a.shape[1]):
        apart = np.ascontiguousarray(a[:, None, w] ^ b[None, :, w])
        differ += np.unpackbits(apart[:, :, None].view(np.uint8), axis=2).sum(2, dtype=np.int64)
    return (k or BITS * a.shape[1]) - 2 * differ


def _sizes(M, N, W):
    return {"M": M, "N": N, "W": W}


BINARY_MATMUL = Operation(
    name="binary_matmul",
    formula="out[m, n] = k - 2 · (how many bits of a[m] and b[n] differ) = Σ ±1 · ±1 over k entries",
    inputs=(Array("a", ("M", "W"), "uint64"), Array("b", ("N", "W"), "uint64")),
    outputs=(Array("out", ("M", "N"), "int32"),),
    options={"k": Option(0, _fits)},
    reference=_binary_matmul,
    # As matmul: a multiplication and an addition for each entry.
    count=lambda s, options: 2 * s["M"] * s["N"] * (options["k"] or BITS * s["W"]),
    tolerance={"float32": EXACT},
    cases=(
        Case("square 1024", "benchmark", _sizes(1024, 1024, 16), {"k": 1024}),
        Case("batch 64 through 4096-512", "benchmark", _sizes(64, 512, 64), {"k": 4096}),
        Case("square", "test", _sizes(64, 64, 4), {"k": 256}),
        Case("odd", "test", _sizes(37, 131, 3), {"k": 131}),
        Case("many words", "test", _sizes(5, 70, 41)),
        Case("one row", "test", _sizes(1, 33, 2), {"k": 127}),
        Case("one column", "test", _sizes(33, 1, 2)),
        Case("no rows", "test", _sizes(0, 5, 2)),
        Case("no columns", "test", _sizes(5, 0, 2)),
        Case("empty sums", "test", _sizes(5, 6, 0)),
        Case("a few", "tiny", _sizes(3, 5, 2), {"k": 70}),
        Case("nothing", "tiny", _sizes(2, 0, 1)),
    ),
)
