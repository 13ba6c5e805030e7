"""Products of bfloat16, given by their bits and summed in float32: number by number, and widened before a product.

The bits of a bfloat16 are the upper half of a float32's: to widen it is to shift it. Most CPUs do not compute with
bfloat16, and Numba with none: so it saves memory, and traffic to it, and no arithmetic.
"""

import numpy as np

from coursekit.kernels.bfloat16 import from_bfloat16
from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.half_products import row_by_row, textbook
from coursekit.kernels.cpu.matmul import TALL, multiply
from coursekit.kernels.ops import OPS


@compiled(inline=True)
def _widen(bits):
    return np.uint32(bits << np.uint32(16)).view(np.float32)


_textbook = textbook(_widen)
_multiply_rows = row_by_row(_widen)


@boundary(OPS["bfloat16_matmul"])
def bfloat16_matmul_textbook(a, b, *, out=None):
    """:func:`bfloat16_matmul` as it is defined, one sum for each element.

    Each number is shifted at each of its uses, 2·M·N·K times in all.
    """
    _textbook(a, b, out)


@boundary(OPS["bfloat16_matmul"])
def bfloat16_matmul(a, b, *, out=None):
    """The matrix product of bfloat16, given by their bits, summed in float32.

    Both are widened to float32, each number once, and multiplied as :func:`coursekit.kernels.cpu.matmul` does it, with
    its error bound and on as many threads. That takes 4·K·(M + N) bytes beside them. Fewer rows than its tiles have are
    multiplied along the rows of b, whose bits are widened as they come, several in one instruction: what limits a
    single row is the traffic, and so half of it is saved. A product of two bfloat16 is exact in float32, as far as it
    lies in its range.

    Args:
        a: shape (M, K), uint16; NumPy array as :func:`coursekit.kernels.bfloat16.to_bfloat16` gives it, or torch tensor
            on the CPU: ``x.view(torch.uint16)`` of one of bfloat16.
        b: shape (K, N), uint16, of the same kind.
        out: shape (M, N), float32, filled and returned where given; it must not share memory with a or b.

    Returns:
        Shape (M, N), float32, of the inputs' kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, a tensor is not on the CPU, or ``out`` cannot be written without harm.
    """
    if a.shape[0] < TALL:
        _multiply_rows(a, b, out)
    else:
        multiply(from_bfloat16(a), from_bfloat16(b), out)
