"""The gradients of attention: finite differences, many blocks, huge scores, and several threads."""

import numpy as np
import pytest

from coursekit.kernels import cpu
from coursekit.kernels.ops import OPS

from .agreement import assert_agrees

OP = OPS["attention_grad"]
rungs = pytest.mark.parametrize("function", cpu.rungs("attention_grad").values())


def draw(heads, M, N, D, E, dtype="float32"):
    return OP.draw(np.random.default_rng(0), {"...": (heads,), "M": M, "N": N, "D": D, "E": E}, dtype)


@pytest.mark.parametrize("causal", [False, True])
@rungs
def test_they_are_differences_of_the_loss(function, causal):
    q, k, v, grad = draw(2, 7, 9, 4, 5, "float64")
    rng, step = np.random.default_rng(1), 1e-5
    for i, found in enumerate(function(q, k, v, grad, causal=causal)):
        direction = rng.standard_normal(found.shape)
        ends = []
        for sign in (1, -1):
            moved = [a + sign * step * direction if j == i else a for j, a in enumerate((q, k, v))]
            ends.append((cpu.attention(*moved, causal=causal) * grad).sum())
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(
            (found * direction).sum(), rel=1e-6, abs=1e-8
        )


@rungs
def test_scores_of_thousands(function):
    """One key takes all the weight, and nothing becomes nan."""
    q, k, v, grad = draw(1, 5, 7, 4, 3)
    arrays = (q * 1000, k, v, grad)
    assert_agrees(OP, function(*arrays), arrays, {}, "float32")


@rungs
def test_threads_leave_the_bits_alone(function):
    arrays = draw(5, 100, 50, 8, 8)
    once = function(*arrays, causal=True)
    cpu.set_num_threads(3)
    try:
        for a, b in zip(function(*arrays, causal=True), once, strict=True):
            np.testing.assert_array_equal(a, b)
    finally:
        cpu.set_num_threads(1)
