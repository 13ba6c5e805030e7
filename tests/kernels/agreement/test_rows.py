"""What works on rows: norms, reductions, updates, code books."""

import numpy as np
import pytest

from coursekit.kernels.ops import OPS

from . import assert_agrees
from .in_place import *  # noqa: F403
from .suite import *  # noqa: F403
from .suite import all_versions

FAMILIES = ("normalisation", "reduction", "training", "codebook")
SOFTMAX = OPS["softmax"]
INF, NAN = np.inf, np.nan


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("row", [[1e4, -1e4, 0], [-1e4, -1e4, -1e4 + 1], [-INF, 0, 1], [1e30, 1e30, 0]])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("function", all_versions("softmax"))
def test_softmax_is_stable(function, axis, row, dtype):
    x = np.stack([row, row], 1 - axis).astype(dtype)
    got = function(x, axis=axis)
    assert_agrees(SOFTMAX, got, (x,), {"axis": axis}, dtype)
    np.testing.assert_allclose(got.sum(axis), 1, rtol=1e-6)


@pytest.mark.parametrize("row", [[-INF, -INF, -INF], [NAN, 0, 1], [INF, 0, 1]])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("function", all_versions("softmax"))
def test_softmax_has_no_answer(function, axis, row):
    x = np.stack([row, [0, 0, 0]], 1 - axis).astype(np.float32)
    hopeless, good = np.moveaxis(function(x, axis=axis), 1 - axis, 0)
    assert np.isnan(hopeless).all()
    assert np.isnan(SOFTMAX.reference(x, axis)).sum() == 3
    np.testing.assert_allclose(good, 1 / 3, rtol=1e-6)
