"""Softmax: one thread for each row, then one block for each row.

A kernel sees x as (outer, N, inner), with the axis of the softmax in the middle, whatever the shape was.
"""

import math

from numba import cuda

from coursekit.kernels.cuda.arrays import blocks, boundary
from coursekit.kernels.ops import OPS

THREADS = 64


def _around(axis, x):
    """x as (outer, N, inner), on the same memory."""
    axis %= len(x.shape)
    return x.reshape(math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :]))


@cuda.jit
def _textbook(x, out):
    i, j = divmod(cuda.grid(1), x.shape[2])
    if i < x.shape[0]:
        top = x.dtype.type(-math.inf)
        for n in range(x.shape[1]):
            top = max(top, x[i, n, j])
        total = x.dtype.type(0)
        for n in range(x.shape[1]):
            total += math.exp(x[i, n, j] - top)
        for n in range(x.shape[1]):
            out[i, n, j] = math.exp(x[i, n, j] - top) / total


@boundary(OPS["softmax"])
def softmax_textbook(x, *, axis=-1, out=None):
    """:func:`softmax` with one thread for each row.

    Threads beside each other walk down different rows, so each of their reads is a transaction of its
    own, and a thousand rows leave most of a GPU idle.
    """
    if out.size:
        x, out = _around(axis, x), _around(axis, out)
        _textbook[blocks(x.shape[0] * x.shape[2], THREADS), THREADS](x, out)


@cuda.jit(device=True)
def _block_max(partial, value):
    """The largest ``value`` of all threads, by a tree in shared memory; every thread gets it."""
    t = cuda.threadIdx.x
    partial[t] = value
    cuda.syncthreads()
    half = THREADS // 2
    while half > 0:
        if t < half:
            partial[t] = max(partial[t], partial[t + half])
        cuda.syncthreads()
        half //= 2
    top = partial[0]
    cuda.syncthreads()
    return top


@cuda.jit(device=True)
def _block_sum(partial, value):
    """The sum of ``value`` over all threads, by a tree in shared memory; every thread gets it."""
    t = cuda.threadIdx.x
    partial[t] = value
    cuda.syncthreads()
    half = THREADS // 2
    while half > 0:
        if t < half:
            partial[t] += partial[t + half]
        cuda.syncthreads()
        half //= 2
    total = partial[0]
    cuda.syncthreads()
    return total


@cuda.jit
def _softmax(x, out):
    partial = cuda.shared.array(THREADS, dtype=x.dtype)
    i, j = divmod(cuda.blockIdx.x, x.shape[2])
    N = x.shape[1]
    t = cuda.threadIdx.x
    top = x.dtype.type(-math.inf)
    for n in range(t, N, THREADS):
        top = max(top, x[i, n, j])
    top = _block_max(partial, top)
    total = x.dtype.type(0)
    for n in range(t, N, THREADS):
        power = math.exp(x[i, n, j] - top)
        out[i, n, j] = power
        total += power
    total = _block_sum(partial, total)
    for n in range(t, N, THREADS):
        out[i, n, j] /= total


@boundary(OPS["softmax"])
def softmax(x, *, axis=-1, out=None):
    """exp(x) / Σ exp(x) along an axis, safe for large and infinite entries.

    The threads of a block share a row: neighbours read neighbouring elements, and maximum and sum are
    found by a tree of log₂ 64 steps (Mark Harris, "Optimizing Parallel Reduction in CUDA", 2007,
    sequential addressing).

    Args:
        x: any shape of one dimension or more, float32 or float64; NumPy array, device array, or torch
            tensor on the GPU.
        axis: the dimension whose entries sum to 1 in the result.
        out: shape of x, filled and returned where given; it may be x itself.

    Returns:
        The shape, dtype and kind of x. A row of nothing but -inf gives nan.

    Raises:
        RuntimeError: there is no GPU, and the simulator is off.
        TypeError: an argument is no array, or of another kind or dtype; ``axis`` is no int.
        ValueError: ``axis`` is out of range, a tensor is not on the GPU, or ``out`` does not fit or cannot
            be written without harm.
    """
    if out.size:
        x, out = _around(axis, x), _around(axis, out)
        _softmax[x.shape[0] * x.shape[2], THREADS](x, out)
