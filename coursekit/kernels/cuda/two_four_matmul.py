"""A matrix with two numbers in each four of a row times a dense one: a thread for each result, then tiles.

A byte holds where four numbers stand among their eight columns. The tensor cores of newer GPUs take this format as it
is; these kernels are the same product in plain arithmetic: half of the dense one's multiply-adds.
"""

from numba import cuda, float32, int32, uint8

from coursekit.kernels.cuda.arrays import boundary
from coursekit.kernels.cuda.device import blocks, launch
from coursekit.kernels.cuda.kernel import SIMULATED, kernel, threads
from coursekit.kernels.cuda.vectors import load4, store4
from coursekit.kernels.ops import OPS

THREADS = threads(128)


@kernel("(float32[:, ::1], uint8[:, ::1], float32[:, ::1], float32[:, ::1])")
def _textbook(values, positions, x, out):
    r, n = divmod(cuda.grid(1), out.shape[1])
    if r < out.shape[0]:
        total = x.dtype.type(0)
        for i in range(values.shape[1]):
            place = int32(positions[r, i // 4]) >> (2 * (i % 4)) & 3
            total += values[r, i] * x[i // 2 * 4 + place, n]
        out[r, n] = total


@boundary(OPS["two_four_matmul"])
def two_four_matmul_textbook(values, positions, x, *, out=None):
    """:func:`two_four_matmul` with a thread for each result.

    Neighbouring threads have neighbouring columns of x, and read it side by side. But each decodes all positions of
    its row, and each multiply-add makes a load of x and one of a value.
    """
    if out.size:
        launch(_textbook, blocks(out.size, THREADS), THREADS, values, positions, x, out)


# A block has HIGH x ROWS rows and WIDE x COLUMNS columns of the result, a thread HIGH x WIDE of them. The simulator has
# fewer threads.
ROWS, COLUMNS = (2, 4) if SIMULATED else (8, 16)
HIGH, WIDE = 8, 4
TALL, ACROSS, TILED = ROWS * HIGH, COLUMNS * WIDE, ROWS * COLUMNS
DEPTH = 32
"""Rows of x in a tile; a row of values has half as many numbers there."""
HALF, BYTES = DEPTH // 2, DEPTH // 8
ROOM_VALUES, ROOM_BYTES, ROOM_X = TALL * HALF, TALL * BYTES, DEPTH * ACROSS


@cuda.jit(device=True)
def _copy_sparse(values, positions, first, K, r, R, tile, places, t):
    """Values and their bytes under rows from ``first`` on of x; zeros where there are none."""
    for i in range(t, TALL * BYTES, TILED):
        row, b = divmod(i, BYTES)
        k = first + 8 * b
        w = x = y = z = float32(0)
        byte = uint8(0)
        if r + row < R and k < K:
            w, x, y, z = load4(values, (r + row) * (K // 2) + k // 2)
            byte = positions[(r + row) * (K // 8) + k // 8]
        store4(tile, row * HALF + 4 * b, w, x, y, z)
        places[i] = byte


@cuda.jit(device=True)
def _copy_dense(x, first, K, n, N, tile, t):
    """DEPTH rows of x and ACROSS of their columns, 128 bits at a time; zeros beyond."""
    for i in range(4 * t, DEPTH * ACROSS, 4 * TILED):
        k, c = divmod(i, ACROSS)
        e = f = g = h = float32(0)
        if first + k < K and n + c < N:
            e, f, g, h = load4(x, (first + k) * N + n + c)
        store4(tile, i, e, f, g, h)


@kernel(
    "(float32[::1], uint8[::1], float32[::1], UniTuple(int64, 3), float32[::1])",
    tuned=True,
    expects=("LDG.E.128", "LDS.128", "STG.E.128"),
)
def _tiles(values, positions, x, sizes, out):
    numbers = cuda.shared.array(ROOM_VALUES, dtype=float32)
    places = cuda.shared.array(ROOM_BYTES, dtype=uint8)
    tile = cuda.shared.array(ROOM_X, dtype=float32)
    total = cuda.local.array((HIGH, WIDE), dtype=float32)
    R, K, N = sizes
    t = cuda.threadIdx.x
    row, column = divmod(t, COLUMNS)
    r, n = cuda.blockIdx.x * TALL, cuda.blockIdx.y * ACROSS
    for m in range(HIGH):
        for j in range(WIDE):
            total[m, j] = 0
    for first in range(0, K, DEPTH):
        _copy_sparse(values, positions, first, K, r, R, numbers, places, t)
        _copy_dense(x, first, K, n, N, tile, t)
        cuda.syncthreads()
        for b in range(BYTES):
            for m in range(HIGH):
                at = (row + ROWS * m) * BYTES + b
                byte = int32(places[at])
                four = load4(numbers, 4 * at)
                for i in range(4):
                    k = 8 * b + i // 2 * 4 + (byte >> 2 * i & 3)
                    e, f, g, h = load4(tile, k * ACROSS + WIDE * column)
                    total[m, 0] += four[i] * e
                    total[m, 1] += four[i] * f
                    total[m, 2] += four[i] * g
                    total[m, 3] += four[i] * h
        cuda.syncthreads()
    n += WIDE * column
    for m in range(HIGH):
        y = r + row + ROWS * m
        if y < R and n < N:
            store4(out, y * N + n, total[m, 0], total[m, 1], total[m, 2], total[m, 3])


@boundary(OPS["two_four_matmul"])
def two_four_matmul(values, positions, x, *, out=None):
    """A matrix with two numbers in each four of a row times a dense one: Mishra et al., arXiv:2104.08378, section 3.

    A block has 64 rows and 64 columns of the result. x comes through shared memory in tiles, where each of its numbers
    is used by 64 rows, and so do the values with their bytes. A thread decodes a byte once for sixteen multiply-adds;
    which row of the tile a value meets is only known then, so that x is loaded for four multiply-adds at a time, 128
    bits that lie side by side, where a dense product keeps it in registers for a whole tile. float64 and numbers of
    columns that are no multiple of four are left to :func:`two_four_matmul_textbook`. The error is at most
    K/2 · 2⁻²⁴ · Σ|values·x| in float32. :func:`coursekit.kernels.formats.to_two_four` makes the first two arguments.

    Args:
        values: shape (R, K/2), float32 or float64; NumPy array, device array, or torch tensor on the GPU.
        positions: shape (R, K/8), uint8, of the same kind: a byte has the positions of four numbers among their four
            columns, two bits each, the lowest first.
        x: shape (K, N), of the dtype and kind of values, K being a multiple of 8.
        out: shape (R, N), filled and returned where given; it must not share memory with the inputs.

    Returns:
        Shape (R, N), of the dtype and kind of values. What is not stored adds nothing.

    Raises:
        RuntimeError: there is no GPU, and the simulator is off.
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, a tensor is not on the GPU, or ``out`` cannot be written without harm.
    """
    if not out.size:
        return
    (R, N), K = out.shape, x.shape[0]
    if x.dtype == "float32" and N % 4 == 0 and K:
        grid = blocks(R, TALL), blocks(N, ACROSS)
        flat = (a.reshape(a.size) for a in (values, positions, x))
        launch(_tiles, grid, TILED, *flat, (R, K, N), out.reshape(out.size))
    else:
        launch(_textbook, blocks(out.size, THREADS), THREADS, values, positions, x, out)
