"""A step of Adam: operation by operation as the paper has it, fused, and on whole vectors."""

from math import sqrt

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.rows import GRAIN, load_part, store_part
from coursekit.kernels.cpu.simd import broadcast, fma, width
from coursekit.kernels.cpu.simd import sqrt as vector_sqrt
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.ops import OPS


@compiled
def _textbook(p, g, m, v, rate, beta1, beta2, eps, step, new_p, new_m, new_v):
    one = 1.0
    for i in range(p.size):
        first = beta1 * m[i] + (one - beta1) * g[i]
        second = beta2 * v[i] + (one - beta2) * g[i] * g[i]
        change = rate * (first / (one - beta1**step)) / (np.sqrt(second / (one - beta2**step)) + eps)
        new_p[i] = p[i] - change
        new_m[i] = first
        new_v[i] = second


def _flat(*arrays):
    return [array.reshape(-1) for array in arrays]


@boundary(OPS["adam_step"])
def adam_step_textbook(
    parameter, gradient, first, second, *, rate=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, step=1, out=None
):
    """:func:`adam_step` as the paper has it: both corrections for each number, with powers and three divisions."""
    arrays = _flat(parameter, gradient, first, second)
    _textbook(*arrays, float(rate), float(beta1), float(beta2), float(eps), int(step), *_flat(*out))


@compiled
def _fused(p, g, m, v, beta1, beta2, rest1, rest2, pace, eps, new_p, new_m, new_v):
    for i in range(p.size):
        first = beta1 * m[i] + rest1 * g[i]
        second = beta2 * v[i] + rest2 * g[i] * g[i]
        new_p[i] = p[i] - pace * first / (np.sqrt(second) + eps)
        new_m[i] = first
        new_v[i] = second


def _constants(dtype, rate, beta1, beta2, eps, step):
    """β₁, β₂, 1-β₁, 1-β₂ and, with the corrections in them, rate and eps."""
    root = sqrt(1 - beta2**step)
    pace = rate * root / (1 - beta1**step)
    return [dtype.type(number) for number in (beta1, beta2, 1 - beta1, 1 - beta2, pace, eps * root)]


@boundary(OPS["adam_step"])
def adam_step_fused(
    parameter, gradient, first, second, *, rate=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, step=1, out=None
):
    """:func:`adam_step` with the corrections taken into rate and eps, once for all (Kingma and Ba, end of section 2).

    One division and one square root are left for each number. The compiler vectorises nothing here: with seven
    arrays that might overlap, it cannot know that a number written is not one still to be read.
    """
    constants = _constants(parameter.dtype, rate, beta1, beta2, eps, step)
    _fused(*_flat(parameter, gradient, first, second), *constants, *_flat(*out))


@compiled
def _vectors(p, g, m, v, beta1, beta2, rest1, rest2, pace, eps, new_p, new_m, new_v):
    for i in range(0, p.size, width(p)):
        count = p.size - i
        slope = load_part(g, i, count)
        first = fma(broadcast(beta1), load_part(m, i, count), broadcast(rest1) * slope)
        second = fma(broadcast(beta2), load_part(v, i, count), broadcast(rest2) * slope * slope)
        change = broadcast(pace) * first / (vector_sqrt(second) + broadcast(eps))
        store_part(new_p, i, load_part(p, i, count) - change, count)
        store_part(new_m, i, first, count)
        store_part(new_v, i, second, count)


@boundary(OPS["adam_step"])
def adam_step(
    parameter, gradient, first, second, *, rate=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, step=1, out=None
):
    """One step of Adam, in place where ``out`` is (parameter, first, second): Kingma and Ba, "Adam: A Method for
    Stochastic Optimization", arXiv:1412.6980, algorithm 1.

    The steps are those of :func:`adam_step_fused`, on vectors. All of a vector is read before any of it is written, and
    each number is read and written once: 28 bytes for each parameter in float32. The moments are right to two roundings
    of their terms, the change of the parameter to 2⁻²⁰ of itself.

    Args:
        parameter, gradient: any shape, float32 or float64; NumPy arrays or torch tensors on the CPU.
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
        TypeError: an argument is no array, or of another kind or dtype; an option is no number.
        ValueError: shapes do not fit, an option is out of range, a tensor is not on the CPU, or ``out`` cannot be
            written without harm.
    """
    constants = _constants(parameter.dtype, rate, beta1, beta2, eps, step)
    old, new = _flat(parameter, gradient, first, second), _flat(*out)

    def work(i, j):
        _vectors(*(array[i:j] for array in old), *constants, *(array[i:j] for array in new))

    split(work, parameter.size, GRAIN)
