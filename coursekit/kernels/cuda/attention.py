"""Attention: with all scores in memory, then a block for each query, then tiles of queries and keys.

A kernel sees q, k and v as (heads, rows, columns), whatever the leading dimensions were. For 1024 queries and keys the
scores of one head are 4 MiB; q, k, v and the result are 256 KiB each at 64 columns.
"""

import math

from numba import cuda, float32

from coursekit.kernels.cuda.arrays import boundary
from coursekit.kernels.cuda.device import blocks, launch
from coursekit.kernels.cuda.kernel import SIMULATED, kernel
from coursekit.kernels.cuda.row_products import PAD, add_row_products
from coursekit.kernels.cuda.vectors import load4, store4
from coursekit.kernels.cuda.warps import block_max, block_sum, team_max, team_sum
from coursekit.kernels.ops import OPS

THREADS = 32 if SIMULATED else 128


def _heads(array):
    """The same memory with one leading dimension."""
    return array.reshape(math.prod(array.shape[:-2]), *array.shape[-2:])


def _scale(q):
    """1/√D in q's dtype: a Python float would be a float64 to a kernel."""
    return q.dtype.type(1 / math.sqrt(max(q.shape[len(q.shape) - 1], 1)))


@kernel("(float32[:, :, ::1], float32[:, :, ::1], float32, boolean, float32[:, :, ::1])")
def _scores(q, k, scale, causal, scores):
    i, n = divmod(cuda.grid(1), k.shape[1])
    h, m = divmod(i, q.shape[1])
    if h < q.shape[0]:
        total = q.dtype.type(0)
        for d in range(q.shape[2]):
            total += q[h, m, d] * k[h, n, d]
        scores[h, m, n] = q.dtype.type(-math.inf) if causal and n > m else total * scale


@kernel("(float32[:, :, ::1],)")
def _weigh(scores):
    h, m = divmod(cuda.grid(1), scores.shape[1])
    if h < scores.shape[0]:
        top = scores.dtype.type(-math.inf)
        for n in range(scores.shape[2]):
            top = max(top, scores[h, m, n])
        total = scores.dtype.type(0)
        for n in range(scores.shape[2]):
            total += math.exp(scores[h, m, n] - top)
        for n in range(scores.shape[2]):
            scores[h, m, n] = math.exp(scores[h, m, n] - top) / total


@kernel("(float32[:, :, ::1], float32[:, :, ::1], boolean, float32[:, :, ::1])")
def _means(scores, v, causal, out):
    i, e = divmod(cuda.grid(1), v.shape[2])
    h, m = divmod(i, out.shape[1])
    if h < out.shape[0]:
        total = v.dtype.type(0)
        for n in range(min(v.shape[1], m + 1) if causal else v.shape[1]):
            total += scores[h, m, n] * v[h, n, e]
        out[h, m, e] = total


@boundary(OPS["attention"])
def attention_textbook(q, k, v, *, causal=False, out=None):
    """:func:`attention` by its formula, in three kernels: all scores, their softmax row by row, the weighted sums.

    The matrix of the scores is written twice and read four times in global memory: 24 bytes for each pair of query
    and key, where the inputs have 4·D for each query and each key. With twice as many of both it is four times as
    large.
    """
    if not out.size:
        return
    scale, causal = _scale(q), bool(causal)
    q, k, v, out = map(_heads, (q, k, v, out))
    (H, M, _), N = q.shape, k.shape[1]
    scores = cuda.device_array((H, M, N), q.dtype)
    if N:
        launch(_scores, blocks(H * M * N, THREADS), THREADS, q, k, scale, causal, scores)
        launch(_weigh, blocks(H * M, THREADS), THREADS, scores)
    launch(_means, blocks(out.size, THREADS), THREADS, scores, v, causal, out)


