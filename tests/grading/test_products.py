"""Numbers that count their products: their arithmetic, their books, and that they do not show their values."""

from itertools import pairwise
from math import inf, nan

import pytest

from coursekit.grading.products import Counted, counted


def one_by_one(x, w):
    return [a * b for a, b in zip(x, w, strict=True)]


def test_arithmetic():
    def all_of_it(x, w):
        (a, b), (c,) = x, w
        return [a + b, a - b, -a, a * c, 2 * a, a / 4, 1 - b, b + 1, sum([a, b]), 0.5 * a - 3]

    got = counted(all_of_it, [6, 2], [5], most=1, of=10)
    assert got["results"] == [8, 4, -6, 30, 12, 1.5, -1, 3, 8, 0.0]
    assert got["products"] == "at most 1 for 10 results"


@pytest.mark.parametrize(("count", "most", "of"), [(4, 1, 1), (4, 2, 2), (5, 2, 2), (5, 4, 4), (0, 1, 1)])
def test_as_many_as_allowed(count, most, of):
    values = [float(k) for k in range(count)]
    got = counted(one_by_one, values, values, most=most, of=of)
    assert got["products"].startswith("at most") and got["results"] == [v * v for v in values]


def test_one_product_too_many():
    def wasteful(x, w):
        x[0] * w[0]
        return one_by_one(x, w)

    got = counted(wasteful, [1, 2], [3, 4], most=1, of=1)
    assert got == {"results": [3, 8], "products": "more than 1 for 1 results"}


def test_nothing_returned():
    assert counted(lambda x, w: None, [1], [2], most=1, of=1) is None


class Leak:
    def __rmul__(self, value):
        return value

    __radd__ = __rsub__ = __rmul__


class LeakingFloat(float):
    def __rmul__(self, value):
        return value

    __radd__ = __rsub__ = __rmul__


@pytest.mark.parametrize(
    "peek",
    [
        lambda a: a * Leak(),
        lambda a: a + Leak(),
        lambda a: a - Leak(),
        lambda a: a * LeakingFloat(1),
        lambda a: a + LeakingFloat(1),
        lambda a: LeakingFloat(1) - a,
        lambda a: a * [1],
        lambda a: a / a,
        lambda a: 1 / a,
        lambda a: a**2,
        lambda a: a > 1,
        float,
        int,
        lambda a: a * True,
    ],
)
def test_values_are_not_shown(peek):
    with pytest.raises(TypeError):
        counted(lambda x: [peek(x[0])], [3], most=9, of=1)
    assert "3" not in repr(Counted(3, [0])).split(" at ")[0]


def test_results_from_elsewhere():
    with pytest.raises(TypeError, match="made of the numbers given; got float"):
        counted(lambda x: [1.0], [3], most=1, of=1)


HUGE = 1.5 * 2**52


def whole(v):
    """v rounded to a whole number, by arithmetic alone, where sums of floats are rounded."""
    return (v + HUGE) - HUGE


def digits(v, count=4):
    """The binary digits of a whole number from 0 to 2**count - 1, the lowest first."""
    floors = [whole(v / 2**k - 0.46875) for k in range(count + 1)]
    return [low - 2 * high for low, high in pairwise(floors)]


def by_digits(x, w):
    """A product without a product: two digits are both 1 where half their sum, less a quarter, rounds to 1."""
    pairs = [(j + k, a, b) for j, a in enumerate(digits(x[0])) for k, b in enumerate(digits(w[0]))]
    return [sum(2**place * whole((a + b) / 2 - 0.25) for place, a, b in pairs)]


def and_gate(x, w):
    """The same for single digits, by a number beside which all others vanish."""
    return [((x[0] + w[0] - 1.5) * 2.0**27 + 2.0**80) - 2.0**80]


def test_digits_cannot_be_cut_off():
    assert by_digits([11.0], [13.0]) == [143.0], "the attack works on floats"
    got = counted(by_digits, [11.0], [13.0], most=1, of=1)
    assert got["products"].startswith("at most") and got["results"] != [143.0]
    assert and_gate([1.0], [1.0]) != [0.5 * 2.0**27], "this one, too"
    assert counted(and_gate, [1.0], [1.0], most=0, of=1)["results"] == [0.5 * 2.0**27]


def test_nothing_is_rounded():
    got = counted(
        lambda x: [(x[0] + 1e300) - 1e300, (x[0] * 1e-300) * 1e300, x[0] / 3 * 3], [0.1], most=0, of=1
    )
    assert got["results"][0] == 0.1 and got["results"][2] == 0.1
    assert got["results"][1] == pytest.approx(0.1, rel=1e-12)


@pytest.mark.parametrize("number", [inf, -inf, nan])
@pytest.mark.parametrize(
    "use", [lambda a, n: a + n, lambda a, n: n - a, lambda a, n: a * n, lambda a, n: a / n]
)
def test_only_finite_numbers(number, use):
    with pytest.raises(ValueError, match="finite numbers only"):
        counted(lambda x: [use(x[0], number)], [3], most=1, of=1)
    with pytest.raises(ValueError, match="finite numbers only"):
        Counted(number, [0])
