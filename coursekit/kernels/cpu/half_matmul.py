"""Products of float16, summed in float32: number by number, and widened before a product of float32.

Numba does not compute with float16 on a CPU: what is stored in 16 bits is widened to be used. So it saves memory, and
traffic to it, and no arithmetic.
"""

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.half_products import row_by_row, textbook
from coursekit.kernels.cpu.matmul import TALL, multiply
from coursekit.kernels.ops import OPS

SHIFT = np.float32(2.0**112)
"""What a float16's exponent lacks to a float32's."""


@compiled(inline=True)
def _widen(bits):
    """The float32 of a float16's bits: moved to their places and scaled, which is exact, below 2⁻¹⁴ as well.

    An exponent full of ones, of infinities and nan, stays one.
    """
    size = np.uint32((bits & np.uint32(0x7FFF)) << np.uint32(13))
    number = np.float32(np.uint32(size).view(np.float32) * SHIFT).view(np.uint32)
    if bits & np.uint32(0x7C00) == np.uint32(0x7C00):
        number = np.uint32(size | np.uint32(0x7F800000))
    return np.uint32(number | (bits & np.uint32(0x8000)) << np.uint32(16)).view(np.float32)


@compiled
def _widen_all(bits, out):
    for i in range(bits.size):
        out[i] = _widen(np.uint32(bits[i]))


def _widened(array):
    """A contiguous array of float16 in float32."""
    out = np.empty(array.shape, np.float32)
    _widen_all(array.reshape(-1).view(np.uint16), out.reshape(-1))
    return out


_textbook = textbook(_widen)
_multiply_rows = row_by_row(_widen)


@boundary(OPS["half_matmul"])
def half_matmul_textbook(a, b, *, out=None):
    """:func:`half_matmul` as it is defined, one sum for each element.

    Each number is widened at each of its uses, 2·M·N·K times in all.
    """
    _textbook(a.view(np.uint16), b.view(np.uint16), out)


@boundary(OPS["half_matmul"])
def half_matmul(a, b, *, out=None):
    """The matrix product of float16, summed in float32.

    Both are widened to float32, each number once, and multiplied as :func:`coursekit.kernels.cpu.matmul` does it, with
    its error bound and on as many threads. That takes 4·K·(M + N) bytes beside them. Fewer rows than its tiles have are
    multiplied along the rows of b, which is widened as it comes. A product of two float16 is exact in float32.

    Args:
        a: shape (M, K), float16; NumPy array or torch tensor on the CPU.
        b: shape (K, N), float16, of the same kind.
        out: shape (M, N), float32, filled and returned where given; it must not share memory with a or b.

    Returns:
        Shape (M, N), float32, of the inputs' kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, a tensor is not on the CPU, or ``out`` cannot be written without harm.
    """
    if a.shape[0] < TALL:
        _multiply_rows(a.view(np.uint16), b.view(np.uint16), out)
    else:
        multiply(_widened(a), _widened(b), out)
