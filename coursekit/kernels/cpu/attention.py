"""Attention: with all scores in memory, then in blocks that stay in the cache, then in tiles of registers.

A kernel sees q, k and v as (heads, rows, columns), whatever the leading dimensions were. For 1024 queries and keys the
scores of one head are 4 MiB; q, k, v and the result are 256 KiB each.
"""

from math import prod, sqrt

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.attention_alone import attend_alone
from coursekit.kernels.cpu.columns import LANES, TALL, add_row, load_row, store_row
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.simd import broadcast, load, load_one, maximum, select, store, width
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.cpu.vector_math import exp_below
from coursekit.kernels.ops import OPS


def heads(array):
    """A view with one leading dimension."""
    return array.reshape(prod(array.shape[:-2]), *array.shape[-2:])


@compiled
def _textbook(q, k, v, causal, out):
    M, N = q.shape[1], k.shape[1]
    scores = np.empty((M, N), q.dtype)
    for h in range(q.shape[0]):
        for m in range(M):
            for n in range(N):
                scores[m, n] = -np.inf if causal and n > m else scaled_dot(q[h, m], k[h, n])
        for m in range(M):
            softmax_in_place(scores[m])
        for m in range(M):
            out[h, m] = 0
            for n in range(N if not causal else min(N, m + 1)):
                for e in range(v.shape[2]):
                    out[h, m, e] += scores[m, n] * v[h, n, e]


@compiled
def scaled_dot(x, y):
    total = x.dtype.type(0)
    for d in range(x.size):
        total += x[d] * y[d]
    return total / x.dtype.type(sqrt(max(x.size, 1)))


@compiled
def softmax_in_place(row):
    top = row.dtype.type(-np.inf)
    for n in range(row.size):
        top = max(top, row[n])
    total = row.dtype.type(0)
    for n in range(row.size):
        row[n] = np.exp(row[n] - top)
        total += row[n]
    for n in range(row.size):
        row[n] /= total


@boundary(OPS["attention"])
def attention_textbook(q, k, v, *, causal=False, out=None):
    """:func:`attention` by its formula: all scores, their softmax row by row, the weighted sums.

    The matrix of the scores is written once and passed over four times, and no cache near the core holds it. With
    twice as many queries and keys it is four times as large.
    """
    _textbook(heads(q), heads(k), heads(v), causal, heads(out))


# Queries that are done together in plain Python, and keys: all that a block needs stays in the caches.
QUERIES, KEYS = 48, 256


def _in_blocks(score, weigh, add):
    """Algorithm 1 of the paper, with the loops in the order in which each block of queries is finished at once.

    Queries lie side by side: ``queries`` is (D, lanes), ``scores`` (KEYS, lanes), ``sums`` (E, lanes). So a column
    belongs to one query, and what is done to one query is done to all lanes at once. ``score`` fills ``scores``,
    ``weigh`` makes weights of them, and ``add`` adds the values with these weights to ``sums``.
    """

    @compiled
    def run(q, k, v, causal, lanes, first, last, out):
        M, D = q.shape[1:]
        N, E = v.shape[1:]
        queries, sums = np.zeros((D, lanes), q.dtype), np.empty((E, lanes), q.dtype)
        scores = np.empty((KEYS, lanes), q.dtype)
        top, total = np.empty(lanes, q.dtype), np.empty(lanes, q.dtype)
        blocks = (M + lanes - 1) // lanes
        for block in range(first, last):
            h, m = block // blocks, block % blocks * lanes
            stop = min(m + lanes, M)
            _take_queries(q[h, m:stop], queries)
            sums[:], top[:], total[:] = 0, -np.inf, 0
            seen = min(N, stop) if causal else N
            for n in range(0, seen, KEYS):
                count = min(KEYS, seen - n)
                score(k[h, n : n + count], queries, scores)
                if causal and n + count > m + 1:
                    _hide(scores, n - m, count)
                weigh(scores, count, top, total, sums)
                add(v[h, n : n + count], scores, sums)
            _give_means(sums, total, seen, out[h, m:stop])

    return run


