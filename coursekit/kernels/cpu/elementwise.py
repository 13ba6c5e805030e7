"""Functions of each number by itself: a number at a time, and a vector at a time.

What an operation needs is its function of a number and its function of a vector; the loops, the remainder at the end
and the threads are the same for all. Beyond the cache each runs as fast as memory is read and written, and what it
computes is free: a reason to do several of them in one pass, as :func:`bias_gelu` does.
"""

import math

import numpy as np

from coursekit.kernels.cpu import vector_math
from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.recurrence import sigmoid as sigmoid_of_vector
from coursekit.kernels.cpu.recurrence import sigmoid_of_one
from coursekit.kernels.cpu.rows import GRAIN
from coursekit.kernels.cpu.simd import broadcast, load, load_first, maximum, store, store_first, width
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.cpu.vector_math import MINUS_ONE, ONE, ZERO, exp_normal, normal_cdf
from coursekit.kernels.ops import OPS


@compiled(inline=True)
def _plus(x, y):
    return x + y


@compiled(inline=True)
def _times(x, y):
    return x * y


@compiled(inline=True)
def _tanh_of_one(x):
    return math.tanh(x)


@compiled(inline=True)
def _exp_of_one(x):
    return math.exp(x)


@compiled(inline=True)
def _relu_of_one(x):
    return type(x)(0) if x < 0 else x


@compiled(inline=True)
def _gelu_of_one(x):
    return 0.5 * x * math.erfc(-math.sqrt(0.5) * x)


@compiled(inline=True)
def _silu_of_one(x):
    return x / (1 + math.exp(-x))


@compiled(inline=True)
def _relu_of_vector(x):
    return maximum(broadcast(ZERO), x)


@compiled(inline=True)
def _gelu_of_vector(x):
    return x * normal_cdf(x)


@compiled(inline=True)
def _silu_of_vector(x):
    return x / (broadcast(ONE) + exp_normal(x * broadcast(MINUS_ONE)))


def _of_numbers(function):
    @compiled
    def run(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    return run


def _of_vectors(function):
    @compiled
    def run(x, out):
        n = width(x)
        whole = x.size // n * n
        for i in range(0, whole, n):
            store(out, i, function(load(x, i)))
        if whole < x.size:
            v = load_first(x, whole, x.size - whole, broadcast(x.dtype.type(0)))
            store_first(out, whole, function(v), x.size - whole)

    return run


def _of_pairs(function):
    """``function`` takes numbers and vectors alike."""

    @compiled
    def run(x, y, out):
        n = width(x)
        whole = x.size // n * n
        for i in range(0, whole, n):
            store(out, i, function(load(x, i), load(y, i)))
        for i in range(whole, x.size):
            out[i] = function(x[i], y[i])

    return run


def _of_pairs_of_numbers(function):
    @compiled
    def run(x, y, out):
        for i in range(x.size):
            out[i] = function(x[i], y[i])

    return run


TEXTBOOK = """:func:`{name}` a number at a time. {words}"""
PUBLIC = """{words}

    A vector at a time. {exactness}

    Args:
        {arrays}: any shape{equal}, float32 or float64; NumPy array{s} or torch tensor{s} on the CPU.
        out: of the same shape, filled and returned where given; it may be {itself} itself.

    Returns:
        The shape, dtype and kind of x.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: {shapes}a tensor is not on the CPU, or ``out`` cannot be written without harm.
    """
OF_ONE = {"arrays": "x", "equal": "", "s": "", "itself": "x", "shapes": ""}
OF_TWO = {
    "arrays": "x, y",
    "equal": ", both the same",
    "s": "s",
    "itself": "x or y",
    "shapes": "shapes differ, ",
}


def _run(kernel, arrays, out):
    flat = [a.reshape(-1) for a in (*arrays, out)]
    split(lambda i, j: kernel(*[a[i:j] for a in flat]), out.size, GRAIN)


def _rung(op, name, doc, kernels):
    """A function of the backend; ``kernels`` are those for float32 and float64."""
    if len(OPS[op].inputs) == 1:

        def function(x, *, out=None):
            _run(kernels[x.dtype == np.float64], (x,), out)
    else:

        def function(x, y, *, out=None):
            _run(kernels[x.dtype == np.float64], (x, y), out)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return boundary(OPS[op])(function)


def _rungs(name, words, plain, of_numbers, of_vectors, exactness, both=False):
    """The textbook version and the public one; ``both`` says that vectors of float64 are done too."""
    form = OF_ONE if len(OPS[name].inputs) == 1 else OF_TWO
    public = PUBLIC.format(words=words, exactness=exactness, **form)
    textbook = _rung(name, f"{name}_textbook", TEXTBOOK.format(name=name, words=plain), [of_numbers] * 2)
    kernels = [of_vectors, of_vectors if both else of_numbers]
    return textbook, _rung(name, name, public, kernels)


def _arithmetic(name, words, function):
    plain = "The loop is so simple that the compiler makes vectors of it by itself."
    exact = "Each result is right to the last digit, in float32 and float64."
    kernels = _of_pairs_of_numbers(function), _of_pairs(function)
    return _rungs(name, words, plain, *kernels, exact, both=True)


def _function(name, words, plain, of_number, of_vector, exactness):
    exactness += f" float64 is done by :func:`{name}_textbook`."
    return _rungs(name, words, plain, _of_numbers(of_number), _of_vectors(of_vector), exactness)


CALL = "Each calls a function of the C library, which for the compiler is a wall: no vectors beyond it."

add_textbook, add = _arithmetic("add", "x + y.", _plus)
multiply_textbook, multiply = _arithmetic("multiply", "x · y.", _times)
relu_textbook, relu = _function(
    "relu",
    "max(x, 0): Nair and Hinton, ICML 2010.",
    "The comparison becomes a select, and the loop vectors, by the compiler itself.",
    _relu_of_one,
    _relu_of_vector,
    "Exact; nan stays nan.",
)
gelu_textbook, gelu = _function(
    "gelu",
    "x · Φ(x) = x · ½(1 + erf(x/√2)): Hendrycks and Gimpel, arXiv:1606.08415.",
    CALL,
    _gelu_of_one,
    _gelu_of_vector,
    "Φ is one polynomial: the error is at most 1.7e-6 + 1e-6·|result| in float32.",
)
silu_textbook, silu = _function(
    "silu",
    "x / (1 + e⁻ˣ): Elfwing, Uchibe and Doya, arXiv:1702.03118.",
    CALL,
    _silu_of_one,
    _silu_of_vector,
    "Right to 3 units in the last place in float32, and to 1e-36 below -87.",
)
sigmoid_textbook, sigmoid = _function(
    "sigmoid",
    "1 / (1 + e⁻ˣ): Rumelhart, Hinton and Williams, Nature 323, 1986.",
    CALL,
    sigmoid_of_one,
    sigmoid_of_vector,
    "Right to 2.5 units in the last place in float32, and to 1e-38 below -87.",
)
tanh_textbook, tanh = _function(
    "tanh",
    "tanh x.",
    CALL,
    _tanh_of_one,
    vector_math.tanh,
    "Right to 1.5 units in the last place in float32, and to 2.2 where there is no fused multiply-add.",
)
exp_textbook, exp = _function(
    "exp",
    "eˣ: Muller, Elementary Functions, 3rd ed., 2016, section 11.",
    CALL,
    _exp_of_one,
    vector_math.exp,
    "Right to 1.02 units in the last place in float32, and to 1.7 where there is no fused multiply-add; results below "
    "2⁻¹²⁶ are subnormal.",
)
