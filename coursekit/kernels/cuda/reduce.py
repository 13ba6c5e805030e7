"""Sum, mean or maximum of each row: one thread for each row, a tree in shared memory, shuffles, and four at a time."""

import math

from numba import cuda

from coursekit.kernels.cuda.arrays import boundary
from coursekit.kernels.cuda.device import blocks, current_device, launch
from coursekit.kernels.cuda.pointwise import FLAT, as_rows, can_use_fours, declared, flat, last
from coursekit.kernels.cuda.rows import THREADS, row_threads
from coursekit.kernels.cuda.vectors import load4
from coursekit.kernels.cuda.warps import add, block_max, block_sum, by_tree, larger
from coursekit.kernels.ops import OPS

PIECE = 32 * THREADS
"""Numbers of a row from which on several blocks work on it, where there are too few rows for all multiprocessors."""


def _textbook(name, combine, identity):
    @declared(__name__, f"{name}_textbook", "float32[:, ::1]", "float32", FLAT)
    def run(x, count, out):
        m = cuda.grid(1)
        if m < out.size:
            value = x.dtype.type(identity)
            for n in range(x.shape[1]):
                value = combine(value, x[m, n])
            out[m] = value / count

    return run


def _numbers(name, combine, identity, of_block):
    """``of_block`` combines the values of a block."""

    @declared(__name__, f"{name}", FLAT, "int64", "int64", "float32", FLAT)
    def run(x, N, piece, count, out):
        scratch = cuda.shared.array(THREADS, dtype=x.dtype)
        m, part, t = cuda.blockIdx.x, cuda.blockIdx.y, cuda.threadIdx.x
        start = m * N + part * piece
        value = x.dtype.type(identity)
        for i in range(start + t, min(start + piece, m * N + N), cuda.blockDim.x):
            value = combine(value, x[i])
        value = of_block(value, scratch)
        if t == 0:
            out[m * cuda.gridDim.y + part] = value / count

    return run


def _fours(name, combine, identity, of_block):
    @declared(
        __name__,
        f"{name}_fours",
        *(FLAT, "int64", "int64", "float32", FLAT),
        tuned=True,
        expects=("LDG.E.128", "SHFL"),
    )
    def run(x, N, piece, count, out):
        scratch = cuda.shared.array(THREADS, dtype=x.dtype)
        m, part, t = cuda.blockIdx.x, cuda.blockIdx.y, cuda.threadIdx.x
        start = m * N + part * piece
        p = q = r = s = x.dtype.type(identity)
        for i in range(start + 4 * t, min(start + piece, m * N + N), 4 * cuda.blockDim.x):
            a, b, c, d = load4(x, i)
            p, q, r, s = combine(p, a), combine(q, b), combine(r, c), combine(s, d)
        value = of_block(combine(combine(p, q), combine(r, s)), scratch)
        if t == 0:
            out[m * cuda.gridDim.y + part] = value / count

    return run


TEXTBOOK = {"sum": _textbook("sum", add, 0.0), "max": _textbook("max", larger, -math.inf)}
TREE = {
    "sum": _numbers("sum_tree", add, 0.0, by_tree(add)),
    "max": _numbers("max_tree", larger, -math.inf, by_tree(larger)),
}
SHUFFLES = {
    "sum": _numbers("sum_shuffles", add, 0.0, block_sum),
    "max": _numbers("max_shuffles", larger, -math.inf, block_max),
}
FOURS = {
    "sum": _fours("sum", add, 0.0, block_sum),
    "max": _fours("max", larger, -math.inf, block_max),
}


def _of(kernels, by):
    """A mean is a sum that is divided at the end."""
    return kernels["max" if by == "max" else "sum"]


def _count(x, by):
    """What a result is divided by."""
    return x.dtype.type(last(x) if by == "mean" else 1)


def numbers_of(x, out):
    """x in one dimension; for rows of none, which have no address, some array that is not read."""
    return x.reshape(x.size) if x.size else out.reshape(out.size)


