"""Matrix product: one thread for each element, tiles in shared memory, and tiles in registers.

All three make 2·M·N·K FLOPs. They differ in how often a number is read, and from where: from global memory once for
each product, once for 16, once for 128; and from shared memory once for each product, or once for eight.
"""

from numba import cuda, float32, uint32

from coursekit.kernels.cuda.arrays import boundary
from coursekit.kernels.cuda.device import blocks, launch
from coursekit.kernels.cuda.kernel import SIMULATED, kernel
from coursekit.kernels.cuda.vectors import aligned, load4, store4
from coursekit.kernels.ops import OPS

TILE = 16


def _grid(out):
    """Blocks of TILE x TILE threads over ``out``; x runs along its rows."""
    M, N = out.shape
    return (blocks(N, TILE), blocks(M, TILE)), (TILE, TILE)


@kernel("(float32[:, ::1], float32[:, ::1], float32[:, ::1])")
def _textbook(a, b, out):
    n, m = cuda.grid(2)
    if m < out.shape[0] and n < out.shape[1]:
        total = a.dtype.type(0)
        for k in range(a.shape[1]):
            total += a[m, k] * b[k, n]
        out[m, n] = total


@boundary(OPS["matmul"])
def matmul_textbook(a, b, *, out=None):
    """:func:`matmul` with one thread for each element of the result.

    Each thread reads a whole row of a and column of b from global memory: 2·M·N·K reads for
    (M + N)·K different numbers. Neighbouring threads read neighbouring elements of b, in one transaction.
    """
    if out.size:
        launch(_textbook, *_grid(out), a, b, out)


@kernel("(float32[:, ::1], float32[:, ::1], float32[:, ::1])")
def _tiled(a, b, out):
    tile_a = cuda.shared.array((TILE, TILE), dtype=a.dtype)
    tile_b = cuda.shared.array((TILE, TILE), dtype=b.dtype)
    n, m = cuda.grid(2)
    x, y = cuda.threadIdx.x, cuda.threadIdx.y
    M, N = out.shape
    K = a.shape[1]
    zero = a.dtype.type(0)
    total = zero
    for k in range(0, K, TILE):
        tile_a[y, x] = a[m, k + x] if m < M and k + x < K else zero
        tile_b[y, x] = b[k + y, n] if k + y < K and n < N else zero
        cuda.syncthreads()
        for i in range(TILE):
            total += tile_a[y, i] * tile_b[i, x]
        cuda.syncthreads()
    if m < M and n < N:
        out[m, n] = total


def multiply_tiled(a, b, out) -> None:
    """out = a · b for device arrays of any size and floating type."""
    if out.size:
        launch(_tiled, *_grid(out), a, b, out)


@boundary(OPS["matmul"])
def matmul_tiled(a, b, *, out=None):
    """:func:`matmul` with tiles of 16 x 16 numbers in shared memory.

    The threads of a block load a tile of a and one of b together, and each number loaded is used 16 times: a sixteenth
    of the textbook version's reads of global memory. Each multiply-add still reads two numbers from shared memory:
    2 FLOPs for 8 bytes, a quarter of a FLOP for each byte. CUDA C++ Programming Guide, "Shared Memory".
    """
    multiply_tiled(a, b, out)


SIDE = 8
"""A thread computes SIDE x SIDE elements, as four squares of 4 x 4, which lie half a tile apart."""
SLICE = 8
"""How deep along k the tiles in shared memory are."""
APART = 4
"""Numbers between the rows of the turned tile of a, so that the 32 numbers that a warp stores fall into 32 banks."""


