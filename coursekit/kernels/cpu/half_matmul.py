"""Products of float16, summed in float32: number by number, and widened before a product of float32.

Numba does not compute with float16 on a CPU: what is stored in 16 bits is widened to be used. So it saves memory, and
traffic to it, and no arithmetic.
"""

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.matmul import multiply
from coursekit.kernels.ops import OPS

WIDE = np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float32)
"""Each float16 as a float32, by its bits: 256 KiB."""


@compiled
def _textbook(a, b, wide, out):
    for m in range(out.shape[0]):
        for n in range(out.shape[1]):
            total = wide[0]
            for k in range(a.shape[1]):
                total += wide[a[m, k]] * wide[b[k, n]]
            out[m, n] = total


@boundary(OPS["half_matmul"])
def half_matmul_textbook(a, b, *, out=None):
    """:func:`half_matmul` as it is defined, one sum for each element; what a float16 is worth stands in a table.

    Each number is looked up at each of its uses, 2·M·N·K times in all.
    """
    _textbook(a.view(np.uint16), b.view(np.uint16), WIDE, out)


@boundary(OPS["half_matmul"])
def half_matmul(a, b, *, out=None):
    """The matrix product of float16, summed in float32.

    Both are widened to float32, each number once, and multiplied as :func:`coursekit.kernels.cpu.matmul` does it, with
    its error bound and on as many threads. That takes 4·K·(M + N) bytes beside them. A product of two float16 is exact
    in float32.

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
    multiply(a.astype(np.float32), b.astype(np.float32), out)
