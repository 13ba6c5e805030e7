"""Elementwise functions at infinite, missing, huge and tiny numbers, their errors in ulp, and several threads."""

import numpy as np
import pytest
import torch

from coursekit.kernels import cpu, reference
from coursekit.kernels.cpu import simd
from coursekit.kernels.ops import OPS
from coursekit.kernels.ops.elementwise import ELEMENTWISE

NAMES = [op.name for op in ELEMENTWISE]
OF_ONE = [name for name in NAMES if len(OPS[name].inputs) == 1]
SPECIAL = [
    np.inf,
    np.nan,
    0.0,
    -0.0,
    1e-45,
    -1e-45,
    1e30,
    -1e30,
    88.72,
    -87.5,
    -104.5,
    17.0,
    -17.0,
    1.0,
    -1.0,
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", OF_ONE)
def test_special_numbers(name, dtype):
    """The same as torch: infinities and nan in the same places, and the others close."""
    x = np.array(SPECIAL * 3, dtype)
    wanted = getattr(reference, name)(x)
    for function in cpu.rungs(name).values():
        np.testing.assert_allclose(function(x), wanted, rtol=1e-6, atol=2e-6 if name == "gelu" else 1e-36)


@pytest.mark.parametrize("name", ["add", "multiply"])
def test_pairs_of_special_numbers(name):
    x, y = (a.reshape(-1).astype(np.float32) for a in np.meshgrid(SPECIAL, [*SPECIAL, -np.inf]))
    for function in cpu.rungs(name).values():
        np.testing.assert_array_equal(function(x, y), getattr(reference, name)(x, y))


# As the docstrings state them; without a fused multiply-add more is lost.
ULP = {"exp": (1.02, 1.7), "tanh": (1.5, 2.2), "sigmoid": (2.5, 3.5), "silu": (3, 4)}


@pytest.mark.parametrize("name", ULP)
def test_errors(name):
    x = np.linspace(-87, 88, 2**18, dtype=np.float32)
    x = np.concatenate([x, x / 90, x / 9000])
    true = OPS[name].reference(x)
    error = np.abs(getattr(cpu, name)(x) - true) / np.spacing(np.abs(true).astype(np.float32))
    assert error.max() <= ULP[name]["fma" not in simd.FEATURES]


@pytest.mark.parametrize("name", NAMES)
def test_threads_leave_the_bits_alone(name):
    arrays = OPS[name].draw(np.random.default_rng(0), {"...": (3, 70_001)})
    once = getattr(cpu, name)(*arrays)
    cpu.set_num_threads(3)
    try:
        np.testing.assert_array_equal(getattr(cpu, name)(*arrays), once)
    finally:
        cpu.set_num_threads(1)


def test_two_shapes_are_one_too_many():
    x = np.ones(3, np.float32)
    for backend in (cpu, reference):
        with pytest.raises(ValueError, match=r"add: y must have shape \(\.\.\.,\)"):
            backend.add(x, np.ones(4, np.float32))
    out = torch.empty(3, 2).T
    reference.gelu(torch.ones(2, 3), out=out)
    torch.testing.assert_close(out, torch.nn.functional.gelu(torch.ones(2, 3)))
