"""Products of bfloat16, given by their bits and summed in float32: by element, in shared tiles, and on tensor cores.

The bits of a bfloat16 are the upper half of a float32's: to widen it is to shift it. All else is as with float16.
"""

import numpy as np
from numba import cuda, uint32

from coursekit.kernels.cuda.arrays import boundary
from coursekit.kernels.cuda.half_products import (
    launch_grid,
    launch_tiles,
    textbook_kernel,
    tiled_kernel,
    tiles_kernel,
)
from coursekit.kernels.cuda.tensor_cores import multiply_bfloat16s
from coursekit.kernels.cuda.word_tiles import LARGE, SMALL
from coursekit.kernels.ops import OPS


@cuda.jit(device=True)
def _widen(bits):
    return uint32(uint32(bits) << uint32(16)).view(np.float32)


_textbook = textbook_kernel("bfloat16s", "uint16", _widen)
_tiled = tiled_kernel("bfloat16s", "uint16", _widen)


def tiles(tile):
    """The kernel for tiles of this size."""
    return tiles_kernel("bfloat16s", tile, multiply_bfloat16s, "HMMA.16816.F32.BF16")


KERNELS = tiles(LARGE), tiles(SMALL)


@boundary(OPS["bfloat16_matmul"])
def bfloat16_matmul_textbook(a, b, *, out=None):
    """:func:`bfloat16_matmul` with one thread for each element of the result: 2·M·N·K reads of two bytes.

    Each number is shifted at each of its uses.
    """
    launch_grid(_textbook, a, b, out)


@boundary(OPS["bfloat16_matmul"])
def bfloat16_matmul_tiled(a, b, *, out=None):
    """:func:`bfloat16_matmul` with tiles in shared memory, as :func:`coursekit.kernels.cuda.half_matmul_tiled`.

    Each number is shifted once for 16 uses, on its way there.
    """
    launch_grid(_tiled, a, b, out)


@boundary(OPS["bfloat16_matmul"])
def bfloat16_matmul(a, b, *, out=None):
    """The matrix product of bfloat16, given by their bits, summed in float32.

    On tensor cores, with the tiles of :func:`coursekit.kernels.cuda.half_matmul` and as many operations in an
    instruction: only the instruction is another one. A product of two is exact in float32, as far as it lies in its
    range; the partial sums are rounded as they are there. Rows whose length is no multiple of eight are left to
    :func:`bfloat16_matmul_tiled`. PTX ISA, "Warp level matrix multiply-accumulate instructions".

    Args:
        a: shape (M, K), uint16; NumPy array as :func:`coursekit.kernels.bfloat16.to_bfloat16` gives it, device array,
            or torch tensor on the GPU: ``x.view(torch.uint16)`` of one of bfloat16.
        b: shape (K, N), uint16, of the same kind.
        out: shape (M, N), float32, filled and returned where given; it must not share memory with a or b.

    Returns:
        Shape (M, N), float32, of the inputs' kind.

    Raises:
        RuntimeError: there is no GPU, and the simulator is off.
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, a tensor is not on the GPU, or ``out`` cannot be written without harm.
    """
    launch_tiles(KERNELS, _tiled, a, b, out)
