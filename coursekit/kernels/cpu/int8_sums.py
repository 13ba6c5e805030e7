"""Sums of products of int8 in registers: what a tile of a product is made of, by the machine's best instruction.

A tile is some rows of as many columns as a register has int32. Either one instruction adds four products of bytes to
each (VNNI), and a row is one vector; or the bytes are widened to int16, of which one instruction multiplies pairs and
adds the two products, and a row is two vectors with two halves of each column's sum. An instruction that multiplies
bytes in pairs is older than VNNI, but adds in int16, which two products of 2¹⁴ overflow: it would not be exact.
"""

import numpy as np

from coursekit.kernels.cpu import simd
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.pack_int8 import LINE
from coursekit.kernels.cpu.simd import broadcast, load
from coursekit.kernels.cpu.simd_integers import (
    HAS_FOURS,
    add_fours,
    load_four,
    load_widened,
    multiply_pairs,
    sum_pairs,
)

if HAS_FOURS:

    @compiled(inline=True)
    def no_sum():
        return (broadcast(np.int32(0)),)

    @compiled(inline=True)
    def columns_at(panels, j):
        return (load(panels, j),)

    @compiled(inline=True)
    def add_products(row, x, b):
        return (add_fours(row[0], x, b[0]),)

    @compiled(inline=True)
    def whole(row):
        return row[0]

else:

    @compiled(inline=True)
    def no_sum():
        zero = broadcast(np.int32(0))
        return zero, zero

    @compiled(inline=True)
    def columns_at(panels, j):
        return load_widened(panels, j), load_widened(panels, j + simd.BYTES // 2)

    @compiled(inline=True)
    def add_products(row, x, b):
        return row[0] + multiply_pairs(x, b[0]), row[1] + multiply_pairs(x, b[1])

    @compiled(inline=True)
    def whole(row):
        return sum_pairs(row[0], row[1])


SIGN = np.int8(-128 if HAS_FOURS else 0)
"""VNNI takes one factor without a sign: a + 128, which is a with its first bit turned; 128 · Σ b is too much then."""
FORM = np.dtype(np.int8 if HAS_FOURS else np.int16)
"""What the rows are read as."""


@compiled
def turn_sign(row, ready):
    """A row of int8 in the form that :func:`add_products` wants."""
    for k in range(row.size):
        ready[k] = row[k] ^ SIGN


@compiled
def surplus(panels, j, depth):
    """What the columns at j have too much in each row, modulo 2³²."""
    total = no_sum()
    ones = broadcast(np.int8(1) if HAS_FOURS else np.int16(1))
    if SIGN:
        for q in range(depth):
            total = add_products(total, ones, columns_at(panels, j + q * LINE))
    return whole(total) * broadcast(np.int32(-np.int32(SIGN)))


@compiled(inline=True)
def add_three(three, a, i, K, b):
    """Three rows' products, K numbers from one to the next, with the columns b."""
    r0, r1, r2 = three
    r0 = add_products(r0, load_four(a, i), b)
    r1 = add_products(r1, load_four(a, i + K), b)
    return r0, r1, add_products(r2, load_four(a, i + 2 * K), b)


TALL = 12 if simd.REGISTERS == 32 or HAS_FOURS else 6
"""Rows of a tile. Of 16 registers, 6 x 2 hold one, two the columns, one a row's four numbers, one the products. VNNI
has no products to hold, and with one vector for each row takes twice as many rows to hide its latency."""
