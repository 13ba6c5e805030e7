"""Signs as bits, 64 to a word: bit by bit, word by word, and a comparison of a whole vector at a time."""

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.bit_vectors import bits_of
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.rows import rows_and_grain
from coursekit.kernels.cpu.simd import broadcast, load, load_first, width
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.ops import OPS
from coursekit.kernels.ops.binary import BITS


@compiled
def _textbook(x, out):
    out[:] = 0
    for m in range(x.shape[0]):
        for k in range(x.shape[1]):
            if x[m, k] >= 0:
                out[m, k // BITS] |= np.uint64(1) << np.uint64(k % BITS)


@boundary(OPS["pack_signs"])
def pack_signs_textbook(x, *, out=None):
    """:func:`pack_signs` bit by bit: a word is loaded and stored for each of its bits, and signs cannot be guessed."""
    _textbook(x, out)


@compiled
def _words(x, out):
    K = x.shape[1]
    for m in range(x.shape[0]):
        for w in range(out.shape[1]):
            signs, word = x[m, w * BITS : min(w * BITS + BITS, K)], np.uint64(0)
            for i in range(signs.size):
                word |= np.uint64(signs[i] >= 0) << np.uint64(i)
            out[m, w] = word


@boundary(OPS["pack_signs"])
def pack_signs_words(x, *, out=None):
    """:func:`pack_signs` word by word, in plain Python: a word is made in a register and stored once.

    The outcome of a comparison is the bit itself, so there is nothing to branch on, and nothing to guess.
    """
    _words(x, out)


@compiled
def _vectors(x, out):
    (M, K), W, n = x.shape, out.shape[1], width(x)
    read = x.reshape(-1)
    zero, minus = broadcast(x.dtype.type(0)), broadcast(x.dtype.type(-1))
    for m in range(M):
        for w in range(W):
            word, count = np.uint64(0), min(K - w * BITS, BITS)
            for i in range(0, count, n):
                at = m * K + w * BITS + i
                v = load(read, at) if i + n <= count else load_first(read, at, count - i, minus)
                word |= bits_of(v >= zero) << np.uint64(i)
            out[m, w] = word


@boundary(OPS["pack_signs"])
def pack_signs(x, *, out=None):
    """The signs of the rows of ``x`` as bits, as ``binary_matmul`` takes them: 1 where x ≥ 0.

    One comparison gives the bits of a whole vector, and a word is stored once. The packing is that of Rastegari et al.,
    "XNOR-Net", ECCV 2016, section 3.2. The result is exact.

    Args:
        x: shape (M, K), float32 or float64; NumPy array or torch tensor on the CPU.
        out: shape (M, ⌈K/64⌉), uint64, filled and returned where given; it must not share memory with x.

    Returns:
        Shape (M, ⌈K/64⌉), uint64, of the kind of x: bit i of word w is the sign of entry 64·w + i. -0 counts as 0,
        whose bit is 1; nan gives 0, as do the bits beyond K.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, a tensor is not on the CPU, or ``out`` cannot be written without harm.
    """
    split(lambda i, j: _vectors(x[i:j], out[i:j]), *rows_and_grain(x))
