"""A sparse matrix times a dense one: a thread for each row, a warp for each result, and columns side by side.

A number of the sparse matrix and its column are eight bytes, for two operations on each column of x. What decides is
how its row of x is read: a whole row by neighbouring threads, or a number here and there.
"""

import numpy as np
from numba import cuda, float32

from coursekit.kernels.cuda.arrays import boundary
from coursekit.kernels.cuda.device import blocks, current_stream, launch
from coursekit.kernels.cuda.kernel import kernel, threads
from coursekit.kernels.cuda.vectors import load4, store4
from coursekit.kernels.cuda.warps import WARP, team_sum
from coursekit.kernels.ops import OPS

THREADS = threads(128)
_warp_sum = team_sum(WARP)


@kernel("(int32[::1], int32[::1], int64, int32[::1])")
def _find_wrong(columns, starts, K, found):
    """Write into ``found`` the ends of starts, then a place, plus one, where starts fall, and one of a wrong column."""
    i = cuda.grid(1)
    if i == 0:
        found[0], found[1] = starts[0], starts[starts.size - 1]
    if i + 1 < starts.size and starts[i + 1] < starts[i]:
        found[2] = i + 2
    if i < columns.size and (columns[i] < 0 or columns[i] >= K):
        found[3] = i + 1


def _to_host(array):
    """A copy on the host, made when all that was queued before is done."""
    queue = current_stream()
    host = array.copy_to_host(stream=queue)
    if queue:
        queue.synchronize()
    return host


def check_pattern(name, columns, starts, K) -> None:
    """ValueError unless each row's numbers are some of those stored, and each one's column is one of K.

    The columns are data that become addresses. They are looked at where they are, by a thread each, and the call waits
    for an answer of sixteen bytes.
    """
    R, size = starts.shape[0] - 1, columns.shape[0]
    found = cuda.to_device(np.zeros(4, np.int32), stream=current_stream())
    launch(_find_wrong, blocks(max(R, size, 1), THREADS), THREADS, columns, starts, K, found)
    first, last, fall, away = _to_host(found)
    if (first, last) != (0, size):
        raise ValueError(
            f"{name}: starts must go from 0 to {size}, the size of columns; got {first} to {last}"
        )
    if fall:
        raise ValueError(f"{name}: starts must nowhere fall; got {_to_host(starts)[fall - 1]} after more")
    if away:
        raise ValueError(f"{name}: columns must be from 0 to {K - 1}; got {_to_host(columns)[away - 1]}")


@kernel("(float32[::1], int32[::1], int32[::1], float32[:, ::1], float32[:, ::1])")
def _textbook(values, columns, starts, x, out):
    r = cuda.grid(1)
    if r < out.shape[0]:
        for n in range(out.shape[1]):
            total = x.dtype.type(0)
            for z in range(starts[r], starts[r + 1]):
                total += values[z] * x[columns[z], n]
            out[r, n] = total


@boundary(OPS["csr_matmul"])
def csr_matmul_textbook(values, columns, starts, x, *, out=None):
    """:func:`csr_matmul` with one thread for each row of the sparse matrix.

    Neighbouring threads are in different rows: each reads its own values, columns and numbers of x, from places far
    apart. A warp takes as long as its longest row. And each row of the sparse matrix is read again for each column.
    """
    check_pattern("csr_matmul", columns, starts, x.shape[0])
    if out.size:
        launch(_textbook, blocks(out.shape[0], THREADS), THREADS, values, columns, starts, x, out)


@kernel("(float32[::1], int32[::1], int32[::1], float32[:, ::1], float32[:, ::1])", expects=("SHFL",))
def _rows(values, columns, starts, x, out):
    scratch = cuda.shared.array(THREADS, dtype=x.dtype)
    i, lane = divmod(cuda.grid(1), WARP)
    r, n = divmod(i, out.shape[1])
    total = x.dtype.type(0)
    if r < out.shape[0]:
        for z in range(starts[r] + lane, starts[r + 1], WARP):
            total += values[z] * x[columns[z], n]
    total = _warp_sum(total, scratch)
    if r < out.shape[0] and lane == 0:
        out[r, n] = total


