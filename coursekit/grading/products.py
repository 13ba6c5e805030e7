"""Numbers that keep count of their products, for tasks in which multiplications are what costs.

An answer gets numbers that it can add, subtract, negate and multiply, and whose values it cannot see. So whatever it
makes of two of them it has made by products that were counted, or by sums. The arithmetic is exact: where sums are
rounded, adding a huge plain number and taking it away again cuts digits off, and digits make products that nobody
counts. All of this stands in a module of its own, as an answer may give names of its notebook, also those of builtins,
another meaning.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import isfinite

PLAIN = (int, float)


class Counted:
    """A number that counts its products with others of its kind; products with plain numbers are free.

    value: finite; it is held as a fraction, so that nothing is rounded. Raises ValueError for other values.
    """

    __slots__ = ("_books", "_value")

    def __init__(self, value: float | Fraction, books: list[int]) -> None:
        self._value, self._books = _exactly(value), books

    def __add__(self, other):
        return Counted(self._value + _value_of(other), self._books)

    __radd__ = __add__

    def __neg__(self):
        return Counted(-self._value, self._books)

    def __sub__(self, other):
        return Counted(self._value - _value_of(other), self._books)

    def __rsub__(self, other):
        return Counted(_value_of(other) - self._value, self._books)

    def __mul__(self, other):
        self._books[0] += type(other) is Counted
        return Counted(self._value * _value_of(other), self._books)

    __rmul__ = __mul__

    def __truediv__(self, other):
        if type(other) is Counted:
            raise TypeError("a Counted number can be divided by a plain number only")
        return Counted(self._value / _value_of(other), self._books)


def _exactly(value: float | Fraction) -> Fraction:
    if type(value) is float and not isfinite(value):
        raise ValueError(f"a Counted number goes with finite numbers only; got {value}")
    return Fraction(value)


def _value_of(number) -> Fraction:
    """The value, of Counted and of plain numbers; types made of these could pass on what they are given."""
    if type(number) is Counted:
        return number._value
    if type(number) in PLAIN:
        return _exactly(number)
    raise TypeError(f"a Counted number goes with others, int and float; got {type(number).__name__}")


def counted(function: Callable, *lists: Sequence[float], most: int, of: int) -> dict | None:
    """Call ``function`` with lists of Counted numbers; what it returns, and whether it needed too many products.

    most, of: so many products are allowed for each ``of`` results, or part of them.

    Returns {"results": their values, each rounded once to a float, "products": "at most ..." or "more than ..."}, None
    where the function returned that. Raises TypeError where a result is no Counted number, OverflowError where one is
    too large for a float, and what the function raises.
    """
    books = [0]
    found = function(*([Counted(value, books) for value in values] for values in lists))
    if found is None:
        return None
    results = list(found)
    for result in results:
        if type(result) is not Counted:
            raise TypeError(f"results must be made of the numbers given; got {type(result).__name__}")
    limit = most * -(-len(results) // of)
    verdict = "at most" if books[0] <= limit else "more than"
    return {
        "results": [float(result._value) for result in results],
        "products": f"{verdict} {most} for {of} results",
    }
