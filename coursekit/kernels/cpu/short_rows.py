"""Rows so short that most lanes of their vectors would be empty: they are turned, and each lane has a row of its own.

A row of ten costs two vectors, one of them nearly empty, and sums across lanes that all of the row waits for. Eight
rows turned are ten full vectors, and nothing has to be summed across.
"""

import numpy as np

from coursekit.kernels.cpu import simd
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.simd_squares import turn

FEW = 11
"""Numbers of a row up to which a plain loop over them is faster than vectors that nothing turns."""
SIDE_BY_SIDE = 8 * simd.LANES
"""Rows that are turned at a time: few enough for the first cache, enough that what is written has arrived when it is
read."""


def are_short(N: int, dtype: np.dtype) -> bool:
    """Whether rows of N numbers fit four vectors."""
    return N * dtype.itemsize <= 4 * simd.BYTES


def turned(function):
    """A kernel ``run(x, others, out)`` for short rows x of shape (M, N).

    ``function(columns, others)`` does its work in place on the columns of an array of shape (N, SIDE_BY_SIDE).
    """

    @compiled
    def run(x, others, out):
        M, N = x.shape
        columns = np.zeros((N, SIDE_BY_SIDE), x.dtype)
        for m in range(0, M, SIDE_BY_SIDE):
            rows = out[m : m + SIDE_BY_SIDE]
            turn(x[m : m + SIDE_BY_SIDE], columns)
            function(columns, others)
            turn(columns[:, : rows.shape[0]], rows)

    return run
