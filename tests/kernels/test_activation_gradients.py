"""Gradients of activations against autograd and finite differences, at infinity, and on several threads."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from coursekit.kernels import cpu
from coursekit.kernels.ops import OPS

INF, NAN = np.inf, np.nan
THEIRS = {
    "bias_relu_grad": (functional.relu, {}),
    "bias_silu_grad": (functional.silu, {}),
    "bias_gelu_grad": (functional.gelu, {"approximate": "none"}),
    "bias_gelu_grad, tanh": (functional.gelu, {"approximate": "tanh"}),
}
RUNGS = [
    pytest.param(name, function, theirs, options, id=f"{function.__name__} {options}")
    for name, (theirs, options) in THEIRS.items()
    for function in cpu.rungs(name.partition(",")[0]).values()
]


@pytest.mark.parametrize(("name", "function", "theirs", "options"), RUNGS)
def test_they_are_those_of_autograd(name, function, theirs, options):
    op = OPS[name.partition(",")[0]]
    arrays = op.draw(np.random.default_rng(0), {"...": (70,), "N": 37}, "float64")
    x, bias = (torch.from_numpy(a.copy()).requires_grad_() for a in arrays[:2])
    theirs(x + bias, **options).backward(torch.from_numpy(arrays[2]))
    for got, leaf in zip(function(*arrays, **options), (x, bias), strict=True):
        np.testing.assert_allclose(got, leaf.grad.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("name", "function", "theirs", "options"), RUNGS)
def test_at_infinity_and_far_out(name, function, theirs, options):
    """Each activation is 0 far below, and v itself far above; a gradient of infinity is no exception to that."""
    x = np.float32([-INF, -1e30, -300, 300, 1e30, INF, NAN] * 3)
    grad, zeros = np.full_like(x, 2), np.zeros_like(x)
    dx, db = function(x, zeros, grad, **options)
    wanted = [0, 0, 0, 2, 2, 2, 2 if "relu" in name else NAN] * 3
    np.testing.assert_allclose(dx, wanted, rtol=1e-6, atol=1e-12)
    np.testing.assert_array_equal(db, dx)


@pytest.mark.parametrize("name", THEIRS)
def test_they_are_differences_of_the_function(name):
    options, name = THEIRS[name][1], name.partition(",")[0]
    v = np.linspace(-7, 7, 1001)
    v, zeros, step = v[np.abs(v) > 1e-3], np.zeros(1000), 1e-5
    forward = OPS[name.removesuffix("_grad")].reference
    slope = (forward(v + step, zeros, **options) - forward(v - step, zeros, **options)) / (2 * step)
    got = getattr(cpu, name)(np.float32(v), np.float32(zeros), np.float32(zeros + 1), **options)[0]
    np.testing.assert_allclose(got, slope, atol=2e-6)


def test_no_gradient_passes_where_relu_is_0():
    grad = np.float32([INF, NAN, 1] * 5)
    for function in cpu.rungs("bias_relu_grad").values():
        assert not function(np.float32([-1, 0, -0.0] * 5), np.zeros_like(grad), grad)[0].any()


@pytest.mark.parametrize("name", ["bias_relu_grad", "bias_gelu_grad"])
def test_threads_leave_the_bits_alone(name):
    arrays = OPS[name].draw(np.random.default_rng(4), {"...": (500,), "N": 700})
    once = getattr(cpu, name)(*arrays)
    cpu.set_num_threads(3)
    try:
        for a, b in zip(getattr(cpu, name)(*arrays), once, strict=True):
            np.testing.assert_array_equal(a, b)
    finally:
        cpu.set_num_threads(1)