@kernel("(float32[:, :, ::1], float32[:, :, ::1], float32[:, :, ::1], float32, boolean, float32[:, :, ::1])")
def _rows(q, k, v, scale, causal, out):
    weights = cuda.shared.array(THREADS, dtype=q.dtype)
    scratch = cuda.shared.array(THREADS, dtype=q.dtype)
    T = q.dtype.type
    h, m = divmod(cuda.blockIdx.x, q.shape[1])
    t = cuda.threadIdx.x
    E = v.shape[2]
    seen = min(k.shape[1], m + 1) if causal else k.shape[1]
    top, total = T(-math.inf), T(0)
    for e in range(t, E, THREADS):
        out[h, m, e] = 0
    for n in range(0, seen, THREADS):
        score = T(-math.inf)
        if n + t < seen:
            score = T(0)
            for d in range(q.shape[2]):
                score += q[h, m, d] * k[h, n + t, d]
            score *= scale
        new = max(top, block_max(score, scratch))
        # Nothing but -inf so far: ∞ - ∞ would be no number.
        footing = T(0) if new == T(-math.inf) else new
        factor = math.exp(top - footing)
        weight = math.exp(score - footing)
        weights[t] = weight
        # The barriers in the sum show all weights to all threads; those in the next maximum keep them until then.
        total = total * factor + block_sum(weight, scratch)
        for e in range(t, E, THREADS):
            mean = out[h, m, e] * factor
            for i in range(min(THREADS, seen - n)):
                mean += weights[i] * v[h, n + i, e]
            out[h, m, e] = mean
        top = new
    if seen:
        for e in range(t, E, THREADS):
            out[h, m, e] /= total


@boundary(OPS["attention"])
def attention_rows(q, k, v, *, causal=False, out=None):
    """:func:`attention` with a block for each query, and no matrix of the scores: one kernel.

    A thread makes the score of one key, and then a column of the result. The softmax goes along: the largest score so
    far is subtracted, and when a larger one comes, the sums made until then are multiplied by exp(old - new). Scores
    stay in shared memory, a few at a time. But each query reads all keys and values for itself.
    """
    if out.size:
        scale, causal = _scale(q), bool(causal)
        q, k, v, out = map(_heads, (q, k, v, out))
        launch(_rows, q.shape[0] * q.shape[1], THREADS, q, k, v, scale, causal, out)


# Threads of a block: GROUPS teams of TEAM neighbours each. A team has EACH queries, and shares out keys and columns.
# The simulator has fewer teams, and so smaller blocks of queries.
GROUPS, TEAM, EACH = 4 if SIMULATED else 16, 8, 4
QUERIES, TILED = GROUPS * EACH, GROUPS * TEAM
_team_max, _team_sum = team_max(TEAM), team_sum(TEAM)