@compiled
def _take_queries(q, queries):
    """Turn rows into columns, and divide by √D here, where it is done once for all keys."""
    scale = q.dtype.type(1 / sqrt(max(q.shape[1], 1)))
    for m in range(q.shape[0]):
        for d in range(q.shape[1]):
            queries[d, m] = q[m, d] * scale


@compiled
def _hide(scores, ahead, count):
    """A key that lies ``ahead`` or more of a query weighs nothing: exp(-∞) is 0."""
    for n in range(count):
        for m in range(min(ahead + n, scores.shape[1])):
            scores[n, m] = -np.inf


@compiled
def _give_means(sums, total, seen, out):
    """Divide by the sums of the weights, and turn columns into rows. Without keys there is no sum, and 0 comes out."""
    for m in range(out.shape[0]):
        scale = 1 / total[m] if seen else total[m]
        for e in range(out.shape[1]):
            out[m, e] = sums[e, m] * scale


@compiled
def _score(k, queries, scores):
    for n in range(k.shape[0]):
        row = scores[n]
        row[:] = 0
        for d in range(k.shape[1]):
            _add_one(row, k[n, d], queries[d])


@compiled
def _add_one(row, x, other):
    for i in range(row.size):
        row[i] += x * other[i]


@compiled
def _weigh(scores, count, top, total, sums):
    """Replace scores by exp(score - top), where ``top`` is the largest so far, and put older sums on that footing."""
    old = top.copy()
    for n in range(count):
        for m in range(top.size):
            top[m] = max(top[m], scores[n, m])
    footing = np.where(top == -np.inf, top.dtype.type(0), top)  # nothing seen yet: ∞ - ∞ would be no number
    factor = np.exp(old - footing)
    for e in range(sums.shape[0]):
        for m in range(top.size):
            sums[e, m] *= factor[m]
    for m in range(top.size):
        total[m] *= factor[m]
    for n in range(count):
        for m in range(top.size):
            scores[n, m] = np.exp(scores[n, m] - footing[m])
            total[m] += scores[n, m]


@compiled
def _add(v, scores, sums):
    for n in range(v.shape[0]):
        for e in range(v.shape[1]):
            _add_one(sums[e], v[n, e], scores[n])


_plain = _in_blocks(_score, _weigh, _add)


