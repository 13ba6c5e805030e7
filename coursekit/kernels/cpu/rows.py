"""What kernels do again and again with a row of neighbours in memory: load what is left of it, add it up, map it."""

from math import prod

import numpy as np

from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.simd import (
    broadcast,
    load,
    load_first,
    max_across,
    maximum,
    store,
    store_first,
    sum_across,
    width,
)

GRAIN = 2**16
"""Elements that are worth a thread."""


def grain(*sizes: int) -> int:
    """Rows of these sizes that are worth a thread."""
    return GRAIN // max(prod(sizes), 1) + 1


def as_rows(x: np.ndarray) -> np.ndarray:
    """x as (rows, N), a view, N being its last dimension."""
    return x if x.ndim == 2 else x.reshape(prod(x.shape[:-1]), x.shape[-1])


def rows_and_grain(x: np.ndarray) -> tuple[int, int]:
    """How many rows there are to split, and how many are worth a thread."""
    return x.shape[0], grain(*x.shape[1:])


@compiled(inline=True)
def load_part(x, i, count):
    """A vector with ``count`` numbers from position ``i`` on and zeros; a plain load where it is full."""
    return load(x, i) if count >= width(x) else load_first(x, i, count, broadcast(x.dtype.type(0)))


@compiled(inline=True)
def store_part(out, i, vector, count):
    """Write ``count`` lanes; a plain store where it is all of them."""
    if count >= width(out):
        store(out, i, vector)
    else:
        store_first(out, i, vector, count)


@compiled(inline=True)
def sum_of_row(x, start, N):
    """Σ of N numbers, in four vectors of partial sums that do not wait for each other."""
    n = width(x)
    a = b = c = d = broadcast(x.dtype.type(0))
    whole, most = start + N // n * n, start + N // (4 * n) * 4 * n
    for i in range(start, most, 4 * n):
        a += load(x, i)
        b += load(x, i + n)
        c += load(x, i + 2 * n)
        d += load(x, i + 3 * n)
    for i in range(most, whole, n):
        a += load(x, i)
    if whole < start + N:
        b += load_part(x, whole, start + N - whole)
    return sum_across((a + b) + (c + d))


@compiled(inline=True)
def max_of_row(x, start, N):
    """The largest of N numbers, nan left aside; -inf where there is none. Four at a time, as :func:`sum_of_row`."""
    n = width(x)
    nothing = broadcast(x.dtype.type(-np.inf))
    a = b = c = d = nothing
    whole, most = start + N // n * n, start + N // (4 * n) * 4 * n
    for i in range(start, most, 4 * n):
        a = maximum(load(x, i), a)
        b = maximum(load(x, i + n), b)
        c = maximum(load(x, i + 2 * n), c)
        d = maximum(load(x, i + 3 * n), d)
    for i in range(most, whole, n):
        a = maximum(load(x, i), a)
    if whole < start + N:
        b = maximum(load_first(x, whole, start + N - whole, nothing), b)
    return max_across(maximum(maximum(a, b), maximum(c, d)))


def with_bias(function):
    """A kernel for out = function(x + bias), row by row, on vectors; ``function`` maps a vector to a vector."""

    @compiled
    def run(x, bias, out):
        N = bias.size
        read, write = x.reshape(-1), out.reshape(-1)
        n = width(x)
        whole = N // n * n
        for start in range(0, x.size, max(N, 1)):
            for i in range(0, whole, n):
                store(write, start + i, function(load(read, start + i) + load(bias, i)))
            if whole < N:
                v = load_part(read, start + whole, N - whole) + load_part(bias, whole, N - whole)
                store_first(write, start + whole, function(v), N - whole)

    return run


def in_two_passes(function):
    """A kernel for out = function(x + bias), a number at a time, that writes x + bias to memory and reads it back."""

    @compiled
    def run(x, bias, out):
        shifted = np.empty_like(out)
        for m in range(x.shape[0]):
            for n in range(bias.size):
                shifted[m, n] = x[m, n] + bias[n]
        for m in range(x.shape[0]):
            for n in range(bias.size):
                out[m, n] = function(shifted[m, n])

    return run


def in_one_pass(function):
    """A kernel for out = function(x + bias), a number at a time."""

    @compiled
    def run(x, bias, out):
        for m in range(x.shape[0]):
            for n in range(bias.size):
                out[m, n] = function(x[m, n] + bias[n])

    return run
