"""The gradients of attention: with the matrix of the weights in memory, with blocks of it made anew, and in tiles.

With w the weights and p = grad · vᵀ, the gradient of the scores is s = w · (p - Σ w · p), and then dq = s k, dk = sᵀ q
and dv = wᵀ grad. The sum runs over a query's keys.
"""

from math import sqrt

import numpy as np

from coursekit.kernels.cpu import simd
from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.attention import heads, scaled_dot, softmax_in_place
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.matmul import multiply_blocked, multiply_tiles
from coursekit.kernels.cpu.simd import broadcast, load, maximum, store, width
from coursekit.kernels.cpu.softmax import columns_softmax
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.cpu.vector_math import exp_below
from coursekit.kernels.ops import OPS


@compiled
def _textbook(q, k, v, grad, causal, dq, dk, dv):
    M, N, D = q.shape[1], k.shape[1], q.shape[2]
    scale = q.dtype.type(1 / sqrt(max(D, 1)))
    weights = np.empty((M, N), q.dtype)
    dq[:], dk[:], dv[:] = 0, 0, 0
    for h in range(q.shape[0]):
        for m in range(M):
            for n in range(N):
                weights[m, n] = -np.inf if causal and n > m else scaled_dot(q[h, m], k[h, n])
            softmax_in_place(weights[m])
        for m in range(M):
            seen = min(m + 1, N) if causal else N
            slopes = np.zeros(seen, q.dtype)
            mean = q.dtype.type(0)
            for n in range(seen):
                for e in range(v.shape[2]):
                    slopes[n] += grad[h, m, e] * v[h, n, e]
                    dv[h, n, e] += weights[m, n] * grad[h, m, e]
                mean += weights[m, n] * slopes[n]
            for n in range(seen):
                slope = weights[m, n] * (slopes[n] - mean) * scale
                for d in range(D):
                    dq[h, m, d] += slope * k[h, n, d]
                    dk[h, n, d] += slope * q[h, m, d]


@boundary(OPS["attention_grad"])
def attention_grad_textbook(q, k, v, grad, *, causal=False, out=None):
    """:func:`attention_grad` by its formulas, with all weights of a head in memory at once.

    Twice as many queries and keys need four times the room, and each weight is written to far memory and read back.
    """
    _textbook(*map(heads, (q, k, v, grad)), causal, *map(heads, out))


QUERIES = 96
"""Queries of a block."""


@compiled
def _weigh(scores):
    """The softmax of each column, row after row."""
    columns_softmax(scores, scores)


@compiled
def _slopes(weights, slopes, scale):
    """What scores get, in the place of what weights get."""
    mean = np.zeros(weights.shape[1], weights.dtype)
    for n in range(weights.shape[0]):
        _add_product(mean, weights[n], slopes[n])
    for n in range(weights.shape[0]):
        _pull(slopes[n], weights[n], mean, scale)


@compiled
def _add_product(sums, x, y):
    for m in range(sums.size):
        sums[m] += x[m] * y[m]


@compiled
def _pull(slope, weight, mean, scale):
    for m in range(slope.size):
        slope[m] = weight[m] * (slope[m] - mean[m]) * scale


def _in_blocks(multiply, weigh):
    """A kernel for some heads, with keys in the rows of a block and queries in its columns.

    ``multiply`` is the product of two matrices, and ``weigh`` makes weights of scores.
    """

    @compiled
    def add_share(columns, rows, share, out):
        """Add the product of ``columns``, those that there are rows for, and ``rows``."""
        multiply(columns[:, : rows.shape[0]], rows, share)
        out[: share.shape[0]] += share

    @compiled
    def run(q, k, v, grad, causal, lanes, dq, dk, dv):
        M, N, D, E = q.shape[1], k.shape[1], q.shape[2], v.shape[2]
        scale = q.dtype.type(1 / sqrt(max(D, 1)))
        queries, grads = np.zeros((D, lanes), q.dtype), np.zeros((E, lanes), q.dtype)
        weights, slopes = np.empty((N, lanes), q.dtype), np.empty((N, lanes), q.dtype)
        share_k, share_v = np.empty((N, D), q.dtype), np.empty((N, E), q.dtype)
        dq[:], dk[:], dv[:] = 0, 0, 0
        for h in range(q.shape[0] if N else 0):
            for m in range(0, M, lanes):
                stop = min(m + lanes, M)
                seen = min(N, stop) if causal else N
                w, s = weights[:seen], slopes[:seen]
                queries[:, : stop - m] = q[h, m:stop].T
                grads[:, : stop - m] = grad[h, m:stop].T
                multiply(k[h, :seen], queries, w)
                w *= scale
                for n in range(m + 1 if causal else seen, seen):
                    w[n, : n - m] = -np.inf
                weigh(w)
                multiply(v[h, :seen], grads, s)
                _slopes(w, s, scale)
                multiply(s.T[: stop - m], k[h, :seen], dq[h, m:stop])
                add_share(w, grad[h, m:stop], share_v[:seen], dv[h])
                add_share(s, q[h, m:stop], share_k[:seen], dk[h])

    return run


