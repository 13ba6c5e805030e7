"""Functions of each number by itself, by torch."""

import torch
from torch._C._nn import gelu as gelu_of

from coursekit.kernels.ops import OPS
from coursekit.kernels.reference.arrays import boundary

DOC = """{words}

    Args:
        {arrays}: any shape, float32 or float64; NumPy or torch.
        out: of the same shape, filled and returned where given; it may be an input itself.

    Returns:
        The shape, dtype and kind of x.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes differ, or ``out`` cannot be written without harm.
    """


def _gelu(x, out):
    if out.is_contiguous():
        gelu_of(x.contiguous(), out=out)
    else:  # torch 2.13 writes as if it were
        out.copy_(gelu_of(x))


def _of_one(name, words, theirs):
    def function(x, *, out=None):
        theirs(x, out=out)

    return _named(function, name, words, "x")


def _of_two(name, words, theirs):
    def function(x, y, *, out=None):
        theirs(x, y, out=out)

    return _named(function, name, words, "x, y")


def _named(function, name, words, arrays):
    function.__name__ = function.__qualname__ = name
    function.__doc__ = DOC.format(words=words, arrays=arrays)
    return boundary(OPS[name])(function)


add = _of_two("add", "x + y.", torch.add)
multiply = _of_two("multiply", "x · y.", torch.mul)
relu = _of_one("relu", "max(x, 0).", lambda x, out: torch.clamp_min(x, 0, out=out))
gelu = _of_one("gelu", "x · ½(1 + erf(x/√2)).", _gelu)
silu = _of_one("silu", "x / (1 + e⁻ˣ).", torch.ops.aten.silu.out)
sigmoid = _of_one("sigmoid", "1 / (1 + e⁻ˣ).", torch.sigmoid)
tanh = _of_one("tanh", "tanh x.", torch.tanh)
exp = _of_one("exp", "eˣ.", torch.exp)
