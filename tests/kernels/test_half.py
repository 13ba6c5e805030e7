"""float16 on the CPU, which computes with none: every pattern of bits is widened to the same number as NumPy's."""

import numpy as np
import pytest

from coursekit.kernels import cpu

EVERY = np.arange(2**16, dtype=np.uint16).view(np.float16).reshape(-1, 1)
ONE = np.ones((1, 1), np.float16)


@pytest.mark.parametrize("rows", [1, 2**16], ids=["few rows", "many rows"])
@pytest.mark.parametrize("function", cpu.rungs("half_matmul").values(), ids=lambda f: f.__name__)
def test_every_float16_times_one_is_itself(function, rows):
    got = function(EVERY, ONE) if rows > 1 else function(ONE, EVERY.T).T
    wanted = EVERY.astype(np.float32)
    np.testing.assert_array_equal(got, wanted)
    finite = np.isfinite(wanted) & (wanted != 0)
    np.testing.assert_array_equal(np.signbit(got[finite]), np.signbit(wanted[finite]))
