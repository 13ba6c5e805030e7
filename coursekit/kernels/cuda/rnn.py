"""A recurrent network: a kernel for each step, one product for all inputs, and steps in tiles of shared memory.

A step needs the whole state that the one before has left, and nothing short of the end of a kernel makes one block wait
for all others: each step is a launch. They are queued without waiting for any of them. The state before step t is
``out[:, t - 1]``, so nothing but the results is ever written.
"""

import math

from numba import cuda, float32

from coursekit.kernels.cuda.arrays import boundary
from coursekit.kernels.cuda.device import blocks, launch
from coursekit.kernels.cuda.kernel import SIMULATED, kernel, threads
from coursekit.kernels.cuda.row_products import PAD, add_row_products, rows_copier
from coursekit.kernels.ops import OPS

THREADS = threads(128)


@kernel("(float32[:, ::1], float32[:, ::1])")
def _start(h0, h):
    """The initial state: zeros where none is given."""
    n, j = divmod(cuda.grid(1), h.shape[1])
    if n < h.shape[0]:
        h[n, j] = h0[n, j] if h0.size else h.dtype.type(0)


@kernel("(float32[:, :, ::1], float32[:, ::1])")
def _finish(out, h):
    n, j = divmod(cuda.grid(1), h.shape[1])
    if n < h.shape[0]:
        h[n, j] = out[n, out.shape[1] - 1, j]


def _over_time(step, h0, out, h) -> None:
    """Call ``step(previous, start, row, t)`` for each t.

    The state before is row n of ``previous`` from ``start + n * row`` on.
    """
    N, T, H = out.shape
    flat = out.reshape(N * T * H)
    whole = blocks(N * H, THREADS)
    launch(_start, whole, THREADS, cuda.device_array((0, H), h.dtype) if h0 is None else h0, h)
    for t in range(T):
        if t:
            step(flat, (t - 1) * H, T * H, t)
        else:
            step(h.reshape(N * H), 0, H, t)
    if T:
        launch(_finish, whole, THREADS, out, h)


@kernel(
    "(float32[:, :, ::1], float32[:, ::1], float32[:, ::1], float32[::1], float32[::1], "
    "float32[::1], int64, int64, int64, float32[:, :, ::1])"
)
def _textbook(x, weight_ih, weight_hh, bias_ih, bias_hh, previous, start, row, t, out):
    n, j = divmod(cuda.grid(1), out.shape[2])
    if n < out.shape[0]:
        total = bias_ih[j] + bias_hh[j]
        for k in range(x.shape[2]):
            total += weight_ih[j, k] * x[n, t, k]
        for k in range(out.shape[2]):
            total += weight_hh[j, k] * previous[start + n * row + k]
        out[n, t, j] = math.tanh(total)


@boundary(OPS["rnn"])
def rnn_textbook(x, weight_ih, weight_hh, bias_ih, bias_hh, h0=None, *, out=None):
    """:func:`rnn` by its formula: a launch for each step, and a thread for each number of the state.

    Each thread reads two whole rows of weights, and neighbouring threads different ones: each of their reads is a
    transaction of its own. A step has only N·H threads, and all that I inputs need is done while the next step waits.
    """
    out, h = out
    if h.size:
        weights = weight_ih, weight_hh, bias_ih, bias_hh

        def step(previous, start, row, t):
            launch(_textbook, blocks(h.size, THREADS), THREADS, x, *weights, previous, start, row, t, out)

        _over_time(step, h0, out, h)


@kernel("(float32[:, :, ::1], float32[:, ::1], float32[::1], float32[::1], float32[:, :, ::1])")
def _inputs(x, weight_ih, bias_ih, bias_hh, out):
    i, j = divmod(cuda.grid(1), out.shape[2])
    n, t = divmod(i, out.shape[1])
    if n < out.shape[0]:
        total = bias_ih[j] + bias_hh[j]
        for k in range(x.shape[2]):
            total += weight_ih[j, k] * x[n, t, k]
        out[n, t, j] = total


@kernel("(float32[:, ::1], float32[::1], int64, int64, int64, float32[:, :, ::1])")
def _step(weight_hh, previous, start, row, t, out):
    n, j = divmod(cuda.grid(1), out.shape[2])
    if n < out.shape[0]:
        total = out[n, t, j]
        for k in range(out.shape[2]):
            total += weight_hh[j, k] * previous[start + n * row + k]
        out[n, t, j] = math.tanh(total)


@boundary(OPS["rnn"])
def rnn_product(x, weight_ih, weight_hh, bias_ih, bias_hh, h0=None, *, out=None):
    """:func:`rnn` with the inputs' parts of all steps in one kernel.

    They do not wait for the recurrence, and have T times as many threads as a step. ``out`` holds them until a step
    adds its own part. What is left in the chain of launches are the H products of each number of the state.
    """
    _by_product(x, weight_ih, weight_hh, bias_ih, bias_hh, h0, *out)


def _by_product(x, weight_ih, weight_hh, bias_ih, bias_hh, h0, out, h) -> None:
    if h.size:
        if out.size:
            launch(_inputs, blocks(out.size, THREADS), THREADS, x, weight_ih, bias_ih, bias_hh, out)

        def step(previous, start, row, t):
            launch(_step, blocks(h.size, THREADS), THREADS, weight_hh, previous, start, row, t, out)

        _over_time(step, h0, out, h)