def register_tiles(tile: int):
    """A kernel ``(a, b, K, N, out)`` on flat float32 arrays, K and N multiples of four; blocks of ``tile`` x ``tile``.

    The simulator takes small tiles, where each thread is one of Python's; otherwise it runs the same code. The local
    arrays become registers because each of their indices is a constant once the loops are unrolled: a single one that
    is not, or a tuple's, would move the whole array to memory.
    """
    across = tile // SIDE
    threads = across * across
    quads = tile * SLICE // 4 // threads  # loads of four numbers for each thread, of a and of b
    stride = tile + APART
    size_a, size_b = SLICE * stride, SLICE * tile
    both_a, both_b, fetched, results = 2 * size_a, 2 * size_b, 4 * quads, SIDE * SIDE

    @cuda.jit(device=True)
    def fetch(t, a, b, m, n, k, M, N, K, four_a, four_b):
        """From global memory to registers, and zeros from beyond the edges."""
        for i in range(quads):
            q = t + i * threads
            row, column = m + q // (SLICE // 4), k + q % (SLICE // 4) * 4
            w = x = y = z = float32(0)
            if row < M and column < K:
                w, x, y, z = load4(a, row * K + column)
            four_a[4 * i], four_a[4 * i + 1], four_a[4 * i + 2], four_a[4 * i + 3] = w, x, y, z
            row, column = k + q // (tile // 4), n + q % (tile // 4) * 4
            w = x = y = z = float32(0)
            if row < K and column < N:
                w, x, y, z = load4(b, row * N + column)
            four_b[4 * i], four_b[4 * i + 1], four_b[4 * i + 2], four_b[4 * i + 3] = w, x, y, z

    @cuda.jit(device=True)
    def keep(t, four_a, four_b, tile_a, tile_b, half):
        """From registers to one half of shared memory; a is turned, so that its columns can be read by fours."""
        for i in range(quads):
            q = t + i * threads
            to = half * size_a + q % (SLICE // 4) * 4 * stride + q // (SLICE // 4)
            for j in range(4):
                tile_a[to + j * stride] = four_a[4 * i + j]
            store4(tile_b, half * size_b + 4 * q, *four(four_b, 4 * i))

    @cuda.jit(device=True)
    def four(numbers, i):
        return numbers[i], numbers[i + 1], numbers[i + 2], numbers[i + 3]

    @cuda.jit(device=True)
    def add_products(tile_a, tile_b, half, x, y, left, right, sums):
        """For each k of the slice 16 numbers from shared memory, by four loads, and 64 multiply-adds."""
        for k in range(SLICE):
            row, column = half * size_a + k * stride + 4 * y, half * size_b + k * tile + 4 * x
            left[0], left[1], left[2], left[3] = load4(tile_a, row)
            left[4], left[5], left[6], left[7] = load4(tile_a, row + tile // 2)
            right[0], right[1], right[2], right[3] = load4(tile_b, column)
            right[4], right[5], right[6], right[7] = load4(tile_b, column + tile // 2)
            for i in range(SIDE):
                for j in range(SIDE):
                    sums[SIDE * i + j] += left[i] * right[j]

    def registers(a, b, K, N, out):
        tile_a = cuda.shared.array(both_a, dtype=float32)
        tile_b = cuda.shared.array(both_b, dtype=float32)
        sums = cuda.local.array(results, dtype=float32)
        left = cuda.local.array(SIDE, dtype=float32)
        right = cuda.local.array(SIDE, dtype=float32)
        four_a = cuda.local.array(fetched, dtype=float32)
        four_b = cuda.local.array(fetched, dtype=float32)
        M = out.size // N
        m, n = tile * cuda.blockIdx.y, tile * cuda.blockIdx.x
        t = uint32(cuda.threadIdx.x)  # never negative: // and % need no care of signs
        y, x = t // across, t % across
        for i in range(results):
            sums[i] = float32(0)
        fetch(t, a, b, m, n, 0, M, N, K, four_a, four_b)
        keep(t, four_a, four_b, tile_a, tile_b, 0)
        cuda.syncthreads()
        half = 0
        for k in range(SLICE, K + SLICE, SLICE):
            fetch(t, a, b, m, n, k, M, N, K, four_a, four_b)
            add_products(tile_a, tile_b, half, x, y, left, right, sums)
            half = 1 - half
            keep(t, four_a, four_b, tile_a, tile_b, half)
            cuda.syncthreads()
        for i in range(SIDE):
            row = m + i // 4 * (tile // 2) + 4 * y + i % 4
            for j in range(0, SIDE, 4):
                column = n + j * tile // SIDE + 4 * x
                if row < M and column < N:
                    store4(out, row * N + column, *four(sums, SIDE * i + j))

    registers.__name__ = f"registers_{tile}"
    expects = ("LDG.E.128", "LDS.128", "STS.128", "STG.E.128", "FFMA")
    signature = "(float32[::1], float32[::1], int64, int64, float32[::1])"
    return kernel(signature, tuned=tile == 128, expects=expects)(registers)


BLOCK = 16 if SIMULATED else 128
_small, _large = register_tiles(16), register_tiles(128)
_registers = _small if SIMULATED else _large


@boundary(OPS["matmul"])
def matmul(a, b, *, out=None):
    """The matrix product of ``a`` and ``b``.

    In float32 a block computes a tile of 128 x 128 elements, and each of its 256 threads 8 x 8 of them in registers. A
    slice of eight k of a and b waits in shared memory while the next is on its way from global memory to registers: the
    two halves of shared memory change places, with one barrier for each slice. Each number read from global memory is
    used 128 times. For each k a thread reads 16 numbers of shared memory for 64 multiply-adds, 2 FLOPs for each byte,
    eight times as many as :func:`matmul_tiled`; the tile of a is turned, so that they come by fours. The method is that
    of NVIDIA, "CUTLASS: Fast Linear Algebra in CUDA C++" (2017).
    float64, and rows whose length is no multiple of four, are left to :func:`matmul_tiled`.

    Args:
        a: shape (M, K), float32 or float64; NumPy array, device array, or torch tensor on the GPU.
        b: shape (K, N), of the same dtype and kind.
        out: shape (M, N), filled and returned where given; it must not share memory with a or b.

    Returns:
        Shape (M, N), of the inputs' dtype and kind.

    Raises:
        RuntimeError: there is no GPU, and the simulator is off.
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, a tensor is not on the GPU, or ``out`` cannot be written without harm.
    """
    (M, K), N = a.shape, b.shape[1]
    if a.dtype != "float32" or K % 4 or N % 4 or not M * K * N or not aligned(a, b, out):
        multiply_tiled(a, b, out)
        return
    grid, threads = (blocks(N, BLOCK), blocks(M, BLOCK)), (BLOCK // SIDE) ** 2
    launch(_registers, grid, threads, a.reshape(M * K), b.reshape(K * N), K, N, out.reshape(M * N))
