"""A step of Adam: as the paper has it, in the arrays' own precision, and four parameters at a time."""

import math

from numba import cuda

from coursekit.kernels.cuda import pointwise
from coursekit.kernels.cuda.arrays import boundary
from coursekit.kernels.cuda.device import blocks, enough_blocks, launch
from coursekit.kernels.cuda.kernel import kernel
from coursekit.kernels.cuda.pointwise import FLAT, FOURS, THREADS, flat
from coursekit.kernels.cuda.vectors import load4, store4
from coursekit.kernels.ops import OPS

ARRAYS = ", ".join([FLAT] * 4)
RESULTS = ", ".join([FLAT] * 3)


@kernel(f"({ARRAYS}, float64, float64, float64, float64, int64, {RESULTS})")
def _textbook(p, g, m, v, rate, beta1, beta2, eps, step, new_p, new_m, new_v):
    i = cuda.grid(1)
    if i < p.size:
        first = beta1 * m[i] + (1.0 - beta1) * g[i]
        second = beta2 * v[i] + (1.0 - beta2) * g[i] * g[i]
        change = rate * (first / (1.0 - beta1**step)) / (math.sqrt(second / (1.0 - beta2**step)) + eps)
        new_p[i] = p[i] - change
        new_m[i] = first
        new_v[i] = second


@boundary(OPS["adam_step"])
def adam_step_textbook(
    parameter, gradient, first, second, *, rate=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, step=1, out=None
):
    """:func:`adam_step` as the paper has it: both corrections for each number, with powers and three divisions.

    The options are Python's numbers, so all of it is float64, for which most GPUs have few units: some two hundred of
    the kernel's instructions are for them, most of them for the powers, beside 28 bytes to move.
    """
    if parameter.size:
        options = float(rate), float(beta1), float(beta2), float(eps), int(step)
        grid = blocks(parameter.size, THREADS)
        launch(_textbook, grid, THREADS, *flat(parameter, gradient, first, second), *options, *flat(*out))


@cuda.jit(device=True)
def _of_one(p, g, m, v, beta1, beta2, rest1, rest2, pace, eps):
    """The new parameter and moments of one parameter."""
    first = beta1 * m + rest1 * g
    second = beta2 * v + rest2 * g * g
    return p - pace * first / (math.sqrt(second) + eps), first, second


CONSTANTS = ", ".join(["float32"] * 6)


@kernel(f"({ARRAYS}, {CONSTANTS}, {RESULTS})")
def _fused(p, g, m, v, beta1, beta2, rest1, rest2, pace, eps, new_p, new_m, new_v):
    i = cuda.grid(1)
    if i < p.size:
        a, b, c = _of_one(p[i], g[i], m[i], v[i], beta1, beta2, rest1, rest2, pace, eps)
        new_p[i], new_m[i], new_v[i] = a, b, c


def _constants(dtype, rate, beta1, beta2, eps, step):
    """β₁, β₂, 1-β₁, 1-β₂ and, with the corrections in them, rate and eps."""
    root = math.sqrt(1 - beta2**step)
    pace = rate * root / (1 - beta1**step)
    return [dtype.type(number) for number in (beta1, beta2, 1 - beta1, 1 - beta2, pace, eps * root)]


@boundary(OPS["adam_step"])
def adam_step_fused(
    parameter, gradient, first, second, *, rate=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, step=1, out=None
):
    """:func:`adam_step` with the corrections taken into rate and eps, once for all (Kingma and Ba, end of section 2).

    One division and one square root are left for each number, and all is computed in the precision of the arrays.
    """
    if parameter.size:
        constants = _constants(parameter.dtype, rate, beta1, beta2, eps, step)
        grid = blocks(parameter.size, THREADS)
        launch(_fused, grid, THREADS, *flat(parameter, gradient, first, second), *constants, *flat(*out))


@kernel(f"({ARRAYS}, {CONSTANTS}, {RESULTS})", **FOURS)
def _fours(p, g, m, v, beta1, beta2, rest1, rest2, pace, eps, new_p, new_m, new_v):
    start, step, whole = cuda.grid(1), cuda.gridsize(1), p.size // 4 * 4
    for i in range(4 * start, whole, 4 * step):
        p0, p1, p2, p3 = load4(p, i)
        g0, g1, g2, g3 = load4(g, i)
        m0, m1, m2, m3 = load4(m, i)
        v0, v1, v2, v3 = load4(v, i)
        p0, m0, v0 = _of_one(p0, g0, m0, v0, beta1, beta2, rest1, rest2, pace, eps)
        p1, m1, v1 = _of_one(p1, g1, m1, v1, beta1, beta2, rest1, rest2, pace, eps)
        p2, m2, v2 = _of_one(p2, g2, m2, v2, beta1, beta2, rest1, rest2, pace, eps)
        p3, m3, v3 = _of_one(p3, g3, m3, v3, beta1, beta2, rest1, rest2, pace, eps)
        store4(new_p, i, p0, p1, p2, p3)
        store4(new_m, i, m0, m1, m2, m3)
        store4(new_v, i, v0, v1, v2, v3)
    i = whole + start
    if i < p.size:
        a, b, c = _of_one(p[i], g[i], m[i], v[i], beta1, beta2, rest1, rest2, pace, eps)
        new_p[i], new_m[i], new_v[i] = a, b, c


@boundary(OPS["adam_step"])
def adam_step(
    parameter, gradient, first, second, *, rate=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, step=1, out=None
):
    """One step of Adam, in place where ``out`` is (parameter, first, second): Kingma and Ba, "Adam: A Method for
    Stochastic Optimization", arXiv:1412.6980, algorithm 1.

    The steps are those of :func:`adam_step_fused`, for four parameters at a time: four loads and three stores of 128
    bits. All of a four is read before any of it is written, and each number is read and written once: 28 bytes for each
    parameter in float32, in one launch. float64, and arrays that begin at no multiple of 16 bytes, are done by
    :func:`adam_step_fused`. The moments are right to two roundings of their terms, the change of the parameter to 2⁻²⁰
    of itself.

    Args:
        parameter, gradient: any shape, float32 or float64; NumPy arrays, device arrays, or torch tensors on the GPU.
        first, second: the moments before the step, of the same shape; the second is nowhere negative.
        rate: the learning rate.
        beta1, beta2: what is kept of the moments.
        eps: added to the root of the second moment.
        step: the number of this step, from 1.
        out: a tuple of three arrays for parameter, first and second, filled and returned where given; each may be
            the old one itself.

    Returns:
        The new parameter and moments, of the shape, dtype and kind of the old.

    Raises:
        RuntimeError: there is no GPU, and the simulator is off.
        TypeError: an argument is no array, or of another kind or dtype; an option is no number.
        ValueError: shapes do not fit, an option is out of range, a tensor is not on the GPU, or ``out`` cannot be
            written without harm.
    """
    size = parameter.size
    if not size:
        return
    constants = _constants(parameter.dtype, rate, beta1, beta2, eps, step)
    old, new = flat(parameter, gradient, first, second), flat(*out)
    if pointwise.can_use_fours(*old, *new):
        launch(_fours, enough_blocks(blocks(size, 4), THREADS), THREADS, *old, *constants, *new)
    else:
        launch(_fused, blocks(size, THREADS), THREADS, *old, *constants, *new)
