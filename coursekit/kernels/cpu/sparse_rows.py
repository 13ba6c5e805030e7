"""What the products with sparse matrices share: the check of the pattern, and panels of dense columns.

The columns of a sparse matrix are data that become addresses. One pass over them, before anything is computed, makes
sure that none leads out of the dense matrix; it costs one comparison where the product makes N multiply-adds.
"""

import numpy as np

from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.rows import load_part
from coursekit.kernels.cpu.simd import load, store, width

GRAIN = 2**16
"""Multiply-adds that are worth a thread."""


@compiled
def _all_within(columns, K):
    wrong = False
    for z in range(columns.size):
        wrong |= (columns[z] < 0) | (columns[z] >= K)
    return not wrong


@compiled
def _never_falls(starts):
    falls = False
    for r in range(starts.size - 1):
        falls |= starts[r + 1] < starts[r]
    return not falls


@compiled
def pattern_fits(columns, starts, K):
    """Whether :func:`check_pattern` would find nothing wrong, for kernels that ask on the way."""
    whole = starts[0] == 0 and starts[-1] == columns.size
    return whole and _never_falls(starts) and _all_within(columns, K)


def check_pattern(name: str, columns: np.ndarray, starts: np.ndarray, K: int) -> None:
    """ValueError unless each row's numbers are some of those stored, and each one's column is one of K."""
    if starts[0] != 0 or starts[-1] != columns.size:
        raise ValueError(
            f"{name}: starts must go from 0 to {columns.size}, the size of columns; "
            f"got {starts[0]} to {starts[-1]}"
        )
    if not _never_falls(starts):
        raise ValueError(
            f"{name}: starts must nowhere fall; got {starts[np.diff(starts).argmin() + 1]} after more"
        )
    if not _all_within(columns, K):
        wrong = columns[(columns < 0) | (columns >= K)][0]
        raise ValueError(f"{name}: columns must be from 0 to {K - 1}; got {wrong}")


def rows_worth_a_thread(rows: int, work: int) -> int:
    """How many of the ``rows``, on which ``work`` multiply-adds are to be done."""
    return GRAIN * rows // max(work, 1) + 1


@compiled
def add_row(row, value, read):
    """row += value · read, the step of the readable versions."""
    for n in range(row.size):
        row[n] += value * read[n]


@compiled
def pack_panel(x, first, panel):
    """Copy as many columns of x as the panel has, from ``first`` on, side by side, filled up with zeros.

    The panel's rows are whole vectors. Gives the number of columns that there were.
    """
    (K, N), n, wide = x.shape, width(x), panel.shape[1]
    count = min(wide, N - first)
    whole = count // n * n
    read, write = x.reshape(-1), panel.reshape(-1)
    for k in range(K):
        for j in range(0, whole, n):
            store(write, k * wide + j, load(read, k * N + first + j))
        if whole < count:
            store(write, k * wide + whole, load_part(read, k * N + first + whole, count - whole))
    return count
