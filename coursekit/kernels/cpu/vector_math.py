"""exp, tanh and erf of a whole vector of float32, for kernels in plain Python.

Each takes and gives a :class:`~coursekit.kernels.cpu.simd.Vector` of float32 inside ``@njit`` code, has no branches,
and is right for every float32, infinities, nan and subnormal numbers included; the errors, in units in the last place
of the result, are measured by ``python benchmarks/accuracy.py``. The polynomials come from ``tools/polynomials.py``.
"""

import numpy as np

from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.simd import (
    absolute,
    bits,
    broadcast,
    copysign,
    fma,
    maximum,
    minimum,
    select,
)


def _numbers(*values):
    return tuple(map(np.float32, values))


EXP = _numbers(0.00138145598, 0.00836873557, 0.0416683899, 0.166665205, 0.499999934)
EXP_SHORT = _numbers(0.00829028356, 0.0418980973, 0.166676376, 0.499991483, 0.999999707, 1)
CDF = _numbers(
    *(
        -0.000405060261,
        0.00121051749,
        -0.0014335514,
        0.00195427616,
        -0.0045670267,
        0.00840853765,
        -0.0126136931,
    ),
    *(0.0180221849, -0.024698722, 0.0319766954, -0.0399321736, 0.0500254738, -0.067743636, 0.135950037),
)
TANH = _numbers(-0.00571704495, 0.0206505872, -0.0537434981, 0.133314913, -0.333332839)
ERF_SMALL = _numbers(-0.000622242293, 0.00503587221, -0.0267939549, 0.112825242, -0.376125572, 0.128379159)
ERF_LARGE = _numbers(
    9.7503615e-06, -0.000308029358, 0.00358260962, -0.0236360202, 0.106091263, 0.635238867, 1.12862707
)

ZERO, ONE, MINUS_ONE, TWO = _numbers(0, 1, -1, 2)
LOG2_E = np.float32(1.4426950408889634)
# ln 2 in two parts; an integer of three digits times the first is exact.
LN2_HIGH, LN2_LOW = _numbers(0.693359375, -2.12194440e-4)
MINUS_LN2 = np.float32(-0.6931471805599453)
# Added to a number below 2²², it leaves the nearest integer in the last bits.
ROUNDER = np.float32(1.5 * 2**23)
ROUNDER_BITS = np.int32(ROUNDER.view(np.int32))
EXP_LOWEST, EXP_HIGHEST = _numbers(-104.5, 89.5)
# The same with the exponent's bias of 127, so that a shift leaves the bits of 2ⁿ, n from -126 to 127; 128 gives inf.
BIASED_ROUNDER = np.float32(1.5 * 2**23 + 127)
NORMAL_LOWEST, NORMAL_HIGHEST = _numbers(-87.336, 89.0)
# Below this n is -127, whose bits with the bias are those of 0.
BELOW_LOWEST = np.float32(-88)
HALF, CDF_END, CDF_SCALE = _numbers(0.5, 5.2, 2 / 5.2**2)
TANH_SPLIT, ERF_SPLIT, ERF_ONE = _numbers(0.625, 0.875, 4.0)
ONE_BITS, MANTISSA = np.int32(127), np.int32(23)
HALVE = np.int32(1)


@compiled(inline=True)
def polynomial(x, coefficients):
    """The polynomial with these coefficients, highest power first, by Horner's rule."""
    total = broadcast(coefficients[0])
    for i in range(1, len(coefficients)):
        total = fma(total, x, broadcast(coefficients[i]))
    return total


@compiled(inline=True)
def power_of_two(n):
    """2ⁿ as float32, for a vector of int32 from -126 to 127."""
    return bits((n + broadcast(ONE_BITS)) << broadcast(MANTISSA))


