"""Attention for queries that come alone, as a network does that writes word after word.

Each number of k and v then serves one multiply-add, so what counts is to read them once and in order. Queries cannot
fill the lanes here; columns do.
"""

from math import sqrt

import numpy as np

from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.rows import load_part, max_of_row, store_part
from coursekit.kernels.cpu.simd import broadcast, fma, load, load_one, store, sum_across, width
from coursekit.kernels.cpu.vector_math import exp_below

ROWS = 8
"""Rows of k, or vectors of a row of v, that are done together: as many sums as hide a multiply-add's latency."""


@compiled
def attend_alone(q, k, v, causal, first, last, out):
    """What ``attention`` does, for the heads from ``first`` to ``last``, one query after the other."""
    M, D = q.shape[1:]
    N, E = v.shape[1:]
    n = width(q)
    scale = q.dtype.type(1 / sqrt(max(D, 1)))
    query, weights = np.empty(D, q.dtype), np.zeros((N + n - 1) // n * n, q.dtype)
    for h in range(first, last):
        for m in range(M):
            seen = min(N, m + 1) if causal else N
            query[:] = q[h, m] * scale
            _dot_products(query, k[h].reshape(-1), seen, weights)
            total = _weigh(weights, seen)
            _add_rows(v[h].reshape(-1), E, weights, seen, out[h, m], np.float32(1) / total if seen else total)


@compiled
def _dot_products(query, k, count, scores):
    """The scores of ``count`` keys, several rows of k at a time."""
    D, n = query.size, width(query)
    for row in range(0, count - ROWS + 1, ROWS):
        _eight_rows(query, k, row * D, scores, row)
    for row in range(count // ROWS * ROWS, count):
        total = broadcast(np.float32(0))
        for d in range(0, D, n):
            total = fma(load_part(query, d, D - d), load_part(k, row * D + d, D - d), total)
        scores[row] = sum_across(total)


@compiled
def _eight_rows(query, k, i, scores, row):
    D, n = query.size, width(query)
    whole = D // n * n
    i2, i4, i6 = i + 2 * D, i + 4 * D, i + 6 * D
    a0 = a1 = a2 = a3 = a4 = a5 = a6 = a7 = broadcast(np.float32(0))
    for d in range(0, whole, n):
        x = load(query, d)
        a0, a1 = fma(x, load(k, i + d), a0), fma(x, load(k, i + D + d), a1)
        a2, a3 = fma(x, load(k, i2 + d), a2), fma(x, load(k, i2 + D + d), a3)
        a4, a5 = fma(x, load(k, i4 + d), a4), fma(x, load(k, i4 + D + d), a5)
        a6, a7 = fma(x, load(k, i6 + d), a6), fma(x, load(k, i6 + D + d), a7)
    if whole < D:
        d, rest = whole, D - whole
        x = load_part(query, d, rest)
        a0, a1 = fma(x, load_part(k, i + d, rest), a0), fma(x, load_part(k, i + D + d, rest), a1)
        a2, a3 = fma(x, load_part(k, i2 + d, rest), a2), fma(x, load_part(k, i2 + D + d, rest), a3)
        a4, a5 = fma(x, load_part(k, i4 + d, rest), a4), fma(x, load_part(k, i4 + D + d, rest), a5)
        a6, a7 = fma(x, load_part(k, i6 + d, rest), a6), fma(x, load_part(k, i6 + D + d, rest), a7)
    found = scores[row : row + ROWS]
    found[0], found[1], found[2], found[3] = sum_across(a0), sum_across(a1), sum_across(a2), sum_across(a3)
    found[4], found[5], found[6], found[7] = sum_across(a4), sum_across(a5), sum_across(a6), sum_across(a7)


@compiled
def _weigh(scores, count):
    """Replace scores by exp(score - largest), and give the sum of these weights."""
    scores[count:] = -np.inf
    top = broadcast(max_of_row(scores, 0, count))
    total = broadcast(np.float32(0))
    for i in range(0, count, width(scores)):
        weight = exp_below(load(scores, i) - top)
        store(scores, i, weight)
        total += weight
    return sum_across(total)


@compiled
def _add_rows(v, E, weights, count, out, scale):
    """The sum of ``count`` rows of v with their weights, times ``scale``."""
    n = width(v)
    wide = ROWS * n
    for e in range(0, E - wide + 1, wide):
        _eight_vectors(v, E, weights, count, out, e, scale)
    for e in range(E // wide * wide, E, n):
        total = broadcast(np.float32(0))
        for row in range(count):
            total = fma(load_one(weights, row), load_part(v, row * E + e, E - e), total)
        store_part(out, e, total * broadcast(scale), E - e)


@compiled
def _eight_vectors(v, E, weights, count, out, e, scale):
    n, i = width(v), e
    a0 = a1 = a2 = a3 = a4 = a5 = a6 = a7 = broadcast(np.float32(0))
    for row in range(count):
        weight = load_one(weights, row)
        a0, a1 = fma(weight, load(v, i), a0), fma(weight, load(v, i + n), a1)
        a2, a3 = fma(weight, load(v, i + 2 * n), a2), fma(weight, load(v, i + 3 * n), a3)
        a4, a5 = fma(weight, load(v, i + 4 * n), a4), fma(weight, load(v, i + 5 * n), a5)
        a6, a7 = fma(weight, load(v, i + 6 * n), a6), fma(weight, load(v, i + 7 * n), a7)
        i += E
    factor = broadcast(scale)
    store(out, e, a0 * factor)
    store(out, e + n, a1 * factor)
    store(out, e + 2 * n, a2 * factor)
    store(out, e + 3 * n, a3 * factor)
    store(out, e + 4 * n, a4 * factor)
    store(out, e + 5 * n, a5 * factor)
    store(out, e + 6 * n, a6 * factor)
    store(out, e + 7 * n, a7 * factor)