_plain = _in_blocks(multiply_blocked, _weigh)


@boundary(OPS["attention_grad"])
def attention_grad_flash(q, k, v, grad, *, causal=False, out=None):
    """:func:`attention_grad` without the matrix of the weights, in plain Python.

    A block of 96 queries has its scores computed anew, all keys of them at once, and is done with before the next one:
    its weights stay in the caches, and the room for them grows with the number of keys only. Queries lie side by side,
    so that the softmax and the sum Σ w · p go down all columns at once. What is left are products of matrices, in the
    blocks of :func:`matmul_blocked`, where the textbook's sums are chains that wait. A causal block ends at its last
    query's own key, which saves nearly half of the products.
    """
    _by_heads(_plain, QUERIES, (q, k, v, grad), causal, out)


@compiled
def _weigh_vectors(scores):
    """:func:`_weigh`, a vector of queries at a time."""
    wide, flat = scores.shape[1], scores.reshape(-1)
    for m in range(0, wide, width(scores)):
        top = load(flat, m)
        for i in range(m, flat.size, wide):
            top = maximum(load(flat, i), top)
        total = broadcast(np.float32(0))
        for i in range(m, flat.size, wide):
            weight = exp_below(load(flat, i) - top)
            store(flat, i, weight)
            total += weight
        scale = broadcast(np.float32(1)) / total
        for i in range(m, flat.size, wide):
            store(flat, i, load(flat, i) * scale)


_tiles, _vectors = _in_blocks(multiply_tiles, _weigh), _in_blocks(multiply_tiles, _weigh_vectors)


@boundary(OPS["attention_grad"])
def attention_grad(q, k, v, grad, *, causal=False, out=None):
    """The gradients of softmax(q·kᵀ / √D) · v with respect to q, k and v, without the matrix of the weights: Dao et
    al., "FlashAttention", arXiv:2205.14135, section 3.1 and appendix B.

    For a block of 96 queries the scores are computed anew, which costs one product and saves the reading of weights
    from far memory; a block holds all keys of its queries, so that their softmax and the sum Σ w · p are simple sums
    down its columns. Its rest are four products, in the tiles of :func:`matmul`. A causal block ends at its last
    query's own key. A head is done by one thread, block after block, so the bits do not depend on the threads. float64
    takes exp for one number at a time.

    A score is off by at most (D + 2) · 2⁻²⁴ · Σ|q·k| / √D in float32, and a weight by that share of itself and 1e-6;
    each sum over K terms adds (256 + K/256) · 2⁻²⁴ of the sum of their sizes.

    Args:
        q: shape (..., M, D), float32 or float64; NumPy array or torch tensor on the CPU.
        k: shape (..., N, D), of the same dtype and kind.
        v: shape (..., N, E), of the same dtype and kind.
        grad: shape (..., M, E), the gradient of the result, of the same dtype and kind.
        causal: whether query m sees the keys 0 to m only.
        out: a tuple of arrays of the shapes of q, k and v, filled and returned where given; they must not share memory
            with the inputs.

    Returns:
        The three gradients, of the inputs' dtype and kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; ``causal`` is no bool.
        ValueError: shapes do not fit, a tensor is not on the CPU, or ``out`` cannot be written without harm.
    """
    kernel, wide = _vectors if q.dtype == np.float32 else _tiles, 2 * simd.LANES
    lanes = min(QUERIES, max(-(-q.shape[-2] // wide), 1) * wide)
    _by_heads(kernel, lanes, (q, k, v, grad), causal, out)


def _by_heads(kernel, lanes, arrays, causal, out):
    arrays, outs = [heads(a) for a in arrays], [heads(a) for a in out]

    def work(i, j):
        kernel(*[a[i:j] for a in arrays], causal, lanes, *[a[i:j] for a in outs])

    split(work, len(arrays[0]), 1)
