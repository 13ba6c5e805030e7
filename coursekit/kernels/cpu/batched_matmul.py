"""Products of many pairs of matrices: number by number, along the rows, and in tiles."""

from math import prod

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.matmul import TALL, multiply_rows, multiply_tiles
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.ops import OPS


def _flat(x):
    """The matrices of x one after the other, a view."""
    return x.reshape(prod(x.shape[:-2]), *x.shape[-2:])


@compiled
def _textbook(a, b, out):
    for i in range(a.shape[0]):
        for m in range(a.shape[1]):
            for n in range(b.shape[2]):
                total = a.dtype.type(0)
                for k in range(a.shape[2]):
                    total += a[i, m, k] * b[i, k, n]
                out[i, m, n] = total


@boundary(OPS["batched_matmul"])
def batched_matmul_textbook(a, b, *, out=None):
    """:func:`batched_matmul` as it is defined, one dot product for each element."""
    _textbook(_flat(a), _flat(b), _flat(out))


@compiled
def _by_rows(a, b, out):
    for i in range(a.shape[0]):
        multiply_rows(a[i], b[i], out[i])


@boundary(OPS["batched_matmul"])
def batched_matmul_rows(a, b, *, out=None):
    """:func:`batched_matmul` with each pair's loops in the order m, k, n, as :func:`matmul_rows` has them.

    The inner loop runs along rows, and its steps do not wait for each other. Small matrices stay in the level-1 cache,
    so the traffic to the row of ``out`` is all that is left to save.
    """
    _by_rows(_flat(a), _flat(b), _flat(out))


@compiled
def _by_tiles(a, b, out):
    for i in range(a.shape[0]):
        multiply_tiles(a[i], b[i], out[i])


GRAIN = 2**18
"""Multiply-adds that are worth a thread."""


@boundary(OPS["batched_matmul"])
def batched_matmul(a, b, *, out=None):
    """The matrix product of each pair of matrices, on as many threads as ``set_num_threads`` says.

    Each pair is done as :func:`coursekit.kernels.cpu.matmul` does it, with its error bound, in one call of compiled
    code: what a call costs is paid once for all of them. The threads take whole pairs.

    Args:
        a: shape (..., M, K), float32 or float64; NumPy array or torch tensor on the CPU.
        b: shape (..., K, N), of the same leading dimensions, dtype and kind: none is broadcast.
        out: shape (..., M, N), filled and returned where given; it must not share memory with a or b.

    Returns:
        Shape (..., M, N), of the inputs' dtype and kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, a tensor is not on the CPU, or ``out`` cannot be written without harm.
    """
    a, b, out = _flat(a), _flat(b), _flat(out)
    kernel = _by_rows if a.shape[1] < TALL else _by_tiles
    grain = GRAIN // max(int(np.prod(a.shape[1:])) * b.shape[2], 1) + 1
    split(lambda i, j: kernel(a[i:j], b[i:j], out[i:j]), a.shape[0], grain)
