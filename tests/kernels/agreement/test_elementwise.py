"""What works element by element."""

import numpy as np
import pytest

from coursekit.kernels.ops import OPS

from . import assert_agrees
from .in_place import *  # noqa: F403
from .suite import *  # noqa: F403
from .suite import all_versions

FAMILIES = ("elementwise", "activation", "activation_gradients")
BIAS_GELU = OPS["bias_gelu"]
INF, NAN = np.inf, np.nan


@pytest.mark.parametrize("approximate", ["none", "tanh"])
@pytest.mark.parametrize("function", all_versions("bias_gelu"))
def test_bias_gelu_of_extreme_numbers(function, approximate):
    x = np.array([INF, -INF, NAN, 1e20, -1e20, 30, -30, 5, -5, 0], np.float32)
    arrays = (x, np.zeros_like(x))
    got = function(*arrays, approximate=approximate)
    assert_agrees(BIAS_GELU, got, arrays, {"approximate": approximate}, "float32")
