"""Softmax: one thread for each row, one block for each row, and a block that reads its row from memory once.

A kernel sees x as (outer, N, inner), with the axis of the softmax in the middle, whatever the shape was.
"""

import math

from numba import cuda, float32

from coursekit.kernels.cuda.arrays import boundary
from coursekit.kernels.cuda.device import blocks, launch
from coursekit.kernels.cuda.kernel import kernel
from coursekit.kernels.cuda.rows import THREADS, can_keep_rows
from coursekit.kernels.cuda.vectors import load4, store4
from coursekit.kernels.cuda.warps import block_max, block_sum
from coursekit.kernels.ops import OPS


def around(axis, x):
    """x as (outer, N, inner), on the same memory."""
    axis %= len(x.shape)
    return x.reshape(math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :]))


@kernel("(float32[:, :, ::1], float32[:, :, ::1])")
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
        x, out = around(axis, x), around(axis, out)
        launch(_textbook, blocks(x.shape[0] * x.shape[2], THREADS), THREADS, x, out)


@kernel("(float32[:, :, ::1], float32[:, :, ::1])")
def _blocks(x, out):
    scratch = cuda.shared.array(THREADS, dtype=x.dtype)
    i, j = divmod(cuda.blockIdx.x, x.shape[2])
    N = x.shape[1]
    t = cuda.threadIdx.x
    top = x.dtype.type(-math.inf)
    for n in range(t, N, THREADS):
        top = max(top, x[i, n, j])
    top = block_max(top, scratch)
    total = x.dtype.type(0)
    for n in range(t, N, THREADS):
        power = math.exp(x[i, n, j] - top)
        out[i, n, j] = power
        total += power
    total = block_sum(total, scratch)
    for n in range(t, N, THREADS):
        out[i, n, j] /= total


@boundary(OPS["softmax"])
def softmax_blocks(x, *, axis=-1, out=None):
    """:func:`softmax` with the threads of a block on one row: neighbours read neighbouring elements.

    Maximum and sum are found by shuffles (:mod:`coursekit.kernels.cuda.warps`). Each element is read twice and written
    twice, as ``out`` keeps the exponentials until their sum is known.
    """
    if out.size:
        x, out = around(axis, x), around(axis, out)
        launch(_blocks, x.shape[0] * x.shape[2], THREADS, x, out)


@kernel("(float32[::1], int64, float32[::1])", tuned=True, expects=("LDG.E.128", "STG.E.128", "SHFL"))
def _rows(x, N, out):
    """Rows of N float32, N a multiple of four: a row comes from memory once, and stays in shared memory."""
    row = cuda.shared.array(0, dtype=float32)
    scratch = cuda.shared.array(THREADS, dtype=float32)
    start, t = cuda.blockIdx.x * N, 4 * cuda.threadIdx.x
    top = float32(-math.inf)
    for n in range(t, N, 4 * THREADS):
        a, b, c, d = load4(x, start + n)
        store4(row, n, a, b, c, d)
        top = max(max(max(top, a), max(b, c)), d)
    top = block_max(top, scratch)
    total = float32(0)
    for n in range(t, N, 4 * THREADS):
        a, b, c, d = load4(row, n)
        a, b, c, d = math.exp(a - top), math.exp(b - top), math.exp(c - top), math.exp(d - top)
        store4(row, n, a, b, c, d)
        total += (a + b) + (c + d)
    scale = float32(1) / block_sum(total, scratch)
    for n in range(t, N, 4 * THREADS):
        a, b, c, d = load4(row, n)
        store4(out, start + n, a * scale, b * scale, c * scale, d * scale)


@boundary(OPS["softmax"])
def softmax(x, *, axis=-1, out=None):
    """exp(x) / Σ exp(x) along an axis, safe for large and infinite entries.

    Along the last axis a block reads its row once, 128 bits at a time, keeps it in shared memory, and writes it once; a
    thread only ever meets its own numbers there, so no barrier is needed but those of the two reductions. Other axes,
    float64, rows that shared memory does not hold, those whose length is no multiple of four, and arrays that begin at
    no multiple of 16 bytes are left to :func:`softmax_blocks`. The error is at most (N/128 + 40) · 2⁻²⁴ of each result
    in float32.

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
    if not out.size:
        return
    x, out = around(axis, x), around(axis, out)
    rows, N, inner = x.shape
    if inner == 1 and can_keep_rows(N, x, out):
        launch(_rows, rows, THREADS, x.reshape(rows * N), N, out.reshape(rows * N), shared=4 * N)
    else:
        launch(_blocks, rows * inner, THREADS, x, out)
