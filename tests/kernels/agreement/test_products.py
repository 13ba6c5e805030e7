"""The products: of floats, halves, integers, signs, and sparse weights."""

import numpy as np
import pytest
import torch

from coursekit.kernels import cpu
from coursekit.kernels.ops import OPS

from . import assert_agrees
from .suite import *  # noqa: F403
from .suite import all_versions

FAMILIES = ("linear", "half", "integer", "quantised", "binary", "sparse")
MATMUL = OPS["matmul"]
INF, NAN = np.inf, np.nan


def test_a_parameter_is_taken_under_no_grad():
    weight = torch.nn.Parameter(torch.eye(3))
    with torch.no_grad():
        assert not cpu.matmul(weight, torch.ones(3, 2)).requires_grad


@pytest.mark.parametrize("where", ["a", "b"])
@pytest.mark.parametrize("bad", [INF, NAN])
@pytest.mark.parametrize("function", all_versions("matmul"))
def test_matmul_spreads_a_bad_number_no_further_than_it_must(function, bad, where):
    arrays = dict(zip("ab", MATMUL.draw(np.random.default_rng(5), {"M": 5, "K": 6, "N": 7}), strict=True))
    arrays[where][-1, -1] = bad
    assert_agrees(MATMUL, function(**arrays), tuple(arrays.values()), {}, "float32")