def _rows_times_rows(name, rows, columns, high, wide, depth, finish):
    """A kernel for ``out = finish(out, a · bᵀ, biases)``, in tiles of (rows · high, columns · wide) numbers.

    A thread has high x wide of them in registers. ``places`` says where the rows of a and of out start, and how far
    the next is; b has whole rows.
    """
    tall, across, together = rows * high, columns * wide, rows * columns
    row_size = depth + PAD
    room_a, room_b = tall * row_size, across * row_size
    copy_a, copy_b = rows_copier(tall, depth, together), rows_copier(across, depth, together)
    add_products = add_row_products(high, wide)

    def run(a, b, bias_ih, bias_hh, sizes, places, out):
        tile_a = cuda.shared.array(room_a, dtype=float32)
        tile_b = cuda.shared.array(room_b, dtype=float32)
        left = cuda.local.array((high, 4), dtype=float32)
        total = cuda.local.array((high, wide), dtype=float32)
        M, N, K = sizes
        first, far, start, step = places
        t = cuda.threadIdx.x
        row, column = divmod(t, columns)
        m, n = cuda.blockIdx.x * tall, cuda.blockIdx.y * across
        for i in range(high):
            for j in range(wide):
                total[i, j] = 0
        for k in range(0, K, depth):
            copy_a(a, first + m * far + k, far, M - m, K - k, tile_a, t)
            copy_b(b, n * K + k, K, N - n, K - k, tile_b, t)
            cuda.syncthreads()
            step_a, step_b = rows * row_size, columns * row_size
            add_products(
                tile_a, row * row_size, step_a, tile_b, column * row_size, step_b, depth, left, total
            )
            cuda.syncthreads()
        for i in range(high):
            for j in range(wide):
                y, x = m + row + rows * i, n + column + columns * j
                if y < M and x < N:
                    finish(out, start + y * step + x, total[i, j], bias_ih, bias_hh, x)

    run.__name__ = name
    four = "float32[::1], float32[::1], float32[::1], float32[::1]"
    signature = f"({four}, UniTuple(int64, 3), UniTuple(int64, 4), float32[::1])"
    return kernel(signature, tuned=True, expects=("LDG.E.128", "LDS.128"))(run), tall, across, together


@cuda.jit(device=True)
def _with_biases(out, i, total, bias_ih, bias_hh, column):
    out[i] = total + (bias_ih[column] + bias_hh[column])


@cuda.jit(device=True)
def _with_tanh(out, i, total, bias_ih, bias_hh, column):
    out[i] = math.tanh(out[i] + total)


# Each thread of the simulator is one of Python's: blocks are smaller there.
_all_inputs = _rows_times_rows("_all_inputs", *((2, 2) if SIMULATED else (8, 16)), 8, 4, 16, _with_biases)
_tile_step = _rows_times_rows("_tile_step", *((2, 2) if SIMULATED else (8, 8)), 2, 4, 32, _with_tanh)


def _multiply(tiles, a, weight, biases, sizes, places, out) -> None:
    run, tall, across, together = tiles
    M, N, _ = sizes
    grid = blocks(M, tall), blocks(N, across)
    launch(run, grid, together, a, weight.reshape(weight.size), *biases, sizes, places, out)


@boundary(OPS["rnn"])
def rnn(x, weight_ih, weight_hh, bias_ih, bias_hh, h0=None, *, out=None):
    """A recurrent network with tanh over whole sequences, as torch.nn.RNN has it: one layer, batch first.

    Elman, "Finding structure in time", Cognitive Science 14(2), 1990. The inputs' parts are one product in tiles of 64
    x 64, as in :func:`rnn_product` but with each number that is loaded used 64 times. A step multiplies tiles of 16
    sequences and 32 units, small ones so that there are many blocks: it reads a weight once for 16 sequences, adds what
    ``out`` holds, and writes tanh of it to the same place, so that no sum is ever written. Numbers are read 128 bits at
    a time where I and H are multiples of four. float64 is left to :func:`rnn_product`.

    In float32 a sum is off by at most (I + H + 1) · 2⁻²⁴ · Σ|w·x|, and tanh adds two units in the last place. From step
    to step errors are carried on as by the exact recurrence.

    Args:
        x: shape (N, T, I), float32 or float64; NumPy array, device array, or torch tensor on the GPU.
        weight_ih, weight_hh: shapes (H, I) and (H, H), of the same dtype and kind.
        bias_ih, bias_hh: shape (H,), of the same dtype and kind; their sum counts.
        h0: shape (N, H), of the same dtype and kind; zeros where left out.
        out: two arrays shaped as below, filled and returned where given; they must not share memory with the inputs.

    Returns:
        The states of all steps, (N, T, H), and the last one, (N, H), of the inputs' dtype and kind.

    Raises:
        RuntimeError: there is no GPU, and the simulator is off.
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, a tensor is not on the GPU, or ``out`` cannot be written without harm.
    """
    if x.dtype != "float32":
        _by_product(x, weight_ih, weight_hh, bias_ih, bias_hh, h0, *out)
        return
    out, h = out
    if not h.size:
        return
    (N, T, H), I = out.shape, x.shape[2]
    biases, flat = (bias_ih, bias_hh), out.reshape(N * T * H)
    if T:
        _multiply(_all_inputs, x.reshape(x.size), weight_ih, biases, (N * T, H, I), (0, I, 0, H), flat)

    def step(previous, start, row, t):
        _multiply(_tile_step, previous, weight_hh, biases, (N, H, H), (start, row, t * H, T * H), flat)

    _over_time(step, h0, out, h)
