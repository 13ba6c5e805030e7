"""Fast convolutions derived from polynomials: exact in fractions, and the matrices that the kernels use."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coursekit.kernels.cook_toom import cook_toom, default_points, tile_results
from coursekit.kernels.cpu import winograd

fractions = st.fractions(-5, 5, max_denominator=6)


def filtered(x, w):
    """The results as they are defined."""
    return [
        sum((a * b for a, b in zip(w, x[i:], strict=False)), Fraction(0)) for i in range(len(x) - len(w) + 1)
    ]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(m=st.integers(1, 6), r=st.integers(1, 5), data=st.data())
def test_any_size_and_any_points_are_exact(m, r, data):
    n = m + r - 1
    points = data.draw(st.lists(fractions, min_size=n - 1, max_size=n - 1, unique=True))
    x, w = (data.draw(st.lists(fractions, min_size=k, max_size=k)) for k in (n, r))
    results, weights, pixels = cook_toom(m, r, points).arrays(object)
    assert results.shape == (m, n) and weights.shape == (n, r) and pixels.shape == (n, n)
    assert list(results @ ((weights @ w) * (pixels @ x))) == filtered(x, w)


@pytest.mark.parametrize(("m", "r"), [(1, 1), (2, 3), (3, 2), (4, 3), (6, 3), (2, 5), (1, 4)])
def test_the_default_points(m, r):
    transforms = cook_toom(m, r)
    results, weights, pixels = transforms.arrays(object)
    x, w = ([Fraction(7 * k * k - 3, k + 1) for k in range(size)] for size in (m + r - 1, r))
    assert list(results @ ((weights @ w) * (pixels @ x))) == filtered(x, w)
    assert transforms.products == m + r - 1 == len(transforms.points) + 1


def test_the_points():
    expected = (0, 1, -1, 2, -2, Fraction(1, 2), Fraction(-1, 2), 3, -3, Fraction(1, 3), Fraction(-1, 3), 4)
    assert default_points(12) == expected and default_points(0) == ()


def test_the_matrices_of_lavin_and_gray():
    """Section 4.1, but for the signs of rows, which appear twice and cancel."""
    results, weights, pixels = cook_toom(2, 3).arrays()
    np.testing.assert_array_equal(np.abs(weights), np.abs(winograd.FILTERS[2]))
    theirs = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])
    signs = np.sign((pixels * theirs).sum(axis=1))
    np.testing.assert_array_equal(signs[:, None] * pixels, theirs)
    np.testing.assert_array_equal(np.abs(results), [[1, 1, 1, 0], [0, 1, 1, 1]])


def test_the_matrices_of_the_kernel():
    """cpu/winograd.py has them by heart; a row's sign may differ."""
    _, weights, pixels = cook_toom(4, 3).arrays()
    np.testing.assert_allclose(np.abs(weights), np.abs(winograd.FILTERS[4]), rtol=1e-15)
    np.testing.assert_array_equal(pixels[1], [0, -4, -4, 1, 1, 0])


@pytest.mark.parametrize(("m", "r"), [(2, 3), (4, 3), (3, 2), (1, 1)])
@pytest.mark.parametrize("C", [1, 5])
def test_tiles(m, r, C):
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(7, C, m + r - 1, m + r - 1)), rng.normal(size=(C, r, r))
    windows = np.lib.stride_tricks.sliding_window_view(x, (r, r), (2, 3))
    wanted = np.einsum("tcijrs,crs->tij", windows, w)
    np.testing.assert_allclose(tile_results(cook_toom(m, r), x, w), wanted, rtol=1e-10, atol=1e-11)
    single = tile_results(cook_toom(m, r), np.float32(x), np.float32(w))
    assert single.dtype == np.float32 and np.abs(single - wanted).max() < 1e-3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cook_toom(0, 3), "m and r must be 1 or more; got 0 and 3"),
        (lambda: cook_toom(2, 3, [0, 1]), "3 different numbers; got 2 of 2"),
        (lambda: cook_toom(2, 3, [0, 1, 1]), "3 different numbers; got 2 of 3"),
        (lambda: default_points(-1), "0 or more; got -1"),
        (
            lambda: tile_results(cook_toom(2, 3), np.ones((1, 2, 4, 5)), np.ones((2, 3, 3))),
            r"x must have shape \(tiles, C, 4, 4\)",
        ),
    ],
)
def test_what_does_not_fit(call, message):
    with pytest.raises(ValueError, match=message):
        call()
