"""Products of float16, summed in float32: one thread for each element, tiles in shared memory, and tensor cores.

A float16 takes half of a float32's memory, so each transaction brings twice as many; the products of two are exact in
float32, and their sums are kept there.
"""

from numba import cuda, float32

from coursekit.kernels.cuda.arrays import boundary
from coursekit.kernels.cuda.half_products import (
    launch_grid,
    launch_tiles,
    textbook_kernel,
    tiled_kernel,
    tiles_kernel,
)
from coursekit.kernels.cuda.tensor_cores import multiply_halves
from coursekit.kernels.cuda.word_tiles import LARGE, SMALL
from coursekit.kernels.ops import OPS


@cuda.jit(device=True)
def _widen(half):
    return float32(half)


_textbook = textbook_kernel("halves", "float16", _widen)
_tiled = tiled_kernel("halves", "float16", _widen)


def tiles(tile):
    """The kernel for tiles of this size."""
    return tiles_kernel("halves", tile, multiply_halves, "HMMA.16816.F32")


KERNELS = tiles(LARGE), tiles(SMALL)


@boundary(OPS["half_matmul"])
def half_matmul_textbook(a, b, *, out=None):
    """:func:`half_matmul` with one thread for each element of the result: 2·M·N·K reads of two bytes.

    Each number is widened to float32 at each of its uses, by an instruction of its own.
    """
    launch_grid(_textbook, a, b, out)


@boundary(OPS["half_matmul"])
def half_matmul_tiled(a, b, *, out=None):
    """:func:`half_matmul` with tiles in shared memory, as :func:`coursekit.kernels.cuda.matmul_tiled` has them.

    A number is read from global memory and widened once for 16 uses. The multiply-adds are those of float32, one at a
    time.
    """
    launch_grid(_tiled, a, b, out)


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
    launch_tiles(KERNELS, _tiled, a, b, out)
