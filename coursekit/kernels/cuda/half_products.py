"""Products of numbers of 16 bits, summed in float32, whatever the bits mean: the kernels of float16 and bfloat16.

What differs is how one number is widened to float32, and which instruction multiplies two words of them.
"""

from numba import cuda, float32, uint32

from coursekit.kernels.cuda.device import blocks, launch
from coursekit.kernels.cuda.kernel import kernel
from coursekit.kernels.cuda.vectors import load4, store4
from coursekit.kernels.cuda.word_tiles import launch_word_tiles, word_tiles, words

TILE = 16


def textbook_kernel(name, dtype, widen):
    """A kernel ``(a, b, out)`` with one thread for each element; ``widen`` makes a float32 of a number of ``dtype``."""

    def textbook(a, b, out):
        n, m = cuda.grid(2)
        if m < out.shape[0] and n < out.shape[1]:
            total = float32(0)
            for k in range(a.shape[1]):
                total += widen(a[m, k]) * widen(b[k, n])
            out[m, n] = total

    return _declared(textbook, name, dtype)


def tiled_kernel(name, dtype, widen):
    """As :func:`textbook_kernel`, with tiles in shared memory, where a number is a float32 already."""

    def tiled(a, b, out):
        tile_a = cuda.shared.array((TILE, TILE), dtype=float32)
        tile_b = cuda.shared.array((TILE, TILE), dtype=float32)
        n, m = cuda.grid(2)
        x, y = cuda.threadIdx.x, cuda.threadIdx.y
        M, N = out.shape
        K = a.shape[1]
        total = float32(0)
        for k in range(0, K, TILE):
            tile_a[y, x] = widen(a[m, k + x]) if m < M and k + x < K else float32(0)
            tile_b[y, x] = widen(b[k + y, n]) if k + y < K and n < N else float32(0)
            cuda.syncthreads()
            for i in range(TILE):
                total += tile_a[y, i] * tile_b[i, x]
            cuda.syncthreads()
        if m < M and n < N:
            out[m, n] = total

    return _declared(tiled, name, dtype)


def _declared(function, name, dtype):
    function.__name__ = f"{name}_{function.__name__}"
    return kernel(f"({dtype}[:, ::1], {dtype}[:, ::1], float32[:, ::1])")(function)


def launch_grid(chosen, a, b, out) -> None:
    """Queue one of the kernels above: blocks of TILE x TILE threads over ``out``; x runs along its rows."""
    if out.size:
        M, N = out.shape
        launch(chosen, (blocks(N, TILE), blocks(M, TILE)), (TILE, TILE), a, b, out)


@cuda.jit(device=True)
def _fetch_right(b, k, n, depth, N, numbers, at):
    """Eight columns of two rows, by two loads; a word holds two neighbours of a row."""
    p = q = r = s = w = x = y = z = uint32(0)
    if k < depth:
        p, q, r, s = load4(b, k * N + (n >> 1))
        w, x, y, z = load4(b, k * N + (N + n >> 1))
    numbers[at], numbers[at + 1], numbers[at + 2], numbers[at + 3] = p, q, r, s
    numbers[at + 4], numbers[at + 5], numbers[at + 6], numbers[at + 7] = w, x, y, z


@cuda.jit(device=True)
def _lower(upper, lower):
    """The neighbours along k of an even column."""
    return uint32((upper & uint32(0xFFFF)) | (lower << uint32(16)))


@cuda.jit(device=True)
def _higher(upper, lower):
    """The neighbours along k of an odd column."""
    return uint32((upper >> uint32(16)) | (lower & uint32(0xFFFF0000)))


@cuda.jit(device=True)
def _keep_right(numbers, at, tile, to):
    """The same eight columns, a word of each: two neighbours along k."""
    p, q, w, x = numbers[at], numbers[at + 1], numbers[at + 4], numbers[at + 5]
    store4(tile, to, _lower(p, w), _higher(p, w), _lower(q, x), _higher(q, x))
    r, s, y, z = numbers[at + 2], numbers[at + 3], numbers[at + 6], numbers[at + 7]
    store4(tile, to + 4, _lower(r, y), _higher(r, y), _lower(s, z), _higher(s, z))


def tiles_kernel(name, tile, multiply, instruction):
    """The kernel of :mod:`coursekit.kernels.cuda.word_tiles` for words of two such numbers.

    ``multiply`` is one of those in :mod:`coursekit.kernels.cuda.tensor_cores`, ``instruction`` what it has to become.
    """
    return word_tiles(name, tile, multiply, float32, 8, _fetch_right, _keep_right, (instruction,))


def launch_tiles(pair, tiled, a, b, out) -> None:
    """Queue a pair of tiles' kernels, or ``tiled`` where rows do not start at multiples of 128 bits."""
    K, N = b.shape
    if K % 8 or N % 8 or not K * out.size:
        launch_grid(tiled, a, b, out)
    else:
        launch_word_tiles(pair, words(a), words(b), K // 2, N, out)
