"""Products of int8 in int32: number by number, four by four in one instruction, and on tensor cores.

An int8 takes a quarter of a float32's memory, so each transaction brings four times as many. All sums are exact modulo
2³², in any order: the versions agree to the last bit.
"""

from numba import cuda, int32, uint32

from coursekit.kernels.cuda.arrays import boundary
from coursekit.kernels.cuda.device import blocks, launch
from coursekit.kernels.cuda.kernel import kernel
from coursekit.kernels.cuda.tensor_cores import multiply_bytes
from coursekit.kernels.cuda.vectors import add_fours, load4, store4
from coursekit.kernels.cuda.word_tiles import LARGE, SMALL, launch_word_tiles, word_tiles, words
from coursekit.kernels.ops import OPS
from coursekit.kernels.ops.integer import FOUR
from coursekit.kernels.ops.linear import PANEL

TILE = 16


def _grid(out):
    """Blocks of TILE x TILE threads over ``out``; x runs along its rows."""
    M, N = out.shape
    return (blocks(N, TILE), blocks(M, TILE)), (TILE, TILE)


@kernel("(int8[:, ::1], int8[:, ::1], int32[:, ::1])")
def _textbook(a, b, out):
    n, m = cuda.grid(2)
    if m < out.shape[0] and n < out.shape[1]:
        total = int32(0)
        for k in range(a.shape[1]):
            total += int32(a[m, k]) * int32(b[k, n])
        out[m, n] = total


@boundary(OPS["int8_matmul"])
def int8_matmul_textbook(a, b, *, out=None):
    """:func:`int8_matmul` with one thread for each element of the result: 2·M·N·K reads of a byte."""
    if out.size:
        launch(_textbook, *_grid(out), a, b, out)


@cuda.jit(device=True)
def _byte(a, m, k):
    """A number's eight bits, or zero beyond the edges."""
    return uint32(a[m, k]) & uint32(0xFF) if m < a.shape[0] and k < a.shape[1] else uint32(0)


@cuda.jit(device=True)
def _word(w, x, y, z):
    """Four bytes side by side, the first one lowest."""
    return w | x << uint32(8) | y << uint32(16) | z << uint32(24)


@kernel("(int8[:, ::1], int8[:, ::1], int32[:, ::1])", expects=("IDP.4A.S8.S8",))
def _fours(a, b, out):
    """Tiles of TILE x TILE words, each four neighbours along k."""
    tile_a = cuda.shared.array((TILE, TILE), dtype=uint32)
    tile_b = cuda.shared.array((TILE, TILE), dtype=uint32)
    n, m = cuda.grid(2)
    x, y = cuda.threadIdx.x, cuda.threadIdx.y
    total = int32(0)
    for k in range(0, a.shape[1], 4 * TILE):
        i, j = k + 4 * x, k + 4 * y
        tile_a[y, x] = _word(_byte(a, m, i), _byte(a, m, i + 1), _byte(a, m, i + 2), _byte(a, m, i + 3))
        tile_b[y, x] = _word(_byte(b, j, n), _byte(b, j + 1, n), _byte(b, j + 2, n), _byte(b, j + 3, n))
        cuda.syncthreads()
        for i in range(TILE):
            total = add_fours(tile_a[y, i], tile_b[i, x], total)
        cuda.syncthreads()
    if m < out.shape[0] and n < out.shape[1]:
        out[m, n] = total


def _multiply_fours(a, b, out):
    if out.size:
        launch(_fours, *_grid(out), a, b, out)


@boundary(OPS["int8_matmul"])
def int8_matmul_fours(a, b, *, out=None):
    """:func:`int8_matmul` with tiles in shared memory, and four products added by one instruction, dp4a.

    A word in shared memory holds four neighbours along k, those of b being brought together as they are stored there.
    So each number is read from global memory once for 16 uses, and a word of shared memory serves four multiply-adds:
    one FLOP for each byte, four times as many as float32 has there. PTX ISA, "dp4a".
    """
    _multiply_fours(a, b, out)


@cuda.jit(device=True)
def _fetch_right(b, k, n, depth, N, numbers, at):
    """Four columns of four rows, by a load for each row; a word holds four neighbours of a row."""
    w = x = y = z = uint32(0)
    if k < depth:
        i, step = k * N + (n >> 2), N >> 2
        w, x, y, z = b[i], b[i + step], b[i + 2 * step], b[i + 3 * step]
    numbers[at], numbers[at + 1], numbers[at + 2], numbers[at + 3] = w, x, y, z


@cuda.jit(device=True)
def _column(w, x, y, z, shift):
    """One byte of each of four rows, as a word."""
    low = uint32(0xFF)
    return _word((w >> shift) & low, (x >> shift) & low, (y >> shift) & low, (z >> shift) & low)


@cuda.jit(device=True)
def _keep_right(numbers, at, tile, to):
    """The same four columns, a word of each: four neighbours along k."""
    w, x, y, z = numbers[at], numbers[at + 1], numbers[at + 2], numbers[at + 3]
    first, second = _column(w, x, y, z, uint32(0)), _column(w, x, y, z, uint32(8))
    third, fourth = _column(w, x, y, z, uint32(16)), _column(w, x, y, z, uint32(24))
    store4(tile, to, first, second, third, fourth)


