"""Products of float16, summed in float32: one thread for each element, tiles in shared memory, and tensor cores.

A float16 takes half of a float32's memory, so each transaction brings twice as many; the products of two are exact in
float32, and their sums are kept there.
"""

from numba import cuda, float32, uint32

from coursekit.kernels.cuda.arrays import boundary
from coursekit.kernels.cuda.device import blocks, launch
from coursekit.kernels.cuda.kernel import kernel
from coursekit.kernels.cuda.tensor_cores import multiply_halves
from coursekit.kernels.cuda.vectors import load4, store4
from coursekit.kernels.cuda.word_tiles import LARGE, SMALL, launch_word_tiles, word_tiles, words
from coursekit.kernels.ops import OPS

TILE = 16


def _grid(out):
    """Blocks of TILE x TILE threads over ``out``; x runs along its rows."""
    M, N = out.shape
    return (blocks(N, TILE), blocks(M, TILE)), (TILE, TILE)


@kernel("(float16[:, ::1], float16[:, ::1], float32[:, ::1])")
def _textbook(a, b, out):
    n, m = cuda.grid(2)
    if m < out.shape[0] and n < out.shape[1]:
        total = float32(0)
        for k in range(a.shape[1]):
            total += float32(a[m, k]) * float32(b[k, n])
        out[m, n] = total


@boundary(OPS["half_matmul"])
def half_matmul_textbook(a, b, *, out=None):
    """:func:`half_matmul` with one thread for each element of the result: 2·M·N·K reads of two bytes.

    Each number is widened to float32 at each of its uses, by an instruction of its own.
    """
    if out.size:
        launch(_textbook, *_grid(out), a, b, out)


@kernel("(float16[:, ::1], float16[:, ::1], float32[:, ::1])")
def _tiled(a, b, out):
    tile_a = cuda.shared.array((TILE, TILE), dtype=float32)
    tile_b = cuda.shared.array((TILE, TILE), dtype=float32)
    n, m = cuda.grid(2)
    x, y = cuda.threadIdx.x, cuda.threadIdx.y
    M, N = out.shape
    K = a.shape[1]
    total = float32(0)
    for k in range(0, K, TILE):
        tile_a[y, x] = float32(a[m, k + x]) if m < M and k + x < K else float32(0)
        tile_b[y, x] = float32(b[k + y, n]) if k + y < K and n < N else float32(0)
        cuda.syncthreads()
        for i in range(TILE):
            total += tile_a[y, i] * tile_b[i, x]
        cuda.syncthreads()
    if m < M and n < N:
        out[m, n] = total


def _multiply_tiled(a, b, out):
    if out.size:
        launch(_tiled, *_grid(out), a, b, out)


@boundary(OPS["half_matmul"])
def half_matmul_tiled(a, b, *, out=None):
    """:func:`half_matmul` with tiles in shared memory, as :func:`coursekit.kernels.cuda.matmul_tiled` has them.

    A number is read from global memory and widened once for 16 uses. The multiply-adds are those of float32, one at a
    time.
    """
    _multiply_tiled(a, b, out)


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


def tiles(tile):
    """The kernel for tiles of this size."""
    return word_tiles(
        "halves", tile, multiply_halves, float32, 8, _fetch_right, _keep_right, ("HMMA.16816.F32",)
    )


KERNELS = tiles(LARGE), tiles(SMALL)


@boundary(OPS["half_matmul"])
def half_matmul(a, b, *, out=None):
    """The matrix product of float16, summed in float32.

    On tensor cores: one instruction of a warp does 16 x 8 x 16 = 2048 multiply-adds, for which 32 threads would need 64
    instructions each. A block computes 128 x 128 elements, a warp 64 x 32 of them, in slices of 32 along k; a thread
    reads 24 words of shared memory for 16 such products, 21 FLOPs for each byte: the tiles of float32 in registers that
    :func:`coursekit.kernels.cuda.matmul` has make 2. Slices come
    by loads of 128 bits, the next one while the last is multiplied; two rows of b are woven into one of words, since
    tensor cores want neighbours along k together. PTX ISA, "Warp level matrix multiply-accumulate instructions".
    The partial sums are rounded towards zero, not to the nearest: Fasi, Higham, Mikaitis and Pranesh, "Numerical
    behavior of NVIDIA tensor cores", PeerJ Computer Science 7:e330 (2021). Rows whose length is no multiple of eight
    are left to :func:`half_matmul_tiled`.

    Args:
        a: shape (M, K), float16; NumPy array, device array, or torch tensor on the GPU.
        b: shape (K, N), float16, of the same kind.
        out: shape (M, N), float32, filled and returned where given; it must not share memory with a or b.

    Returns:
        Shape (M, N), float32, of the inputs' kind.

    Raises:
        RuntimeError: there is no GPU, and the simulator is off.
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, a tensor is not on the GPU, or ``out`` cannot be written without harm.
    """
    K, N = b.shape
    if K % 8 or N % 8 or not K * out.size:
        _multiply_tiled(a, b, out)
    else:
        launch_word_tiles(KERNELS, words(a), words(b), K // 2, N, out)
