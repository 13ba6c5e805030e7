"""The largest or the mean of the pixels under a window: one thread for each result, then tiles in shared memory.

A kernel sees the images of all channels as planes: x as (planes, H, W).
"""

import math

from numba import cuda

from coursekit.kernels.cuda.arrays import boundary
from coursekit.kernels.cuda.device import blocks, current_device, launch
from coursekit.kernels.cuda.kernel import SIMULATED, kernel, threads
from coursekit.kernels.ops import OPS

THREADS = threads(128)
DOWN, ACROSS = (4, 4) if SIMULATED else (8, 32)
"""Places of the window that a block does, a thread each."""


@cuda.jit(device=True)
def _larger(a, b):
    """As ``max``, but nan wins, as in NumPy and torch."""
    return a if a > b or a != a else b


@cuda.jit(device=True)
def _sum(a, b):
    return a + b


def _direct(name, combine):
    """A kernel with a thread for each result, which reads the k x k pixels of its window."""

    def run(x, how, nothing, scale, out):
        size, stride, padding = how
        i, q = divmod(cuda.grid(1), out.shape[2])
        n, p = divmod(i, out.shape[1])
        if n < out.shape[0]:
            top, side = p * stride - padding, q * stride - padding
            total = nothing
            for h in range(max(top, 0), min(top + size, x.shape[1])):
                for w in range(max(side, 0), min(side + size, x.shape[2])):
                    total = combine(total, x[n, h, w])
            out[n, p, q] = total * scale

    run.__name__ = name
    return kernel("(float32[:, :, ::1], UniTuple(int64, 3), float32, float32, float32[:, :, ::1])")(run)