def tiles(name, tile, fetch_right, keep_right):
    """A kernel for tiles of this size."""
    return word_tiles(name, tile, multiply_bytes, int32, 4, fetch_right, keep_right, ("IMMA.16832.S8.S8",))


KERNELS = tuple(tiles("bytes", tile, _fetch_right, _keep_right) for tile in (LARGE, SMALL))


@boundary(OPS["int8_matmul"])
def int8_matmul(a, b, *, out=None):
    """The matrix product of int8 in int32.

    On tensor cores, one instruction of a warp does 16 x 8 x 32 = 4096 multiply-adds, for which 32 threads would need 32
    of :func:`int8_matmul_fours`' each. The tiles are those of :func:`coursekit.kernels.cuda.half_matmul`, and as many
    bytes deep: 128 x 128 elements for a block, in slices of 64 along k, 43 FLOPs for each byte of shared memory. Four
    rows of b are woven into one of words. PTX ISA, "Warp level matrix multiply-accumulate instructions".
    Rows of a whose length is no multiple of 16, and of b whose length is none of four, are left to
    :func:`int8_matmul_fours`.

    Args:
        a: shape (M, K), int8; NumPy array, device array, or torch tensor on the GPU.
        b: shape (K, N), int8, of the same kind.
        out: shape (M, N), int32, filled and returned where given; it must not share memory with a or b.

    Returns:
        Shape (M, N), int32, of the inputs' kind; modulo 2³², which K > 131071 may need.

    Raises:
        RuntimeError: there is no GPU, and the simulator is off.
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, a tensor is not on the GPU, or ``out`` cannot be written without harm.
    """
    K, N = b.shape
    if K % 16 or N % 4 or not K * out.size:
        _multiply_fours(a, b, out)
    else:
        launch_word_tiles(KERNELS, words(a), words(b), K // 4, N, out)


@kernel("(int8[:, ::1], int8[:, :, :, ::1], int32[:, ::1])")
def _packed_textbook(a, panels, out):
    n, m = cuda.grid(2)
    if m < out.shape[0] and n < out.shape[1]:
        total = int32(0)
        for k in range(a.shape[1]):
            total += int32(a[m, k]) * int32(panels[n // PANEL, k // FOUR, n % PANEL, k % FOUR])
        out[m, n] = total


def _multiply_packed(a, panels, out):
    if out.size:
        launch(_packed_textbook, *_grid(out), a, panels, out)


@boundary(OPS["int8_matmul_packed"])
def int8_matmul_packed_textbook(a, panels, *, columns=0, out=None):
    """:func:`int8_matmul_packed` with one thread for each element of the result."""
    _multiply_packed(a, panels, out)


@cuda.jit(device=True)
def _fetch_panel(panels, k, n, depth, N, numbers, at):
    """The words of four columns, which lie side by side in a panel of 16, by one load."""
    w = x = y = z = uint32(0)
    if k < depth:
        w, x, y, z = load4(panels, ((n >> 4) * depth + k) * PANEL + (n & 15))
    numbers[at], numbers[at + 1], numbers[at + 2], numbers[at + 3] = w, x, y, z


@cuda.jit(device=True)
def _keep_panel(numbers, at, tile, to):
    store4(tile, to, numbers[at], numbers[at + 1], numbers[at + 2], numbers[at + 3])


PACKED_KERNELS = tuple(tiles("panels", tile, _fetch_panel, _keep_panel) for tile in (LARGE, SMALL))


@boundary(OPS["int8_matmul_packed"])
def int8_matmul_packed(a, panels, *, columns=0, out=None):
    """The matrix product of int8 in int32, the second factor being packed by ``pack_int8``.

    As :func:`int8_matmul`, but the panels hold words of four neighbours along k already: they come by loads of 128
    bits, a quarter as many, and there is nothing to weave. Rows of a whose length is no multiple of 16, and columns
    that are no multiple of four, are left to :func:`int8_matmul_packed_textbook`.

    Args:
        a: shape (M, K), int8; NumPy array, device array, or torch tensor on the GPU.
        panels: shape (⌈N/16⌉, ⌈K/4⌉, 16, 4), int8, of the same kind.
        columns: N, the columns of the matrix that was packed.
        out: shape (M, N), int32, filled and returned where given; it must not share memory with the others.

    Returns:
        Shape (M, N), int32, of the inputs' kind; modulo 2³², which K > 131071 may need.

    Raises:
        RuntimeError: there is no GPU, and the simulator is off.
        TypeError: an argument is no array, or of another kind or dtype; ``columns`` is no int.
        ValueError: shapes do not fit, ``columns`` is below 0, a tensor is not on the GPU, or ``out`` cannot be written
            without harm.
    """
    K = a.shape[1]
    if K % 16 or columns % 4 or not K * out.size:
        _multiply_packed(a, panels, out)
    else:
        launch_word_tiles(PACKED_KERNELS, words(a), words(panels), K // 4, columns, out)
