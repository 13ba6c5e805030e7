"""Of operations that may write where they read: the result in the place of the first input."""

import numpy as np
import pytest

from . import assert_agrees
from .suite import LAYOUTS, empties


@pytest.mark.parametrize("layout", ["as drawn", "columns first", "reversed"])
def test_in_place(op, function, layout):
    case = op.cases_for("test")[1]
    first, *others = op.draw(np.random.default_rng(4), case.sizes, **case.options)
    x = LAYOUTS[layout](first).copy(order="K")
    rest = empties(op, (first, *others), case.options)[1:]
    out = (x, *rest) if rest else x
    assert function(x, *others, **case.options, out=out) is out
    assert_agrees(op, out, (first, *others), case.options, "float32")