def _tiles(name, combine):
    """A kernel with a block for a tile of places: across the columns of its rows of pixels, then down its rows."""

    def run(x, how, nothing, scale, out):
        room = cuda.shared.array(0, dtype=x.dtype)
        size, stride, padding = how
        H, W = x.shape[1:]
        t = cuda.threadIdx.x
        high, wide = (DOWN - 1) * stride + size, (ACROSS - 1) * stride + size
        pixels, combined = room[: high * wide], room[high * wide :]
        tiles = (out.shape[2] + ACROSS - 1) // ACROSS
        i, q = divmod(cuda.blockIdx.x, tiles)
        n, p = divmod(i, (out.shape[1] + DOWN - 1) // DOWN)
        p, q = p * DOWN, q * ACROSS
        top, side = p * stride - padding, q * stride - padding
        row, column = divmod(t, ACROSS)
        for r in range(row, high, DOWN):
            for c in range(column, wide, ACROSS):
                h, w = top + r, side + c
                pixels[r * wide + c] = x[n, h, w] if 0 <= h < H and 0 <= w < W else nothing
        cuda.syncthreads()
        for r in range(row, high, DOWN):
            total = nothing
            for s in range(size):
                total = combine(total, pixels[r * wide + column * stride + s])
            combined[r * ACROSS + column] = total
        cuda.syncthreads()
        if p + row < out.shape[1] and q + column < out.shape[2]:
            total = nothing
            for r in range(size):
                total = combine(total, combined[(row * stride + r) * ACROSS + column])
            out[n, p + row, q + column] = total * scale

    run.__name__ = name
    signature = "(float32[:, :, ::1], UniTuple(int64, 3), float32, float32, float32[:, :, ::1])"
    return kernel(signature, tuned=True, expects=("LDS", "STS"))(run)


_max_direct, _max_tiles = _direct("_max_direct", _larger), _tiles("_max_tiles", _larger)
_sum_direct, _sum_tiles = _direct("_sum_direct", _sum), _tiles("_sum_tiles", _sum)


def _planes(array):
    B, C, H, W = array.shape
    return array.reshape(B * C, H, W)


def _each(direct, x, how, nothing, scale, out) -> None:
    if out.size:
        number = x.dtype.type
        threads = blocks(out.size, THREADS), THREADS
        launch(direct, *threads, _planes(x), how, number(nothing), number(scale), _planes(out))


def _in_tiles(tiles, direct, x, how, nothing, scale, out) -> None:
    size, stride, _ = how
    high, wide = (DOWN - 1) * stride + size, (ACROSS - 1) * stride + size
    room = high * (wide + ACROSS) * x.dtype.itemsize
    if not out.size or size <= stride or room > current_device().shared:
        _each(direct, x, how, nothing, scale, out)
        return
    number, (B, C, P, Q) = x.dtype.type, out.shape
    grid = B * C * blocks(P, DOWN) * blocks(Q, ACROSS)
    fill = number(nothing), number(scale)
    launch(tiles, grid, DOWN * ACROSS, _planes(x), how, *fill, _planes(out), shared=room)


@boundary(OPS["max_pool2d"])
def max_pool2d_direct(x, *, kernel_size=2, stride=2, padding=0, out=None):
    """:func:`max_pool2d` with one thread for each result.

    Neighbouring threads read pixels that are ``stride`` apart. Where windows overlap, a pixel is read by each of them,
    up to k² times; the level-1 cache serves most of that, an instruction for each does not go away.
    """
    _each(_max_direct, x, (kernel_size, stride, padding), -math.inf, 1, out)


@boundary(OPS["max_pool2d"])
def max_pool2d(x, *, kernel_size=2, stride=2, padding=0, out=None):
    """The largest pixel under each place of a square window: Zhou and Chellappa, "Computation of optical flow using a
    neural network", ICNN 1988.

    A block has 8 x 32 places. Their pixels come from global memory once, side by side; in shared memory the largest of
    each k neighbours of a row are found, and then the largest of k of those below each other: about 2k steps for a
    place where there were k². Windows that do not overlap leave nothing to share, and those too large for shared memory
    no room; they are left to :func:`max_pool2d_direct`. A maximum is exact.

    Args:
        x: shape (B, C, H, W), float32 or float64; NumPy array, device array, or torch tensor on the GPU.
        kernel_size: the window's height and width, k.
        stride: pixels from one place of the window to the next.
        padding: how far the window may stand out on each side, half of it at most; what is there does not count.
        out: shape (B, C, P, Q), filled and returned where given; it must not share memory with x.

    Returns:
        Shape (B, C, P, Q) with P = (H + 2·padding − kernel_size) // stride + 1, and Q likewise, of the dtype and kind
        of x. A window with a nan gives nan.

    Raises:
        RuntimeError: there is no GPU, and the simulator is off.
        TypeError: an argument is no array, or of another kind or dtype; an option is no int.
        ValueError: the window does not fit, an option is out of range, a tensor is not on the GPU, or ``out`` cannot
            be written without harm.
    """
    _in_tiles(_max_tiles, _max_direct, x, (kernel_size, stride, padding), -math.inf, 1, out)


@boundary(OPS["avg_pool2d"])
def avg_pool2d_direct(x, *, kernel_size=2, stride=2, padding=0, out=None):
    """:func:`avg_pool2d` with one thread for each result, as :func:`max_pool2d_direct`."""
    _each(_sum_direct, x, (kernel_size, stride, padding), 0, 1 / kernel_size**2, out)


@boundary(OPS["avg_pool2d"])
def avg_pool2d(x, *, kernel_size=2, stride=2, padding=0, out=None):
    """The mean of the pixels under each place of a square window, the padding counted as zeros: LeCun et al.,
    "Gradient-based learning applied to document recognition", Proc. IEEE 86(11), 1998, section II.B.

    The steps are those of :func:`max_pool2d`, with sums; they add up k columns and then k rows, so the error is at most
    (2k + 1) · 2⁻²⁴ · Σ|x| / k² in float32, or (k² + 1) · 2⁻²⁴ · Σ|x| / k² for windows left to
    :func:`avg_pool2d_direct`.

    Args:
        x: shape (B, C, H, W), float32 or float64; NumPy array, device array, or torch tensor on the GPU.
        kernel_size: the window's height and width, k.
        stride: pixels from one place of the window to the next.
        padding: rows and columns of zeros on each side, k/2 at most; they count, so the divisor is k² everywhere.
        out: shape (B, C, P, Q), filled and returned where given; it must not share memory with x.

    Returns:
        Shape (B, C, P, Q) with P = (H + 2·padding − k) // stride + 1, and Q likewise, of the dtype and kind of x.

    Raises:
        RuntimeError: there is no GPU, and the simulator is off.
        TypeError: an argument is no array, or of another kind or dtype; an option is no int.
        ValueError: the window does not fit, an option is out of range, a tensor is not on the GPU, or ``out`` cannot
            be written without harm.
    """
    how = kernel_size, stride, padding
    _in_tiles(_sum_tiles, _sum_direct, x, how, 0, 1 / kernel_size**2, out)
