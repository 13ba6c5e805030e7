"""bfloat16 as bits: float32 to and from the upper half of its 32 bits, in plain NumPy.

A bfloat16 has a float32's sign and its eight bits of exponent, and seven bits of significand in place of 23. NumPy has
no such dtype, and neither DLPack nor the CUDA array interface brings one to it: here a bfloat16 is a uint16 that holds
its bits. A torch tensor x of dtype bfloat16 is seen so by ``x.view(torch.uint16)``, and such bits become one again by
``bits.view(torch.bfloat16)``: the same memory both times.
"""

import numpy as np

QUIET = 0x00400000
"""The bit of a float32 that tells a quiet nan; it stays in the upper half."""


def to_bfloat16(x: np.ndarray) -> np.ndarray:
    """The nearest bfloat16 of each number, and of two that are equally near the one whose last bit is 0.

    Args:
        x: float32, any shape.

    Returns:
        uint16, the same shape. nan stays nan, with its sign; what is beyond the largest bfloat16 by half a step or more
        becomes infinite.

    Raises:
        TypeError: x is of another dtype. float64 is not taken, since it would be rounded twice.
    """
    x = np.asarray(x)
    if x.dtype != np.float32:
        raise TypeError(f"to_bfloat16: x must be float32; got {x.dtype} (call .astype(np.float32) on it)")
    bits = x.view(np.uint32)
    # A nan may have all its bits below: cut off, it would be an infinity, and rounded up, a number.
    bits = np.where(np.isnan(x), bits & 0xFFFF0000 | QUIET, bits)
    return np.asarray((bits + 0x7FFF + (bits >> 16 & 1)) >> 16, np.uint16)


def from_bfloat16(bits: np.ndarray) -> np.ndarray:
    """What the bits are worth, exactly.

    Args:
        bits: uint16, any shape.

    Returns:
        float32, the same shape.

    Raises:
        TypeError: ``bits`` is of another dtype.
    """
    bits = np.asarray(bits)
    if bits.dtype != np.uint16:
        raise TypeError(f"from_bfloat16: bits must be uint16; got {bits.dtype}")
    wide = bits.astype(np.uint32)
    wide <<= 16
    return wide.view(np.float32)