@boundary(OPS["attention"])
def attention_flash(q, k, v, *, causal=False, out=None):
    """:func:`attention` without the matrix of the scores, in plain Python.

    A block of queries meets the keys a block at a time. The softmax goes along: the largest score so far is
    subtracted, and when a larger one comes, the sums made until then are multiplied by exp(old - new). What is read
    from far memory are k and v, and of the scores only a block exists at any time. A causal block stops at its last
    query's own key, which saves nearly half of the work. But a block is as much work for one query as for 48: alone, it
    is better served by :func:`attention_textbook`.
    """
    q, k, v, out = map(heads, (q, k, v, out))
    blocks = q.shape[0] * -(-q.shape[1] // QUERIES)
    _plain(q, k, v, causal, QUERIES, 0, blocks, out)


# What is left are loads and stores around each multiply-add: of a tile, they are made once for all of them.


@compiled(inline=True)
def _tile(a, i, row, step, b, depth, out, at):
    """Add a product to four rows of ``out``. In ``a``, the next row is ``row`` further, the next column ``step``."""
    n = width(b)
    wide = 3 * n
    r0, r1 = load_row(out, at), load_row(out, at + wide)
    r2, r3 = load_row(out, at + 2 * wide), load_row(out, at + 3 * wide)
    for j in range(0, depth * wide, wide):
        others = load_row(b, j)
        r0 = add_row(r0, load_one(a, i), others)
        r1 = add_row(r1, load_one(a, i + row), others)
        r2 = add_row(r2, load_one(a, i + 2 * row), others)
        r3 = add_row(r3, load_one(a, i + 3 * row), others)
        i += step
    store_row(out, at, r0)
    store_row(out, at + wide, r1)
    store_row(out, at + 2 * wide, r2)
    store_row(out, at + 3 * wide, r3)


@compiled(inline=True)
def _single(a, i, step, b, depth, out, at):
    """:func:`_tile` of one row, for what four leave over."""
    wide = 3 * width(b)
    total = load_row(out, at)
    for j in range(0, depth * wide, wide):
        others = load_row(b, j)
        total = add_row(total, load_one(a, i), others)
        i += step
    store_row(out, at, total)


@compiled
def _score_tiles(k, queries, scores):
    count, D = k.shape
    read, b, write = k.reshape(-1), queries.reshape(-1), scores.reshape(-1)
    wide = scores.shape[1]
    scores[:count] = 0
    for n in range(0, count - TALL + 1, TALL):
        _tile(read, n * D, D, 1, b, D, write, n * wide)
    for n in range(count // TALL * TALL, count):
        _single(read, n * D, 1, b, D, write, n * wide)


@compiled
def _add_tiles(v, scores, sums):
    count, E = v.shape
    read, b, write = v.reshape(-1), scores.reshape(-1), sums.reshape(-1)
    wide = scores.shape[1]
    for e in range(0, E - TALL + 1, TALL):
        _tile(read, e, 1, E, b, count, write, e * wide)
    for e in range(E // TALL * TALL, E):
        _single(read, e, E, b, count, write, e * wide)


@compiled
def _weigh_vectors(scores, count, top, total, sums):
    """:func:`_weigh`, a vector of queries at a time."""
    wide = scores.shape[1]
    score, mean = scores.reshape(-1), sums.reshape(-1)
    lowest = broadcast(np.float32(-np.inf))
    for m in range(0, wide, width(top)):
        old = new = load(top, m)
        for i in range(m, count * wide, wide):
            new = maximum(load(score, i), new)
        footing = select(new == lowest, broadcast(np.float32(0)), new)
        factor = exp_below(old - footing)
        part = load(total, m) * factor
        for i in range(m, count * wide, wide):
            weight = exp_below(load(score, i) - footing)
            store(score, i, weight)
            part += weight
        for i in range(m, mean.size, wide):
            store(mean, i, load(mean, i) * factor)
        store(top, m, new)
        store(total, m, part)


_vectors = _in_blocks(_score_tiles, _weigh_vectors, _add_tiles)
FEW = LANES // 4
"""So many queries do better one by one than with most lanes empty."""


@boundary(OPS["attention"])
def attention(q, k, v, *, causal=False, out=None):
    """softmax(q·kᵀ / √D) · v: Vaswani et al., "Attention is all you need", 2017, section 3.2.1.

    The blocks and the running softmax are those of :func:`attention_flash`, after Dao et al., "FlashAttention: Fast
    and memory-efficient exact attention with IO-awareness", arXiv:2205.14135, Algorithm 1; both products are done in
    tiles of registers, and exp on whole vectors of queries. k and v are read as they are: queries fill the lanes, so
    one number of k or v at a time meets all of them. A few queries would leave lanes empty; they are done one by one,
    with columns in the lanes. float64 is done by :func:`attention_flash`.

    A score is off by at most (D + 2) · 2⁻²⁴ · Σ|q·k| / √D in float32, a weight by that share of itself more than exp's
    one unit in the last place, and a mean over N keys by 2N · 2⁻²⁴ · Σ|w·v| on top.

    Args:
        q: shape (..., M, D), float32 or float64; NumPy array or torch tensor on the CPU.
        k: shape (..., N, D), of the same dtype and kind.
        v: shape (..., N, E), of the same dtype and kind.
        causal: whether query m sees the keys 0 to m only.
        out: shape (..., M, E), filled and returned where given; it must not share memory with the inputs.

    Returns:
        Shape (..., M, E), of the inputs' dtype and kind. Without any key it is 0; a query with a score of nan or +inf,
        or with nothing but -inf, gives nan.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; ``causal`` is no bool.
        ValueError: shapes do not fit, a tensor is not on the CPU, or ``out`` cannot be written without harm.
    """
    q, k, v, out = map(heads, (q, k, v, out))
    if q.dtype == np.float32 and q.shape[1] <= FEW:
        split(lambda i, j: attend_alone(q, k, v, causal, i, j, out), q.shape[0], 1)
        return
    kernel, lanes = (_vectors, LANES) if q.dtype == np.float32 else (_plain, QUERIES)
    blocks = q.shape[0] * -(-q.shape[1] // lanes)
    split(lambda i, j: kernel(q, k, v, causal, lanes, i, j, out), blocks, 1)
