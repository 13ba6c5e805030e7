"""Wrong calls, and the error that each backend has to answer with."""

import numpy as np


def f4(*shape):
    return np.ones(shape, np.float32)


def _read_only(array):
    array.flags.writeable = False
    return array


def _buffer(n):
    return np.arange(n, dtype=np.float32)


def _shared_input(k):
    a = f4(3, 3)
    return k.matmul(a, f4(3, 3), out=a)


def _overlapping(k):
    buffer = _buffer(11)
    return k.softmax(buffer[:10], out=buffer[1:])


def _out_is_bias(k):
    bias = f4(4)
    return k.bias_gelu(f4(1, 4), bias, out=bias.reshape(1, 4))


def _same_place_other_order(k):
    x = f4(3, 3)
    return k.softmax(x, out=x.T)


# (the call on a backend k, the exception, what its message has to say)
MISUSES = {
    "inner sizes": (
        lambda k: k.matmul(f4(4, 5), f4(6, 3)),
        ValueError,
        "matmul: b must have shape (K, N) with K = 5 to match a (4, 5); got (6, 3)",
    ),
    "vector": (
        lambda k: k.matmul(f4(4), f4(4, 3)),
        ValueError,
        "matmul: a must have 2 dimensions (M, K); got shape (4,)",
    ),
    "three dimensions": (
        lambda k: k.matmul(f4(4, 5), f4(1, 5, 3)),
        ValueError,
        "matmul: b must have 2 dimensions (K, N); got shape (1, 5, 3)",
    ),
    "bias of another length": (
        lambda k: k.bias_gelu(f4(2, 3), f4(4)),
        ValueError,
        "bias_gelu: bias must have shape (N,) with N = 3 to match x (2, 3); got (4,)",
    ),
    "bias of one, which would broadcast": (
        lambda k: k.bias_gelu(f4(2, 3), f4(1)),
        ValueError,
        "bias_gelu: bias must have shape (N,) with N = 3 to match x (2, 3); got (1,)",
    ),
    "bias for a number": (
        lambda k: k.bias_gelu(f4(), f4(1)),
        ValueError,
        "bias_gelu: x must have at least 1 dimension (..., N); got shape ()",
    ),
    "list": (
        lambda k: k.matmul([[1.0]], f4(1, 1)),
        TypeError,
        "matmul: a must be a NumPy array or a",
    ),
    "int": (lambda k: k.softmax(3), TypeError, "; got int"),
    "none": (lambda k: k.matmul(f4(1, 1), None), TypeError, "matmul: b must be"),
    "masked": (
        lambda k: k.softmax(np.ma.masked_invalid(f4(3))),
        TypeError,
        "; got numpy.ma.MaskedArray",
    ),
    "objects": (
        lambda k: k.matmul(np.ones((2, 2), object), f4(2, 2)),
        TypeError,
        "matmul: a must be float32 or float64; got object",
    ),
    "integers": (
        lambda k: k.softmax(np.arange(3)),
        TypeError,
        "softmax: x must be float32 or float64; got int64",
    ),
    "complex": (
        lambda k: k.softmax(np.ones(3, np.complex64)),
        TypeError,
        "softmax: x must be float32 or float64; got complex64",
    ),
    "half": (
        lambda k: k.softmax(np.ones(3, np.float16)),
        TypeError,
        "softmax: x must be float32 or float64; got float16",
    ),
    "other byte order": (
        lambda k: k.softmax(np.ones(3, np.dtype("f4").newbyteorder())),
        TypeError,
        "softmax: x must be float32 or float64; got >f4",
    ),
    "two precisions": (
        lambda k: k.matmul(f4(2, 2), np.ones((2, 2))),
        TypeError,
        "matmul: b must be float32 like a; got float64",
    ),
    "missing": (lambda k: k.matmul(f4(2, 2)), TypeError, "matmul: missing a required argument: 'b'"),
    "unknown keyword": (lambda k: k.softmax(f4(2), dim=0), TypeError, "softmax: got an unexpected keyword"),
    "axis too large": (
        lambda k: k.softmax(f4(2, 3), axis=2),
        ValueError,
        "softmax: axis must be from -2 to 1 for x of shape (2, 3); got 2",
    ),
    "axis of a number": (lambda k: k.softmax(f4()), ValueError, "softmax: axis must be"),
    "axis and a half": (
        lambda k: k.softmax(f4(2, 3), axis=0.5),
        TypeError,
        "softmax: axis must be of type int; got 0.5",
    ),
    "axis of truth": (
        lambda k: k.softmax(f4(2, 3), axis=True),
        TypeError,
        "softmax: axis must be of type int",
    ),
    "no such form": (
        lambda k: k.bias_gelu(f4(2, 3), f4(3), approximate="erf"),
        ValueError,
        "bias_gelu: approximate must be 'none' or 'tanh'; got 'erf'",
    ),
    "form of another type": (
        lambda k: k.bias_gelu(f4(2, 3), f4(3), approximate=None),
        TypeError,
        "bias_gelu: approximate must be of type str; got None",
    ),
    "out of another shape": (
        lambda k: k.matmul(f4(4, 5), f4(5, 3), out=f4(3, 4)),
        ValueError,
        "matmul: out must have shape (M, N) = (4, 3); got (3, 4)",
    ),
    "out of another dtype": (
        lambda k: k.softmax(f4(3), out=np.ones(3)),
        TypeError,
        "softmax: out must be float32; got float64",
    ),
    "out is a list": (
        lambda k: k.softmax(f4(1), out=[0.0]),
        TypeError,
        "softmax: out must be a NumPy array like x; got list",
    ),
    "out is read-only": (
        lambda k: k.softmax(f4(3), out=_read_only(f4(3))),
        ValueError,
        "softmax: out must be writable",
    ),
    "out is expanded": (
        lambda k: k.softmax(f4(2, 3), out=np.lib.stride_tricks.as_strided(f4(3), (2, 3), (0, 4))),
        ValueError,
        "softmax: out must have a place for each element",
    ),
    "out is an input": (
        _shared_input,
        ValueError,
        "matmul: out must not share memory with a; got an overlap",
    ),
    "out is bias": (_out_is_bias, ValueError, "bias_gelu: out must not share memory with bias"),
    "out overlaps": (
        _overlapping,
        ValueError,
        "softmax: out must not share memory with x, or be x itself; got an overlap",
    ),
    "out is x transposed": (_same_place_other_order, ValueError, "softmax: out must not share memory with x"),
}
