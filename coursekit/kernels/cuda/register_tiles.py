"""Products of float32 matrices with 8 x 8 results in the registers of each thread.

A block computes a tile of the result. A slice of eight k of both matrices waits in shared memory while the next is on
its way from global memory to registers: the two halves of shared memory change places, with one barrier for each slice.
For each k a thread reads 16 numbers of shared memory, by four loads, for 64 multiply-adds.
"""

from numba import cuda, float32, uint32

from coursekit.kernels.cuda.device import blocks
from coursekit.kernels.cuda.kernel import SIMULATED
from coursekit.kernels.cuda.vectors import load4, store4

SIDE = 8
"""A thread computes SIDE x SIDE elements, as four squares of 4 x 4, which lie half a tile apart."""
RESULTS = SIDE * SIDE
SLICE = 8
"""How deep along k the tiles in shared memory are."""
APART = 4
"""Numbers between the rows of a turned tile, so that the 32 numbers that a warp stores fall into 32 banks."""
SIZES = 16, 128
"""Tiles for the simulator, where each thread is one of Python's, and for GPUs."""
BLOCK = SIZES[0] if SIMULATED else SIZES[1]
WIDE = ("LDG.E.128", "LDS.128", "STS.128", "STG.E.128", "FFMA")
"""What a kernel made of these tiles has in its machine code."""


def grid(M: int, N: int, many: int = 1) -> tuple[tuple[int, int, int], int]:
    """Blocks for so many results of M x N elements, and threads."""
    return (blocks(N, BLOCK), blocks(M, BLOCK), many), (BLOCK // SIDE) ** 2


@cuda.jit(device=True)
def _put(numbers, i, w, x, y, z):
    numbers[i], numbers[i + 1], numbers[i + 2], numbers[i + 3] = w, x, y, z


@cuda.jit(device=True)
def _four(numbers, i):
    return numbers[i], numbers[i + 1], numbers[i + 2], numbers[i + 3]


def rows_turned(tile: int):
    """How a slice of a matrix comes to shared memory whose rows run along k: turned, so that columns come by fours."""
    threads, stride = (tile // SIDE) ** 2, tile + APART
    quads = tile * SLICE // 4 // threads

    @cuda.jit(device=True)
    def fetch(t, source, first, k, many, K, numbers):
        """From global memory to registers, and zeros from beyond the edges."""
        for i in range(quads):
            q = t + i * threads
            row, column = first + q // (SLICE // 4), k + q % (SLICE // 4) * 4
            w = x = y = z = float32(0)
            if row < many and column < K:
                w, x, y, z = load4(source, row * K + column)
            _put(numbers, 4 * i, w, x, y, z)

    @cuda.jit(device=True)
    def keep(t, numbers, target, start):
        """From registers to shared memory."""
        for i in range(quads):
            q = t + i * threads
            to = start + q % (SLICE // 4) * 4 * stride + q // (SLICE // 4)
            for j in range(4):
                target[to + j * stride] = numbers[4 * i + j]

    return fetch, keep, stride


def rows_as_they_are(tile: int):
    """The same for a matrix whose columns run along k: its rows are what is wanted."""
    threads = (tile // SIDE) ** 2
    quads = tile * SLICE // 4 // threads

    @cuda.jit(device=True)
    def fetch(t, source, first, k, many, K, numbers):
        """From global memory to registers, and zeros from beyond the edges."""
        for i in range(quads):
            q = t + i * threads
            row, column = k + q // (tile // 4), first + q % (tile // 4) * 4
            w = x = y = z = float32(0)
            if row < K and column < many:
                w, x, y, z = load4(source, row * many + column)
            _put(numbers, 4 * i, w, x, y, z)

    @cuda.jit(device=True)
    def keep(t, numbers, target, start):
        """From registers to shared memory."""
        for i in range(quads):
            w, x, y, z = _four(numbers, 4 * i)
            store4(target, start + 4 * (t + i * threads), w, x, y, z)

    return fetch, keep, tile


def product_of(tile: int, right):
    """A device function ``product(a, b, M, N, K, sums)`` on flat arrays, whose rows are multiples of four long.

    ``sums`` are 64 numbers of the thread. They and other local arrays become registers because each index is a constant
    once the loops are unrolled: a single one that is not, or a tuple's, would move the whole array to memory.

    Args:
        tile: how many rows and columns a block computes.
        right: ``rows_as_they_are`` for b of shape (K, N), ``rows_turned`` for (N, K).
    """
    across = tile // SIDE
    fetched = tile * SLICE // across // across
    fetch_a, keep_a, stride_a = rows_turned(tile)
    fetch_b, keep_b, stride_b = right(tile)
    size_a, size_b = SLICE * stride_a, SLICE * stride_b
    both_a, both_b = 2 * size_a, 2 * size_b

    @cuda.jit(device=True)
    def add_products(tile_a, tile_b, y, x, sums):
        """For each k of a slice the outer product of eight numbers and eight."""
        left = cuda.local.array(SIDE, dtype=float32)
        right = cuda.local.array(SIDE, dtype=float32)
        for k in range(SLICE):
            row, column = y + k * stride_a, x + k * stride_b
            left[0], left[1], left[2], left[3] = load4(tile_a, row)
            left[4], left[5], left[6], left[7] = load4(tile_a, row + tile // 2)
            right[0], right[1], right[2], right[3] = load4(tile_b, column)
            right[4], right[5], right[6], right[7] = load4(tile_b, column + tile // 2)
            for i in range(SIDE):
                for j in range(SIDE):
                    sums[SIDE * i + j] += left[i] * right[j]

    @cuda.jit(device=True)
    def product(a, b, M, N, K, sums):
        tile_a = cuda.shared.array(both_a, dtype=float32)
        tile_b = cuda.shared.array(both_b, dtype=float32)
        four_a = cuda.local.array(fetched, dtype=float32)
        four_b = cuda.local.array(fetched, dtype=float32)
        m, n = tile * cuda.blockIdx.y, tile * cuda.blockIdx.x
        t = uint32(cuda.threadIdx.x)  # never negative: // and % need no care of signs
        y, x = t // across, t % across
        for i in range(RESULTS):
            sums[i] = float32(0)
        fetch_a(t, a, m, 0, M, K, four_a)
        fetch_b(t, b, n, 0, N, K, four_b)
        keep_a(t, four_a, tile_a, 0)
        keep_b(t, four_b, tile_b, 0)
        cuda.syncthreads()
        half = 0
        for k in range(SLICE, K + SLICE, SLICE):
            fetch_a(t, a, m, k, M, K, four_a)
            fetch_b(t, b, n, k, N, K, four_b)
            add_products(tile_a, tile_b, half * size_a + 4 * y, half * size_b + 4 * x, sums)
            half = 1 - half
            keep_a(t, four_a, tile_a, half * size_a)
            keep_b(t, four_b, tile_b, half * size_b)
            cuda.syncthreads()

    return product


def store_of(tile: int):
    """A device function ``store(sums, M, N, out)``, which writes what ``product`` made."""
    across = tile // SIDE

    @cuda.jit(device=True)
    def store(sums, M, N, out):
        t = uint32(cuda.threadIdx.x)
        y, x = t // across, t % across
        for i in range(SIDE):
            row = tile * cuda.blockIdx.y + i // 4 * (tile // 2) + 4 * y + i % 4
            for j in range(0, SIDE, 4):
                column = tile * cuda.blockIdx.x + j * tile // SIDE + 4 * x
                if row < M and column < N:
                    a, b, c, d = _four(sums, SIDE * i + j)
                    store4(out, row * N + column, a, b, c, d)

    return store
