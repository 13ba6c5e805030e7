"""Products of numbers of 16 bits, given by their bits and summed in float32: what float16 and bfloat16 have in common.

What differs is ``widen``, which makes a float32 of the bits of one number, given as uint32.
"""

import numpy as np

from coursekit.kernels.cpu.compiler import compiled


def textbook(widen):
    """``textbook(a, b, out)``: one sum for each element, each number widened at each of its uses."""

    @compiled
    def textbook(a, b, out):
        for m in range(out.shape[0]):
            for n in range(out.shape[1]):
                total = np.float32(0)
                for k in range(a.shape[1]):
                    total += widen(np.uint32(a[m, k])) * widen(np.uint32(b[k, n]))
                out[m, n] = total

    return textbook


def row_by_row(widen):
    """``multiply(a, b, out)``: rows of b, times one number of a each, which are widened as they come."""

    @compiled
    def add_one(row, x, b):
        for n in range(row.size):
            row[n] += x * widen(np.uint32(b[n]))

    @compiled
    def multiply(a, b, out):
        out[:] = 0
        for m in range(a.shape[0]):
            for k in range(a.shape[1]):
                add_one(out[m], widen(np.uint32(a[m, k])), b[k])

    return multiply