@compiled(inline=True)
def exp(x):
    """eˣ: x = n·ln 2 + r with an integer n and r between ±½ ln 2, and then 2ⁿ · eʳ.

    Muller, "Elementary Functions", 3rd ed., 2016, section 11 (Cody and Waite's reduction). 2ⁿ is multiplied in two
    parts, each a normal number, so that results below 2⁻¹²⁶ come out subnormal instead of 0.
    """
    x = minimum(broadcast(EXP_HIGHEST), maximum(broadcast(EXP_LOWEST), x))
    shifted = fma(x, broadcast(LOG2_E), broadcast(ROUNDER))
    n = shifted - broadcast(ROUNDER)
    r = fma(n, broadcast(-LN2_LOW), fma(n, broadcast(-LN2_HIGH), x))
    power = fma(r * r, polynomial(r, EXP), r) + broadcast(ONE)
    whole = bits(shifted) - broadcast(ROUNDER_BITS)
    half = whole >> broadcast(HALVE)
    return power * power_of_two(half) * power_of_two(whole - half)


@compiled(inline=True)
def exp_normal(x):
    """eˣ as :func:`exp` has it for x from -87.336 to 88.37, the value at -87.336 below that, and inf above.

    That is half the work: no result is subnormal, so 2ⁿ is one number, and its bits come from one shift.
    """
    x = minimum(broadcast(NORMAL_HIGHEST), maximum(broadcast(NORMAL_LOWEST), x))
    shifted = fma(x, broadcast(LOG2_E), broadcast(BIASED_ROUNDER))
    n = shifted - broadcast(BIASED_ROUNDER)
    r = fma(n, broadcast(-LN2_LOW), fma(n, broadcast(-LN2_HIGH), x))
    power = fma(r * r, polynomial(r, EXP), r) + broadcast(ONE)
    return power * bits(bits(shifted) << broadcast(MANTISSA))


@compiled(inline=True)
def exp_below(x):
    """eˣ for x ≤ 0, to 1e-6 of the result where x > -30 and 1e-5 down to -87.3; 0 below -87.7, between them either.

    For sums of weights, in which small ones count little: ln 2 is one number, the polynomial is a term shorter than
    that of :func:`exp_normal`, and 0 needs no instruction of its own.
    """
    x = maximum(broadcast(BELOW_LOWEST), x)
    shifted = fma(x, broadcast(LOG2_E), broadcast(BIASED_ROUNDER))
    r = fma(shifted - broadcast(BIASED_ROUNDER), broadcast(MINUS_LN2), x)
    return polynomial(r, EXP_SHORT) * bits(bits(shifted) << broadcast(MANTISSA))


@compiled(inline=True)
def normal_cdf(x):
    """Φ(x), the share of a standard normal distribution below x, with an error of at most 4e-7; 0 up to -5.2.

    One polynomial in x² gives (Φ(x) - ½) / x from 0 to 5.2, where Φ is 1 to the last digit but one. Its argument is
    moved to between -1 and 1: powers of x² itself would cancel each other there. For a product with Φ this is as good
    as erf and half the work: beside ½ nothing is left of the digits that erf has near 0.
    """
    x = minimum(broadcast(CDF_END), maximum(broadcast(-CDF_END), x))
    t = fma(x * x, broadcast(CDF_SCALE), broadcast(MINUS_ONE))
    return maximum(broadcast(ZERO), fma(x, polynomial(t, CDF), broadcast(HALF)))


@compiled(inline=True)
def tanh(x):
    """tanh x: a polynomial where x is small, 1 - 2 / (e²ˣ + 1) elsewhere, which would lose digits there."""
    size = absolute(x)
    square = x * x
    small = fma(x * square, polynomial(square, TANH), x)
    large = broadcast(ONE) - broadcast(TWO) / (exp_normal(size + size) + broadcast(ONE))
    return copysign(select(size < broadcast(TANH_SPLIT), small, large), x)


@compiled(inline=True)
def erf(x):
    """erf x: a polynomial where x is small, 1 - e^(-x·p(x)) elsewhere; from 4 on it is 1 to the last digit."""
    size = minimum(broadcast(ERF_ONE), absolute(x))
    small = fma(x, polynomial(size * size, ERF_SMALL), x)
    rest = exp_normal(size * polynomial(size, ERF_LARGE) * broadcast(MINUS_ONE))
    return select(size < broadcast(ERF_SPLIT), small, copysign(broadcast(ONE) - rest, x))