@boundary(OPS["reduce"])
def reduce_textbook(x, *, by="sum", out=None):
    """:func:`reduce` with one thread for each row.

    Threads beside each other read numbers a row apart, so each read of a warp is 32 transactions, of whose 32 bytes
    four are wanted. And each addition waits for the one before.
    """
    if out.size:
        launch(_of(TEXTBOOK, by), blocks(out.size, THREADS), THREADS, as_rows(x), _count(x, by), *flat(out))


@boundary(OPS["reduce"])
def reduce_tree(x, *, by="sum", out=None):
    """:func:`reduce` with a block for each row, whose threads combine what they have in a tree in shared memory.

    Neighbours read neighbouring numbers: a warp needs four transactions of 32 bytes, where it needed 32. A tree for
    256 threads has eight steps with a barrier after each. In its last five steps fewer than 32 threads have work,
    and the block still waits for all (Harris, "Optimizing Parallel Reduction in CUDA", 2007, kernel 3).
    """
    if out.size:
        N = last(x)
        launch(_of(TREE, by), out.size, row_threads(N), numbers_of(x, out), N, N, _count(x, by), *flat(out))


@boundary(OPS["reduce"])
def reduce_shuffles(x, *, by="sum", out=None):
    """:func:`reduce` with shuffles: within a warp a number goes from register to register, without a barrier.

    Two barriers are left of ten, and shared memory holds one number for each warp.
    """
    if out.size:
        N = last(x)
        launch(
            _of(SHUFFLES, by), out.size, row_threads(N), numbers_of(x, out), N, N, _count(x, by), *flat(out)
        )


def _pieces(rows, N):
    """In how many pieces a row is cut, so that there are two blocks for each multiprocessor where there can be."""
    return min(blocks(N, PIECE), blocks(2 * current_device().multiprocessors, rows)) if N > PIECE else 1


@boundary(OPS["reduce"])
def reduce(x, *, by="sum", out=None):
    """The sum, mean or maximum along the last axis.

    As :func:`reduce_shuffles`, with 128 bits in each load and four partial results in each thread, none of which waits
    for another. A block has no more threads than its row has fours, one warp at least. Where there are few long rows,
    each is cut into pieces with a block of their own, and a second launch combines their results. Each number is read
    once. float64, rows whose length is no multiple of four, and arrays that begin at no multiple of 16 bytes are read
    a number at a time. The order of additions is the same in each run on the same GPU, and the error of a sum is at
    most (N/1024 + 20) · 2⁻²⁴ · Σ|x| in float32 read in fours, that of a maximum 0.

    Args:
        x: shape (..., N), float32 or float64; NumPy array, device array, or torch tensor on the GPU.
        by: ``"sum"``, ``"mean"`` or ``"max"``.
        out: shape (...), filled and returned where given; it must not share memory with x.

    Returns:
        Shape (...), of the dtype and kind of x. Of no numbers the sum is 0, the mean nan and the maximum -inf; a
        maximum with nan is nan.

    Raises:
        RuntimeError: there is no GPU, and the simulator is off.
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: x has no dimension, ``by`` is none of the three, a tensor is not on the GPU, or ``out`` cannot be
            written without harm.
    """
    if not out.size:
        return
    count, N, x, out = _count(x, by), last(x), numbers_of(x, out), out.reshape(out.size)
    if (pieces := _pieces(out.size, N)) == 1:
        _one_launch(by, x, N, N, count, out, 1)
        return
    length = 4 * blocks(blocks(N, pieces), 4)
    pieces = blocks(N, length)
    parts = cuda.device_array(out.size * pieces, x.dtype)
    _one_launch(by, x, N, length, x.dtype.type(1), parts, pieces)
    _one_launch(by, parts, pieces, pieces, count, out, 1)


def _one_launch(by, x, N, length, count, out, pieces):
    in_fours = N % 4 == 0 and can_use_fours(x)
    threads = row_threads(length, 4 if in_fours else 1)
    grid = (out.size // pieces, pieces)
    launch(_of(FOURS if in_fours else SHUFFLES, by), grid, threads, x, N, length, count, out)
