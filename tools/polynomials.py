"""The coefficients in coursekit/kernels/cpu/vector_math.py: ``python tools/polynomials.py`` prints them.

Minimax polynomials by Lawson's iteration, reweighted least squares until the largest relative error is level
(Lawson, "Contributions to the theory of linear least maximum approximation", UCLA, 1961).
"""

import mpmath
import numpy as np

mpmath.mp.dps = 40
POINTS, ROUNDS = 4000, 300


def fit(function, low, high, degree, weight):
    """The polynomial (constant term first) and its largest error, where an error counts ``weight(x)`` times."""
    x = (low + high) / 2 - (high - low) / 2 * np.cos(np.pi * (np.arange(POINTS) + 0.5) / POINTS)
    y = np.array([float(function(mpmath.mpf(float(v)))) for v in x])
    counts = np.array([float(weight(mpmath.mpf(float(v)))) for v in x])
    powers = np.vander(x / high, degree + 1, increasing=True)
    share, best, least = np.full(POINTS, 1 / POINTS), None, np.inf
    for _ in range(ROUNDS):
        scale = np.sqrt(share) * counts
        found = np.linalg.lstsq(powers * scale[:, None], y * scale, rcond=None)[0]
        error = abs((powers @ found - y) * counts)
        if error.max() < least:
            best, least = found, error.max()
        share *= error
        share /= share.sum()
    return best / float(high) ** np.arange(degree + 1), least


def erf_split(s):
    return mpmath.erf(mpmath.sqrt(s)) / mpmath.sqrt(s) - 1


def centred_cdf(t):
    """(Φ(v) - ½) / v for v = 5.2 √((t + 1) / 2), a little too large, so that Φ is no more than 0 at -5.2."""
    v = 5.2 * mpmath.sqrt((t + 1) / 2)
    return (mpmath.ncdf(v) - 0.5) / v * (1 + mpmath.mpf(4e-7))


def cdf_weight(t):
    """How much an error of it counts in v·Φ(v)."""
    v = 5.2 * mpmath.sqrt((t + 1) / 2)
    return v * max(v, 1)


FITS = {
    # exp(r) = 1 + r + r² · p(r)
    "EXP": (lambda r: (mpmath.exp(r) - 1 - r) / r**2, -0.3467, 0.3467, 4, lambda r: r**2 / mpmath.exp(r)),
    # exp(r) = 1 + r · p(r)
    "EXP_SHORT": (lambda r: (mpmath.exp(r) - 1) / r, -0.3467, 0.3467, 4, lambda r: abs(r) / mpmath.exp(r)),
    # Φ(v) = ½ + v · p(t) with t = 2v² / 5.2² - 1
    "CDF": (centred_cdf, -1.0, 1.0, 13, cdf_weight),
    # tanh(x) = x + x · s · p(s) with s = x²
    "TANH": (
        lambda s: (mpmath.tanh(mpmath.sqrt(s)) / mpmath.sqrt(s) - 1) / s,
        1e-9,
        0.625**2,
        4,
        lambda s: s,
    ),
    # erf(x) = x + x · p(s) with s = x²
    "ERF_SMALL": (erf_split, 1e-9, 0.875**2, 5, lambda s: 1),
    # erf(x) = 1 - exp(-x · p(x)), where the error of the exponent counts as much as what is left of 1
    "ERF_LARGE": (
        lambda x: -mpmath.log(mpmath.erfc(x)) / x,
        0.875,
        4.0,
        6,
        lambda x: x * mpmath.erfc(x),
    ),
}


def main():
    for name, arguments in FITS.items():
        found, error = fit(*arguments)
        numbers = ", ".join(f"{c:.9g}" for c in found[::-1])
        print(
            f"{name} = _numbers({numbers})  # largest error {error * 2**24:.2g} half units in the last place"
        )


if __name__ == "__main__":
    main()