def _copier(size):
    """A device function that brings rows of up to ``size`` numbers to shared memory, 128 bits at a time."""
    across = size // 4
    step, row = TILED // across, size + PAD

    @cuda.jit(device=True)
    def copy(source, start, count, columns, scale, target, rows, t):
        """The first ``count`` of ``rows`` come from ``source``, times ``scale``; the others are zeros."""
        c = 4 * (t % across)
        if c < columns:
            for r in range(t // across, rows, step):
                w = x = y = z = float32(0)
                if r < count:
                    w, x, y, z = load4(source, start + r * columns + c)
                store4(target, r * row + c, w * scale, x * scale, y * scale, z * scale)

    return copy


@cuda.jit(device=True)
def _place(M):
    """The head of this block, and its first query: the last come first, as they have the most to do where causal."""
    count = (M + QUERIES - 1) // QUERIES
    h, m = divmod(cuda.blockIdx.x, count)
    return h, (count - 1 - m) * QUERIES


@cuda.jit(device=True)
def _clear(numbers, columns):
    for i in range(EACH):
        for j in range(columns):
            numbers[i, j] = 0


def _weigher(wide, columns):
    """A device function that turns ``wide`` scores of a thread's i-th query into weights, from ``at`` on in the tile.

    They belong to ``key`` and every TEAM-th after it, as far as ``last``. What was summed by the old maximum is brought
    to the new one.
    """

    @cuda.jit(device=True)
    def weigh(scores, i, key, last, top, total, sums, weights, at, scratch):
        nothing, new = float32(-math.inf), top[i]
        for j in range(wide):
            if key + TEAM * j > last:
                scores[i, j] = nothing
            new = max(new, scores[i, j])
        new = _team_max(new, scratch)
        footing = float32(0) if new == nothing else new
        factor = math.exp(top[i] - footing)
        top[i] = new
        total[i] *= factor
        for e in range(columns):
            sums[i, e] *= factor
        for j in range(wide):
            weight = math.exp(scores[i, j] - footing)
            weights[at + TEAM * j] = weight
            total[i] += weight

    return weigh


def _mean_adder(keys, row, beside, vectors):
    """A device function that adds the weighted values of a tile; a thread has ``vectors`` fours of columns."""

    @cuda.jit(device=True)
    def add(weights, tile, group, lane, left, sums):
        for j in range(0, keys, 4):
            for i in range(EACH):
                at = (group + GROUPS * i) * beside + j
                left[i, 0], left[i, 1], left[i, 2], left[i, 3] = load4(weights, at)
            for u in range(4):
                for c in range(vectors):
                    w, x, y, z = load4(tile, (j + u) * row + 4 * (lane + TEAM * c))
                    for i in range(EACH):
                        sums[i, 4 * c] += left[i, u] * w
                        sums[i, 4 * c + 1] += left[i, u] * x
                        sums[i, 4 * c + 2] += left[i, u] * y
                        sums[i, 4 * c + 3] += left[i, u] * z

    return add


def _writer(vectors):
    """A device function that divides sums by those of the weights, and writes ``count`` rows of E from ``start`` on."""

    @cuda.jit(device=True)
    def write(sums, total, out, start, count, E, group, lane, scratch):
        for i in range(EACH):
            share = float32(1) / _team_sum(total[i], scratch)
            query = group + GROUPS * i
            for c in range(vectors):
                e = 4 * (lane + TEAM * c)
                if query < count and e < E:
                    w, x = sums[i, 4 * c] * share, sums[i, 4 * c + 1] * share
                    y, z = sums[i, 4 * c + 2] * share, sums[i, 4 * c + 3] * share
                    store4(out, start + query * E + e, w, x, y, z)

    return write


def _tiles(size, keys):
    """The kernel for up to ``size`` columns of q, k and v, with ``keys`` of the keys at a time."""
    row, beside = size + PAD, keys + PAD
    wide, vectors = keys // TEAM, size // (4 * TEAM)
    room, tile_room, weights_room, columns = QUERIES * row, keys * row, QUERIES * beside, 4 * vectors
    copy, add_products, weigh = _copier(size), add_row_products(EACH, wide), _weigher(wide, columns)
    add_means, write = _mean_adder(keys, row, beside, vectors), _writer(vectors)

    def run(q, k, v, sizes, scale, causal, out):
        mine = cuda.shared.array(room, dtype=float32)
        tile = cuda.shared.array(tile_room, dtype=float32)  # of keys, then of values
        weights = cuda.shared.array(weights_room, dtype=float32)
        scratch = cuda.shared.array(TILED, dtype=float32)
        left = cuda.local.array((EACH, 4), dtype=float32)
        scores = cuda.local.array((EACH, wide), dtype=float32)
        sums = cuda.local.array((EACH, columns), dtype=float32)
        top = cuda.local.array(EACH, dtype=float32)
        total = cuda.local.array(EACH, dtype=float32)
        M, N, D, E = sizes
        t = cuda.threadIdx.x
        group, lane = divmod(t, TEAM)
        h, m = _place(M)
        seen = min(N, m + QUERIES) if causal else N
        for i in range(EACH):
            top[i], total[i] = float32(-math.inf), 0
        _clear(sums, columns)
        copy(q, (h * M + m) * D, M - m, D, scale, mine, QUERIES, t)
        for n in range(0, seen, keys):
            copy(k, (h * N + n) * D, N - n, D, float32(1), tile, keys, t)
            cuda.syncthreads()
            _clear(scores, wide)
            add_products(mine, group * row, GROUPS * row, tile, lane * row, TEAM * row, D, left, scores)
            for i in range(EACH):
                query = group + GROUPS * i
                last = min(N - 1, m + query) if causal else N - 1
                weigh(scores, i, n + lane, last, top, total, sums, weights, query * beside + lane, scratch)
            cuda.syncthreads()
            copy(v, (h * N + n) * E, N - n, E, float32(1), tile, keys, t)
            cuda.syncthreads()
            add_means(weights, tile, group, lane, left, sums)
            cuda.syncthreads()
        write(sums, total, out, (h * M + m) * E, M - m, E, group, lane, scratch)

    run.__name__ = f"_tiles_{size}"
    return kernel(
        "(float32[::1], float32[::1], float32[::1], UniTuple(int64, 4), float32, boolean, float32[::1])",
        tuned=True,
        expects=("LDG.E.128", "LDS.128", "STG.E.128", "SHFL"),
    )(run)


KERNELS = {32: _tiles(32, 32), 64: _tiles(64, 32), 128: _tiles(128, 16)}
"""By the columns of q, k and v that they hold. With 128 only 16 keys fit beside the queries in 48 KiB."""

FEW = 4
"""So many queries are better served one by one than in a tile that is nearly empty."""


@boundary(OPS["attention"])
def attention(q, k, v, *, causal=False, out=None):
    """softmax(q·kᵀ / √D) · v: Vaswani et al., "Attention is all you need", 2017, section 3.2.1.

    A block has 64 queries in shared memory, and the keys and values come through it in tiles: Dao et al.,
    "FlashAttention: Fast and memory-efficient exact attention with IO-awareness", arXiv:2205.14135, Algorithm 1. So
    keys and values are read once for 64 queries, where :func:`attention_rows` reads them for each. A thread has four
    queries, with the scores of two or four keys and its share of their sums in registers: eight loads of 128 bits serve
    64 multiply-adds of the scores. The running maximum of a query is found by shuffles among eight threads, and the sum
    of its weights only once, at the end. A causal block stops at its last query's own key, which saves nearly half.

    float64, more than 128 columns, numbers of columns that are no multiple of four, and up to four queries are left to
    :func:`attention_rows`. A score is off by at most (D + 2) · 2⁻²⁴ · Σ|q·k| / √D in float32, a weight by that share
    of itself more than exp's two units in the last place, and a mean over N keys by 2N · 2⁻²⁴ · Σ|w·v| on top.

    Args:
        q: shape (..., M, D), float32 or float64; NumPy array, device array, or torch tensor on the GPU.
        k: shape (..., N, D), of the same dtype and kind.
        v: shape (..., N, E), of the same dtype and kind.
        causal: whether query m sees the keys 0 to m only.
        out: shape (..., M, E), filled and returned where given; it must not share memory with the inputs.

    Returns:
        Shape (..., M, E), of the inputs' dtype and kind. Without any key it is 0; a query with a score of nan or +inf,
        or with nothing but -inf, gives nan.

    Raises:
        RuntimeError: there is no GPU, and the simulator is off.
        TypeError: an argument is no array, or of another kind or dtype; ``causal`` is no bool.
        ValueError: shapes do not fit, a tensor is not on the GPU, or ``out`` cannot be written without harm.
    """
    if not out.size:
        return
    scale, causal = _scale(q), bool(causal)
    q, k, v, out = map(_heads, (q, k, v, out))
    (H, M, D), (_, N, E) = q.shape, v.shape
    fits = D and N and D % 4 == E % 4 == 0 and max(D, E) <= max(KERNELS)
    if q.dtype == "float32" and fits and M > FEW:
        tiles = KERNELS[min(size for size in KERNELS if size >= max(D, E))]
        flat = (a.reshape(a.size) for a in (q, k, v))
        grid = H * blocks(M, QUERIES)
        launch(tiles, grid, TILED, *flat, (M, N, D, E), scale, causal, out.reshape(out.size))
    else:
        launch(_rows, H * M, THREADS, q, k, v, scale, causal, out)
