"""Sum, mean or maximum of each row: one number after the other, in several parts, and on whole vectors."""

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.rows import as_rows, rows_and_grain, sum_of_row
from coursekit.kernels.cpu.short_rows import FEW
from coursekit.kernels.cpu.simd import (
    broadcast,
    load,
    load_first,
    max_across,
    maximum,
    select,
    sum_across,
    width,
)
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.ops import OPS

BLOCK = 2**12
"""Numbers that are added up before their sum is added to the others."""
FEW_TO_SUM = 64
"""Numbers of a row up to which four sums, each of single numbers, are ready before those of vectors are."""


@compiled
def _sum_textbook(x, count, out):
    for m in range(x.shape[0]):
        total = x.dtype.type(0)
        for n in range(x.shape[1]):
            total += x[m, n]
        out[m] = total / count


@compiled
def _max_textbook(x, count, out):
    for m in range(x.shape[0]):
        top = x.dtype.type(-np.inf)
        for n in range(x.shape[1]):
            top = x[m, n] if x[m, n] > top or x[m, n] != x[m, n] else top
        out[m] = top


def _count(x, by):
    """What a sum is divided by."""
    return x.dtype.type(x.shape[-1] if by == "mean" else 1)


@boundary(OPS["reduce"])
def reduce_textbook(x, *, by="sum", out=None):
    """:func:`reduce` one number after the other.

    Each addition waits for the one before: four cycles for one number, where the machine could do sixteen or more
    in each cycle. And the error grows with each of them.
    """
    kernel = _max_textbook if by == "max" else _sum_textbook
    kernel(as_rows(x), _count(x, by), out.reshape(-1))


@compiled
def _sum_in_parts(x, count, out):
    for m in range(x.shape[0]):
        row, number = x[m], x.dtype.type
        whole = row.size // 4 * 4
        a, b, c, d = number(0), number(0), number(0), number(0)
        for n in range(0, whole, 4):
            a += row[n]
            b += row[n + 1]
            c += row[n + 2]
            d += row[n + 3]
        for n in range(whole, row.size):
            a += row[n]
        out[m] = ((a + b) + (c + d)) / count


@boundary(OPS["reduce"])
def reduce_in_parts(x, *, by="sum", out=None):
    """:func:`reduce` with four sums at a time, none of which waits for another.

    The compiler may not do that by itself: another order of additions is another result. The maximum has no such
    excuse, but is no faster for it: a comparison and a choice are two instructions, for one number at a time.
    """
    kernel = _max_textbook if by == "max" else _sum_in_parts
    kernel(as_rows(x), _count(x, by), out.reshape(-1))


@compiled
def _sum_vectors(x, count, out):
    N = x.shape[1]
    read = x.reshape(-1)
    for m in range(x.shape[0]):
        total = x.dtype.type(0)
        for start in range(m * N, m * N + N, BLOCK):
            total += sum_of_row(read, start, min(BLOCK, m * N + N - start))
        out[m] = total / count


@compiled(inline=True)
def _larger(x, top):
    """The larger of both; once x is nan, the result is, and stays so."""
    return select(x == x, maximum(x, top), x)


@compiled
def _max_vectors(x, count, out):
    N, n = x.shape[1], width(x)
    read = x.reshape(-1)
    nothing = broadcast(x.dtype.type(-np.inf))
    zero, one = broadcast(x.dtype.type(0)), broadcast(x.dtype.type(1))
    for m in range(x.shape[0]):
        start, stop = m * N, m * N + N
        whole, most = start + N // n * n, start + N // (4 * n) * 4 * n
        a = b = c = d = nothing
        for i in range(start, most, 4 * n):
            a, b = _larger(load(read, i), a), _larger(load(read, i + n), b)
            c, d = _larger(load(read, i + 2 * n), c), _larger(load(read, i + 3 * n), d)
        for i in range(most, whole, n):
            a = _larger(load(read, i), a)
        if whole < stop:
            b = _larger(load_first(read, whole, stop - whole, nothing), b)
        top = _larger(_larger(a, b), _larger(c, d))
        hopeless = sum_across(select(top == top, zero, one)) > 0
        out[m] = np.nan if hopeless else max_across(top)


def _kernel_for(N, by):
    if by == "max":
        return _max_textbook if N <= FEW else _max_vectors
    return _sum_in_parts if N <= FEW_TO_SUM else _sum_vectors


@boundary(OPS["reduce"])
def reduce(x, *, by="sum", out=None):
    """The sum, mean or maximum along the last axis.

    Rows of a few numbers are left to the loops above. In others, four vectors of partial results, and sums of 4096
    numbers added up after that, which is nearly the pairwise summation of Higham, "Accuracy and Stability of Numerical
    Algorithms", 2nd ed., 2002, section 4.2: the error of a sum is at most (1024/L + N/4096 + 8) · 2⁻²⁴ · Σ|x| in
    float32, with L lanes, and that of a maximum is 0.

    Args:
        x: shape (..., N), float32 or float64; NumPy array or torch tensor on the CPU.
        by: ``"sum"``, ``"mean"`` or ``"max"``.
        out: shape (...), filled and returned where given; it must not share memory with x.

    Returns:
        Shape (...), of the dtype and kind of x. Of no numbers the sum is 0, the mean nan and the maximum -inf; a
        maximum with nan is nan.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: x has no dimension, ``by`` is none of the three, a tensor is not on the CPU, or ``out`` cannot be
            written without harm.
    """
    kernel, count = _kernel_for(x.shape[-1], by), _count(x, by)
    x, out = as_rows(x), out.reshape(-1)
    split(lambda i, j: kernel(x[i:j], count, out[i:j]), *rows_and_grain(x))
