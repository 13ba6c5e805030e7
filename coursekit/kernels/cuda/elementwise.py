"""Functions of each number by itself: one thread for each, and four numbers in each load and store.

What an operation needs is its function of a number; the kernels are made from that by
:mod:`coursekit.kernels.cuda.pointwise`. A number takes part in at most some dozens of instructions, and a GPU does far
more of them in the time in which eight bytes are moved: all of these run as fast as memory goes, which is a reason to
do several of them in one pass, as :func:`bias_gelu` does.
"""

import math

from numba import cuda

from coursekit.kernels.cuda import pointwise
from coursekit.kernels.cuda.arrays import boundary
from coursekit.kernels.ops import OPS

SQRT_HALF = math.sqrt(0.5)


@cuda.jit(device=True)
def _plus(x, y):
    return x + y


@cuda.jit(device=True)
def _times(x, y):
    return x * y


@cuda.jit(device=True)
def relu_of(x):
    """nan stays nan, since it is not below 0."""
    zero = type(x)(0)
    return zero if x < zero else x


@cuda.jit(device=True)
def _gelu_of(x):
    # Constants of x's type: one float64 among float32 numbers would send all of it to the few float64 units of a GPU.
    T = type(x)
    return T(0.5) * x * math.erfc(T(-SQRT_HALF) * x)


@cuda.jit(device=True)
def silu_of(x):
    return x / (type(x)(1) + math.exp(-x))


@cuda.jit(device=True)
def _sigmoid_of(x):
    one = type(x)(1)
    return one / (one + math.exp(-x))


@cuda.jit(device=True)
def _tanh_of(x):
    return math.tanh(x)


@cuda.jit(device=True)
def _exp_of(x):
    return math.exp(x)


TEXTBOOK = """:func:`{name}` with one thread for each number: a warp moves 128 bytes in an instruction."""
PUBLIC = """{words}

    A thread takes four numbers at a time, 128 bits in one load and one store, so a warp needs a quarter of the
    instructions for the same bytes, and has four times as many on their way. It goes on to the next four a grid apart,
    so that the grid is no larger than the GPU. {exactness} float64, and arrays that begin at no multiple of 16 bytes,
    are done by :func:`{name}_textbook`.

    Args:
        {arrays}: any shape{equal}, float32 or float64; NumPy array{s}, device array{s}, or torch tensor{s} on the GPU.
        out: of the same shape, filled and returned where given; it may be {itself} itself.

    Returns:
        The shape, dtype and kind of x.

    Raises:
        RuntimeError: there is no GPU, and the simulator is off.
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: {shapes}a tensor is not on the GPU, or ``out`` cannot be written without harm.
    """
OF_ONE = {"arrays": "x", "equal": "", "s": "", "itself": "x", "shapes": ""}
OF_TWO = {
    "arrays": "x, y",
    "equal": ", both the same",
    "s": "s",
    "itself": "x or y",
    "shapes": "shapes differ, ",
}


def _rung(op, name, doc, run):
    """A function of the backend; ``run(arrays, out)`` launches what it needs."""
    if len(OPS[op].inputs) == 1:

        def function(x, *, out=None):
            run((x,), out)
    else:

        def function(x, y, *, out=None):
            run((x, y), out)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return boundary(OPS[op])(function)


def _rungs(name, words, function, exactness):
    """The textbook version and the public one."""
    pairs = len(OPS[name].inputs) == 2
    numbers = (pointwise.of_pairs if pairs else pointwise.of_numbers)(__name__, name, function)
    fours = (pointwise.of_pairs_of_fours if pairs else pointwise.of_fours)(__name__, name, function)

    def run_textbook(arrays, out):
        pointwise.run_numbers(numbers, *arrays, out=out)

    def run_public(arrays, out):
        if out.size and pointwise.can_use_fours(*arrays, out):
            pointwise.run_fours(fours, *arrays, out=out)
        else:
            pointwise.run_numbers(numbers, *arrays, out=out)

    public = PUBLIC.format(name=name, words=words, exactness=exactness, **(OF_TWO if pairs else OF_ONE))
    textbook = _rung(name, f"{name}_textbook", TEXTBOOK.format(name=name), run_textbook)
    return textbook, _rung(name, name, public, run_public)


add_textbook, add = _rungs("add", "x + y.", _plus, "Each result is right to the last digit.")
multiply_textbook, multiply = _rungs("multiply", "x · y.", _times, "Each result is right to the last digit.")
relu_textbook, relu = _rungs(
    "relu", "max(x, 0): Nair and Hinton, ICML 2010.", relu_of, "Exact; nan stays nan."
)
gelu_textbook, gelu = _rungs(
    "gelu",
    "x · Φ(x) = x · ½ erfc(-x/√2): Hendrycks and Gimpel, arXiv:1606.08415.",
    _gelu_of,
    "By erfc nothing cancels where Φ is small.",
)
silu_textbook, silu = _rungs(
    "silu",
    "x / (1 + e⁻ˣ): Elfwing, Uchibe and Doya, arXiv:1702.03118.",
    silu_of,
    "In float32 it is right to 4 units in the last place, and 0 below -88, where it is less than 1e-36.",
)
sigmoid_textbook, sigmoid = _rungs(
    "sigmoid",
    "1 / (1 + e⁻ˣ): Rumelhart, Hinton and Williams, Nature 323, 1986.",
    _sigmoid_of,
    "In float32 it is right to 4 units in the last place, and 0 below -88, where it is less than 1e-38.",
)
tanh_textbook, tanh = _rungs(
    "tanh", "tanh x.", _tanh_of, "As exact as CUDA's own: 2 units in the last place."
)
exp_textbook, exp = _rungs("exp", "eˣ.", _exp_of, "As exact as CUDA's own: 2 units in the last place.")