@boundary(OPS["csr_matmul"])
def csr_matmul_rows(values, columns, starts, x, *, out=None):
    """:func:`csr_matmul` with a warp for each result: its threads share out the numbers of a row.

    Bell and Garland, "Implementing sparse matrix-vector multiplication on throughput-oriented processors", SC 2009,
    section 4.2. Values and columns are read side by side, and summed by shuffles. The numbers of x still come from
    anywhere, which cannot be helped where it has one column.
    """
    check_pattern("csr_matmul", columns, starts, x.shape[0])
    if out.size:
        launch(_rows, blocks(out.size * WARP, THREADS), THREADS, values, columns, starts, x, out)


@kernel("(float32[::1], int32[::1], int32[::1], float32[:, ::1], float32[:, ::1])")
def _columns(values, columns, starts, x, out):
    r, n = divmod(cuda.grid(1), out.shape[1])
    if r < out.shape[0]:
        total = x.dtype.type(0)
        for z in range(starts[r], starts[r + 1]):
            total += values[z] * x[columns[z], n]
        out[r, n] = total


@boundary(OPS["csr_matmul"])
def csr_matmul_columns(values, columns, starts, x, *, out=None):
    """:func:`csr_matmul` with a thread for each result, neighbours having neighbouring columns.

    A warp reads 32 numbers of a row of x beside each other, in one transaction where it had been 32, and all of its
    threads want the same value and column, which one transaction serves.
    """
    check_pattern("csr_matmul", columns, starts, x.shape[0])
    if out.size:
        launch(_columns, blocks(out.size, THREADS), THREADS, values, columns, starts, x, out)


@kernel(
    "(float32[::1], int32[::1], int32[::1], float32[::1], int64, int64, float32[::1])",
    tuned=True,
    expects=("LDG.E.128", "STG.E.128"),
)
def _fours(values, columns, starts, x, R, N, out):
    r, n = divmod(4 * cuda.grid(1), N)
    if r < R:
        e = f = g = h = float32(0)
        for z in range(starts[r], starts[r + 1]):
            value = values[z]
            a, b, c, d = load4(x, columns[z] * N + n)
            e += value * a
            f += value * b
            g += value * c
            h += value * d
        store4(out, r * N + n, e, f, g, h)


@boundary(OPS["csr_matmul"])
def csr_matmul(values, columns, starts, x, *, out=None):
    """A sparse matrix in compressed rows times a dense one.

    As :func:`csr_matmul_columns`, with four neighbouring columns for each thread: a number of the sparse matrix and its
    column are loaded once for four multiply-adds, and x is read 128 bits at a time. Gustavson, "Two fast algorithms for
    sparse matrices", ACM TOMS 4(3), 1978, has the order of the loops. float64 and numbers of columns that are no
    multiple of four are left to :func:`csr_matmul_columns`, and a single column to :func:`csr_matmul_rows`. The error
    is at most Z · 2⁻²⁴ · Σ|values·x| in float32, where a row holds Z numbers.
    :func:`coursekit.kernels.formats.to_csr` makes the first three arguments.

    Args:
        values: shape (Z,), float32 or float64; NumPy array, device array, or torch tensor on the GPU.
        columns: shape (Z,), int32, of the same kind: the column of each; in any order, and one may come twice.
        starts: shape (R + 1,), int32, of the same kind: where the numbers of each row begin, and their end.
        x: shape (K, N), of the dtype and kind of values.
        out: shape (R, N), filled and returned where given; it must not share memory with the inputs.

    Returns:
        Shape (R, N), of the dtype and kind of values. What is not stored adds nothing, not even 0 · inf.

    Raises:
        RuntimeError: there is no GPU, and the simulator is off.
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, a column is not one of K, ``starts`` does not rise from 0 to Z, a tensor is not
            on the GPU, or ``out`` cannot be written without harm. ``out`` is untouched then. To know it, the call waits
            until the GPU has looked.
    """
    check_pattern("csr_matmul", columns, starts, x.shape[0])
    if not out.size:
        return
    R, N = out.shape
    sparse = values, columns, starts
    if N == 1:
        launch(_rows, blocks(R * WARP, THREADS), THREADS, *sparse, x, out)
    elif x.dtype == "float32" and N % 4 == 0 and x.size:
        whole = blocks(out.size // 4, THREADS)
        launch(_fours, whole, THREADS, *sparse, x.reshape(x.size), R, N, out.reshape(out.size))
    else:
        launch(_columns, blocks(out.size, THREADS), THREADS, *sparse, x, out)
