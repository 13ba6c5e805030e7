"""How many numbers fall into each bin: counts in global memory, in shared memory, and several for each bin there.

Threads that raise the same count at the same time must take turns: an atomic addition. In global memory they meet in
the level-2 cache, all threads of the GPU; in shared memory only those of their block do.
"""

import math

from numba import cuda, int32, int64

from coursekit.kernels.cuda.arrays import boundary
from coursekit.kernels.cuda.device import blocks, current_device, enough_blocks, launch
from coursekit.kernels.cuda.kernel import kernel, threads
from coursekit.kernels.cuda.vectors import load4
from coursekit.kernels.cuda.warps import WARP
from coursekit.kernels.ops import OPS
from coursekit.kernels.ops.codebook import scale_of

THREADS = threads(256)


@kernel("(int64[::1],)")
def _clear_all(counts):
    for i in range(cuda.grid(1), counts.size, cuda.gridsize(1)):
        counts[i] = 0


def _clear(counts) -> None:
    launch(_clear_all, enough_blocks(counts.size, THREADS, 1), THREADS, counts)


@cuda.jit(device=True)
def _bin(x, start, scale, high, last):
    """The bin of a number, or -1: the difference and the product are rounded one by one, in its own dtype."""
    return int64(min((x - start) * scale, last)) if start <= x <= high else -1


@kernel("(float32[::1], float32, float32, float32, float32, int64[::1])")
def _textbook(x, start, scale, high, last, counts):
    i = cuda.grid(1)
    if i < x.size:
        place = _bin(x[i], start, scale, high, last)
        if place >= 0:
            cuda.atomic.add(counts, place, 1)


def _numbers(x, bins, low, high):
    """What the kernels have to know of the range, in x's dtype."""
    number = x.dtype.type
    return *scale_of(x.dtype, bins, low, high), number(high), number(bins - 1)


@boundary(OPS["histogram"])
def histogram_textbook(x, *, bins=256, low=0.0, high=1.0, out=None):
    """:func:`histogram` with a thread for each number, and counts in global memory.

    Each number is an atomic addition of eight bytes there. Where many fall into one bin, all of them wait in one line.
    """
    _clear(out)
    size = math.prod(x.shape)
    if size:
        numbers = _numbers(x, bins, low, high)
        launch(_textbook, blocks(size, THREADS), THREADS, x.reshape(size), *numbers, out)


@kernel("(float32[::1], float32, float32, float32, float32, int64[::1])", expects=("ATOMS",))
def _shared(x, start, scale, high, last, counts):
    mine = cuda.shared.array(0, dtype=int32)
    t, bins = cuda.threadIdx.x, counts.size
    for i in range(t, bins, THREADS):
        mine[i] = 0
    cuda.syncthreads()
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        place = _bin(x[i], start, scale, high, last)
        if place >= 0:
            cuda.atomic.add(mine, place, 1)
    cuda.syncthreads()
    for i in range(t, bins, THREADS):
        if mine[i]:
            cuda.atomic.add(counts, i, int64(mine[i]))


def _room(copies, bins):
    return 4 * copies * bins


@boundary(OPS["histogram"])
def histogram_shared(x, *, bins=256, low=0.0, high=1.0, out=None):
    """:func:`histogram` with counts of each block's own in shared memory, added to those of all at its end.

    No more blocks than fit the GPU a few times over go through all numbers, so that global memory sees an addition for
    each bin and block in place of one for each number. More bins than shared memory holds are left to
    :func:`histogram_textbook`.
    """
    _clear(out)
    size = math.prod(x.shape)
    if size:
        flat, numbers = x.reshape(size), _numbers(x, bins, low, high)
        if _room(1, bins) <= current_device().shared:
            launch(_shared, enough_blocks(size, THREADS), THREADS, flat, *numbers, out, shared=_room(1, bins))
        else:
            launch(_textbook, blocks(size, THREADS), THREADS, flat, *numbers, out)


@kernel(
    "(float32[::1], float32, float32, float32, float32, int64, int64[::1])",
    tuned=True,
    expects=("LDG.E.128", "ATOMS"),
)
def _private(x, start, scale, high, last, copies, counts):
    mine = cuda.shared.array(0, dtype=int32)
    t, bins = cuda.threadIdx.x, counts.size
    for i in range(t, copies * bins, THREADS):
        mine[i] = 0
    cuda.syncthreads()
    own = t // WARP % copies * bins
    whole = x.size // 4 * 4
    for i in range(4 * cuda.grid(1), whole, 4 * cuda.gridsize(1)):
        for v in load4(x, i):
            place = _bin(v, start, scale, high, last)
            if place >= 0:
                cuda.atomic.add(mine, own + place, 1)
    if whole + cuda.grid(1) < x.size:
        place = _bin(x[whole + cuda.grid(1)], start, scale, high, last)
        if place >= 0:
            cuda.atomic.add(mine, own + place, 1)
    cuda.syncthreads()
    for i in range(t, bins, THREADS):
        total = int64(0)
        for c in range(copies):
            total += mine[c * bins + i]
        if total:
            cuda.atomic.add(counts, i, total)


@boundary(OPS["histogram"])
def histogram(x, *, bins=256, low=0.0, high=1.0, out=None):
    """How many numbers fall into each of ``bins`` equal parts of the range from ``low`` to ``high``.

    As :func:`histogram_shared`, with counts of each warp's own as long as they take a quarter of shared memory at most:
    the privatisation of Gómez-Luna et al., "An optimized approach to histogram computation on GPU", Machine Vision and
    Applications 24(5), 2013. So only threads of one warp wait for each other. Four numbers are read at a time, in 128
    bits. float64 is left to :func:`histogram_shared`, and more bins than shared memory holds to
    :func:`histogram_textbook`. The result is exact: a number's bin is ⌊(x - low) · scale⌋, rounded in the dtype of x
    after each of the two steps, with scale = bins/(high - low).

    Args:
        x: any shape, float32 or float64; NumPy array, device array, or torch tensor on the GPU.
        bins: how many, 1 to 65536.
        low, high: the range; ``high`` itself belongs to the last bin.
        out: shape (bins,), int64, filled and returned where given; it must not share memory with x.

    Returns:
        Shape (bins,), int64, of the kind of x. What lies outside, and nan, is counted nowhere.

    Raises:
        RuntimeError: there is no GPU, and the simulator is off.
        TypeError: an argument is no array, or of another kind or dtype; an option is no number.
        ValueError: ``bins`` is out of range, ``low`` not below ``high`` or either not finite, a tensor is not on the
            GPU, or ``out`` cannot be written without harm.
    """
    _clear(out)
    size, room = math.prod(x.shape), current_device().shared
    if not size:
        return
    flat, numbers = x.reshape(size), _numbers(x, bins, low, high)
    if _room(1, bins) > room:
        launch(_textbook, blocks(size, THREADS), THREADS, flat, *numbers, out)
    elif x.dtype != "float32":
        launch(_shared, enough_blocks(size, THREADS), THREADS, flat, *numbers, out, shared=_room(1, bins))
    else:
        copies = max(1, min(THREADS // WARP, room // 4 // _room(1, bins)))
        grid, shared = enough_blocks(size, 4 * THREADS), _room(copies, bins)
        launch(_private, grid, THREADS, flat, *numbers, copies, out, shared=shared)
