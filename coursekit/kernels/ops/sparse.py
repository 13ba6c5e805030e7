"""Products of a sparse matrix, stored without its zeros, and a dense one.

What is not stored adds nothing, not even 0 · inf. The positions are data: they are looked at before anything is
computed, and a wrong one raises ValueError.
"""

from math import sqrt

import numpy as np

from coursekit.kernels.contract import Array, Case, Operation, Tolerance, standard_normal

TALL = 8
"""Rows of a block in ``block_sparse_matmul``."""

# As those of matmul: sums of unit variance, however many numbers are stored.
SUMS = {"float32": Tolerance(1e-5, 1e-5), "float64": Tolerance(1e-13, 1e-13)}


def _derive_rows(op, starts, tall):
    """Rows from the size of ``starts``, or the other way round."""

    def derive(s, options):
        if s.get(starts) == 0:
            raise ValueError(f"{op}: starts must have an element at least, which is 0")
        return {"R": (s[starts] - 1) * tall} if starts in s else {starts: s["R"] // tall + 1}

    return derive


def _rows_of(starts):
    return np.repeat(np.arange(starts.size - 1), np.diff(starts))


def _csr_matmul(values, columns, starts, x):
    out = np.zeros((starts.size - 1, x.shape[1]))
    with np.errstate(invalid="ignore"):
        np.add.at(out, _rows_of(starts), np.float64(values)[:, None] * np.float64(x)[columns])
    return out


def _block_sparse_matmul(blocks, columns, starts, x):
    out = np.zeros((starts.size - 1, TALL, x.shape[1]))
    with np.errstate(invalid="ignore"):
        np.add.at(out, _rows_of(starts), np.float64(blocks)[:, :, None] * np.float64(x)[columns][:, None])
    return out.reshape(out.shape[0] * TALL, x.shape[1])


def _pattern(rng, stored, rows, K):
    """Random places for ``stored`` numbers: rows may stay empty, and a place may come twice."""
    if stored and not (rows and K):
        raise ValueError(f"no place for {stored} numbers in {rows} rows of {K}")
    ends = np.cumsum(np.bincount(rng.integers(0, max(rows, 1), stored), minlength=rows))
    starts = np.concatenate([[0], ends[:rows]]).astype(np.int32)
    return rng.integers(0, max(K, 1), stored).astype(np.int32), starts


def _sample(rng, op, sizes, dtype):
    Z, starts = sizes["Z"], sizes[op.inputs[2].shape[0]]
    columns, starts = _pattern(rng, Z, starts - 1, sizes["K"])
    each = sqrt(max(Z / max(starts.size - 1, 1), 1))
    values = rng.standard_normal(op.inputs[0].dims(sizes)) / each
    return values.astype(dtype), columns, starts, rng.standard_normal(op.inputs[3].dims(sizes)).astype(dtype)


def _sizes(R, K, N, Z):
    return {"R": R, "K": K, "N": N, "Z": Z}


def _operation(name, formula, stored, starts, tall, reference, unit):
    """``unit`` times Z numbers are stored."""

    def dense(N, share):
        return _sizes(1024, 1024, N, round(share * 1024 * 1024 / unit))

    return Operation(
        name=name,
        formula=formula,
        inputs=(
            stored,
            Array("columns", ("Z",), "int32"),
            Array("starts", (starts,), "int32"),
            Array("x", ("K", "N")),
        ),
        outputs=(Array("out", ("R", "N")),),
        derive=lambda s, options: {"8": TALL} | _derive_rows(name, starts, tall)(s, options),
        reference=reference,
        count=lambda s, options: 2 * unit * s["Z"] * s["N"],
        tolerance=SUMS,
        sample=_sample,
        cases=(
            *(
                Case(f"1024x1024x{N}, {zeros} % zeros", "benchmark", dense(N, 1 - zeros / 100))
                for N in (64, 256)
                for zeros in (50, 75, 90)
            ),
            Case("a panel and a half", "test", _sizes(40, 37, 101, 300)),
            Case("odd", "test", _sizes(56, 131, 33, 170)),
            Case("one column", "test", _sizes(24, 50, 1, 90)),
            Case("few numbers", "test", _sizes(64, 9, 17, 3)),
            Case("none", "test", _sizes(16, 5, 9, 0)),
            Case("no columns", "test", _sizes(16, 5, 0, 7)),
            Case("no rows", "test", _sizes(0, 5, 6, 0)),
            Case("empty sums", "test", _sizes(16, 0, 6, 0)),
            Case("a few", "tiny", _sizes(8, 5, 7, 9)),
            Case("nothing, tiny", "tiny", _sizes(8, 2, 3, 0)),
        ),
    )


CSR_MATMUL = _operation(
    "csr_matmul",
    "out[r] = Σ values[z] · x[columns[z]], z from starts[r] to below starts[r + 1]",
    Array("values", ("Z",)),
    "R+1",
    1,
    _csr_matmul,
    1,
)

BLOCK_SPARSE_MATMUL = _operation(
    "block_sparse_matmul",
    "out[8r + i] = Σ blocks[z, i] · x[columns[z]], z from starts[r] to below starts[r + 1]",
    Array("blocks", ("Z", "8")),
    "R/8+1",
    TALL,
    _block_sparse_matmul,
    TALL,
)


def columns_of(positions: np.ndarray) -> np.ndarray:
    """The columns of the numbers of a 2:4 matrix, (R, K/2), from its bytes of four positions of two bits, (R, K/8)."""
    R, bytes_ = positions.shape
    places = positions[:, :, None] >> np.uint8([0, 2, 4, 6]) & 3
    return (places + np.arange(2 * bytes_).reshape(bytes_, 2).repeat(2, 1) * 4).reshape(R, 4 * bytes_)


def _two_four_matmul(values, positions, x):
    with np.errstate(invalid="ignore"):
        return (np.float64(values)[:, :, None] * np.float64(x)[columns_of(positions)]).sum(1)


def _two_four_sizes(s, options):
    if s["K"] % 8:
        raise ValueError(f"two_four_matmul: x must have a multiple of 8 rows; got {s['K']}")
    return {"K/2": s["K"] // 2, "K/8": s["K"] // 8}


def _unit_sums(rng, op, sizes, dtype):
    values, positions, x = standard_normal(rng, op, sizes, dtype)
    return values / np.asarray(sqrt(max(sizes["K/2"], 1)), dtype), positions, x


TWO_FOUR_MATMUL = Operation(
    name="two_four_matmul",
    formula="out[r] = Σ values[r, i] · x[4⌊i/2⌋ + p], p being bits 2(i mod 4) and the next of positions[r, ⌊i/4⌋]",
    inputs=(
        Array("values", ("R", "K/2")),
        Array("positions", ("R", "K/8"), "uint8"),
        Array("x", ("K", "N")),
    ),
    outputs=(Array("out", ("R", "N")),),
    derive=_two_four_sizes,
    reference=_two_four_matmul,
    count=lambda s, options: s["R"] * s["K"] * s["N"],
    tolerance=SUMS,
    sample=_unit_sums,
    cases=(
        Case("1024x1024x64", "benchmark", {"R": 1024, "K": 1024, "N": 64}),
        Case("1024x1024x256", "benchmark", {"R": 1024, "K": 1024, "N": 256}),
        Case("4096x4096, one column", "benchmark", {"R": 4096, "K": 4096, "N": 1}),
        Case("a panel and a half", "test", {"R": 13, "K": 40, "N": 101}),
        Case("odd", "test", {"R": 37, "K": 136, "N": 33}),
        Case("one column", "test", {"R": 9, "K": 64, "N": 1}),
        Case("no rows", "test", {"R": 0, "K": 8, "N": 5}),
        Case("no columns", "test", {"R": 4, "K": 8, "N": 0}),
        Case("empty sums", "test", {"R": 4, "K": 0, "N": 5}),
        Case("a few", "tiny", {"R": 3, "K": 8, "N": 2}),
        Case("nothing, tiny", "tiny", {"R": 3, "K": 0, "N": 2}),
    ),
)
