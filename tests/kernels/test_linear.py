"""Linear layers: what the bias does, bits that do not depend on rows or threads, and numbers that are none."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from coursekit.kernels import cpu, reference
from coursekit.kernels.ops import OPS

BACKENDS = pytest.mark.parametrize("backend", [reference, cpu], ids=["reference", "cpu"])
OP = OPS["linear"]


def drawn(M, K, N, dtype="float32"):
    return OP.draw(np.random.default_rng(8), {"M": M, "K": K, "N": N}, dtype)


@BACKENDS
@pytest.mark.parametrize("M", [1, 20, 64])
def test_the_bias_may_be_left_out(backend, M):
    x, weight, bias = drawn(M, 30, 21)
    for function in backend.rungs("linear").values():
        np.testing.assert_allclose(function(x, weight), OP.reference(x, weight), 1e-5, 2e-5)
        by_torch = functional.linear(*map(torch.from_numpy, (x, weight, bias))).numpy()
        np.testing.assert_allclose(function(x, weight, bias), by_torch, 1e-5, 2e-5)


@pytest.mark.parametrize("rows", [1, 4, 6, 7, 8, 15, 37])
def test_a_row_has_the_same_bits_among_others(rows):
    """No row count, and so no tile, changes the order of a sum."""
    x, weight, bias = drawn(100, 300, 171)
    panels = cpu.pack_linear(weight)
    together = cpu.linear_packed(x, panels, bias)
    np.testing.assert_array_equal(cpu.linear_packed(x[:rows], panels, bias), together[:rows])


@pytest.mark.parametrize("M", [1, 5, 70, 130])
@pytest.mark.parametrize("name", ["linear", "linear_packed"])
def test_any_number_of_threads_gives_the_same_bits(name, M):
    x, weight, bias = drawn(M, 2100, 1037)
    second = cpu.pack_linear(weight) if name == "linear_packed" else weight
    alone = getattr(cpu, name)(x, second, bias)
    try:
        for number in (2, 3):
            cpu.set_num_threads(number)
            np.testing.assert_array_equal(getattr(cpu, name)(x, second, bias), alone)
    finally:
        cpu.set_num_threads(1)


@pytest.mark.parametrize("M", [1, 3, 20])
@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_a_bad_number_spreads_no_further_than_it_must(M, bad):
    x, weight, bias = drawn(M, 18, 37)
    weight[-1, -1] = bad
    with np.errstate(invalid="ignore"):
        wanted = OP.reference(x, weight, bias)
    for function in cpu.rungs("linear").values():
        np.testing.assert_allclose(function(x, weight, bias), wanted, 1e-5, 2e-5)
    panels = cpu.pack_linear(weight)
    panels[-1, :, 37 % 16 :] = np.nan  # no column
    for function in cpu.rungs("linear_packed").values():
        np.testing.assert_allclose(function(x, panels, bias), wanted, 1e-5, 2e-5)


@BACKENDS
def test_panels_have_to_fit_the_bias(backend):
    x, weight, bias = drawn(2, 5, 17)
    panels = backend.pack_linear(weight)
    with pytest.raises(
        ValueError, match=r"linear_packed: panels must have shape \(P, K, 16\) = \(1, 5, 16\)"
    ):
        backend.linear_packed(x, panels, bias[:16])
    with pytest.raises(ValueError, match=r"linear_packed: panels must have shape .* = \(2, 5, 16\)"):
        backend.linear_packed(x, np.ascontiguousarray(panels[..., :8]), bias)
    with pytest.raises(ValueError, match=r"linear_packed: panels must have shape .* with K = 4 to match x"):
        backend.linear_packed(x[:, :4], panels, bias)
