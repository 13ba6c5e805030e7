"""The matrices of fast convolutions, derived: F(m, r) does m results of a filter of r taps with m + r - 1 products.

Numbers are fractions, so that what is derived is exact, and what is lost later is the work of rounding.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from math import prod

import numpy as np

INFINITY = "infinity"
"""The last point: the value of a polynomial there is its leading coefficient."""

Matrix = tuple[tuple[Fraction, ...], ...]


@dataclass(frozen=True)
class Transforms:
    """F(m, r): m results y[i] = Σ w[j] · x[i + j] of r weights and n = m + r - 1 pixels.

    y = results · (weights · w ⊙ pixels · x), with ⊙ for the products one by one. As rows of fractions, results is
    (m, n), weights (n, r) and pixels (n, n); points are the n - 1 besides infinity.
    """

    m: int
    r: int
    points: tuple[Fraction, ...]
    results: Matrix
    weights: Matrix
    pixels: Matrix

    @property
    def products(self) -> int:
        """Multiplications of a sum of weights with a sum of pixels, in one dimension."""
        return self.m + self.r - 1

    def arrays(self, dtype="float64") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(results, weights, pixels) as arrays; each entry is rounded once. With dtype object, fractions."""
        return tuple(np.array(rows, dtype=dtype) for rows in (self.results, self.weights, self.pixels))


def default_points(count: int) -> tuple[Fraction, ...]:
    """0, 1, -1, 2, -2, 1/2, -1/2, 3, -3, 1/3, -1/3, 4, ...: small numbers, whose powers stay near 1.

    Raises ValueError for a negative count.
    """
    if count < 0:
        raise ValueError(f"count must be 0 or more; got {count}")
    return tuple(islice(_small_numbers(), count))


def _small_numbers() -> Iterable[Fraction]:
    yield from (Fraction(0), Fraction(1), Fraction(-1))
    size = 2
    while True:
        for value in (Fraction(size), Fraction(1, size)):
            yield from (value, -value)
        size += 1


def cook_toom(m: int, r: int, points: Iterable | None = None) -> Transforms:
    """The transforms of F(m, r), from the values of polynomials at `points` and at infinity.

    The product s of a polynomial with m and one with r coefficients has n = m + r - 1 of them, and is known by its
    values at n - 1 points and at infinity: s = C · (E_r w ⊙ E_m d), with the powers of the points in E, and in C the
    coefficients of Lagrange's polynomials. For fixed w that is a matrix which takes m numbers to n; the filter is its
    transpose, E_mᵀ · (E_r w ⊙ Cᵀ x). Denominators go from C to the weights, which are transformed once.

    Toom 1963 and Cook 1966, after S. Winograd, "Arithmetic complexity of computations", SIAM 1980; the names
    F(m, r) and the transposition as in A. Lavin and S. Gray, "Fast algorithms for convolutional neural networks",
    CVPR 2016.

    Args:
        m, r: results and weights, both 1 or more.
        points: m + r - 2 different numbers that a Fraction can be made of; `default_points` if None.

    Raises ValueError for m or r below 1, points of another number, and points that are equal.
    """
    if min(m, r) < 1:
        raise ValueError(f"m and r must be 1 or more; got {m} and {r}")
    at = tuple(map(Fraction, default_points(m + r - 2) if points is None else points))
    if len(set(at)) != m + r - 2 or len(at) != m + r - 2:
        raise ValueError(f"points must be {m + r - 2} different numbers; got {len(set(at))} of {len(at)}")
    n = m + r - 1
    scales = [prod((a - b for b in at if b != a), start=Fraction(1)) for a in at]
    others = [_with_roots([b for b in at if b != a], n) for a in at]
    weights = [[entry / scale for entry in row] for row, scale in zip(_powers(at, r), scales, strict=False)]
    return Transforms(
        m,
        r,
        at,
        results=tuple(zip(*_powers(at, m), strict=True)),
        weights=tuple(map(tuple, [*weights, _powers(at, r)[-1]])),
        pixels=tuple(map(tuple, [*others, _with_roots(at, n)])),
    )


def _powers(points: tuple[Fraction, ...], count: int) -> list[list[Fraction]]:
    """1, a, a², ... for each point, and at last those of infinity: the leading coefficient alone."""
    return [[a**j for j in range(count)] for a in points] + [[Fraction(j == count - 1) for j in range(count)]]


def _with_roots(roots: Iterable[Fraction], n: int) -> list[Fraction]:
    """The coefficients of Π (t - root), from the constant one on, with zeros up to n of them."""
    product = [Fraction(1)] + [Fraction(0)] * (n - 1)
    for root in roots:
        product = [below - root * here for here, below in zip(product, [0, *product], strict=False)]
    return product


def tile_results(transforms: Transforms, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """m x m results for each tile of pixels, summed over the channels before they are transformed back.

    x: shape (tiles, C, n, n) with n = m + r - 1; w: shape (C, r, r), of the same dtype. Returns (tiles, m, m), of that
    dtype. Raises ValueError where the shapes do not fit.
    """
    n, r = transforms.products, transforms.r
    if x.shape[1:] != (len(w), n, n) or w.shape[1:] != (r, r):
        raise ValueError(
            f"x must have shape (tiles, C, {n}, {n}) and w (C, {r}, {r}); got {x.shape} and {w.shape}"
        )
    results, weights, pixels = transforms.arrays(x.dtype)
    spread_w = weights @ w @ weights.T
    spread_x = pixels @ x @ pixels.T
    return results @ (spread_x * spread_w).sum(axis=1) @ results.T
