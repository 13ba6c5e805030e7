"""Numbers that count their products: their arithmetic, their books, and that they do not show their values."""

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
