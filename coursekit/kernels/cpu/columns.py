"""Rows of three vectors, for kernels in which many queries or sequences lie side by side.

A tile of four such rows takes 12 registers, and its operands another four: that fits 16, and is enough sums at once to
hide the latency of a multiply-add. Each step of a tile makes 12 multiply-adds for 7 loads.
"""

from coursekit.kernels.cpu import simd
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.simd import fma, load, load_one, store, width
from coursekit.kernels.cpu.simd_squares import turn

TALL = 4
"""Rows of a tile."""
LANES = 3 * simd.LANES
"""Float32 numbers in a row."""


@compiled(inline=True)
def add_row(row, x, others):
    """row + x · others"""
    return fma(x, others[0], row[0]), fma(x, others[1], row[1]), fma(x, others[2], row[2])


@compiled(inline=True)
def load_row(x, i):
    n = width(x)
    return load(x, i), load(x, i + n), load(x, i + 2 * n)


@compiled(inline=True)
def store_row(out, i, row):
    n = width(out)
    store(out, i, row[0])
    store(out, i + n, row[1])
    store(out, i + 2 * n, row[2])


@compiled(inline=True)
def fill_row(x, i):
    """The number at ``i`` in all lanes."""
    one = load_one(x, i)
    return one, one, one


@compiled
def give_rows(columns, rows):
    """Turn columns into rows, as many as there are."""
    turn(columns[: rows.shape[1], : rows.shape[0]], rows)
