"""Pooling against torch where numbers are missing, infinite or equal; gradients against autograd; wrong windows."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from coursekit.kernels import cpu, reference
from coursekit.kernels.ops import OPS

INF, NAN = np.inf, np.nan
WINDOWS = [(2, 2, 0), (3, 2, 1), (3, 1, 1), (4, 3, 2)]
EACH_WINDOW = pytest.mark.parametrize("window", WINDOWS, ids=str)


def options(window):
    return dict(zip(("kernel_size", "stride", "padding"), window, strict=True))


def awkward(dtype):
    """Images with nan, both infinities, -inf alone, and many equal pixels."""
    rng = np.random.default_rng(0)
    x = rng.integers(-2, 3, (2, 3, 13, 37)).astype(dtype)
    for value in (NAN, INF, -INF):
        x[rng.random(x.shape) < 0.03] = value
    x[0, 0], x[1, 1, :, 20:] = -INF, 1
    return x


@EACH_WINDOW
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("function", cpu.rungs("max_pool2d").values())
def test_the_largest_of_awkward_numbers(function, dtype, window):
    x = awkward(dtype)
    wanted = functional.max_pool2d(torch.from_numpy(x), *window).numpy()
    np.testing.assert_array_equal(function(x, **options(window)), wanted)


@EACH_WINDOW
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("function", cpu.rungs("max_pool2d_grad").values())
def test_the_same_pixel_gets_the_gradient_as_in_torch(function, dtype, window):
    x = awkward(dtype)
    leaf = torch.from_numpy(x).requires_grad_()
    out = functional.max_pool2d(leaf, *window)
    grad = np.random.default_rng(1).integers(1, 99, out.shape).astype(dtype)
    out.backward(torch.from_numpy(grad))
    np.testing.assert_array_equal(function(grad, x, **options(window)), leaf.grad.numpy())
    np.testing.assert_array_equal(OPS["max_pool2d_grad"].reference(grad, x, *window), leaf.grad.numpy())


@EACH_WINDOW
@pytest.mark.parametrize("function", cpu.rungs("avg_pool2d_grad").values())
def test_the_gradient_of_the_mean_is_that_of_autograd(function, window):
    leaf = torch.zeros(2, 3, 13, 37, dtype=torch.float64, requires_grad=True)
    out = functional.avg_pool2d(leaf, *window)
    grad = np.random.default_rng(2).standard_normal(out.shape)
    out.backward(torch.from_numpy(grad))
    got = function(grad, size=(13, 37), **options(window))
    np.testing.assert_allclose(got, leaf.grad.numpy(), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("bad", [INF, NAN])
@pytest.mark.parametrize("function", cpu.rungs("avg_pool2d").values())
def test_a_mean_spreads_a_bad_number_to_its_windows_only(function, bad):
    x = np.ones((1, 1, 9, 35), np.float32)
    x[0, 0, 4, 17] = bad
    wanted = functional.avg_pool2d(torch.from_numpy(x), 3, 2, 1).numpy()
    np.testing.assert_allclose(function(x, kernel_size=3, stride=2, padding=1), wanted, rtol=1e-6)


@pytest.mark.parametrize("backend", [cpu, reference])
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda k, x: k.max_pool2d(x, padding=2),
            "max_pool2d: padding must be half of kernel_size 2 or less",
        ),
        (
            lambda k, x: k.avg_pool2d(x, kernel_size=5),
            "avg_pool2d: the window of 5 x 5 must fit into x of 4 x 4",
        ),
        (lambda k, x: k.max_pool2d_grad(x, x), "grad must have 2 x 2 places to match x of 4 x 4 pixels"),
        (lambda k, x: k.avg_pool2d_grad(x, size=(7, 8)), "size must be that of images with 4 x 4 places"),
        (lambda k, x: k.max_pool2d(x, stride=0), "stride must be positive"),
    ],
)
def test_windows_that_do_not_fit(backend, call, words):
    with pytest.raises(ValueError, match=words):
        call(backend, np.ones((1, 1, 4, 4), np.float32))


@pytest.mark.parametrize(
    ("name", "function"),
    [
        pytest.param(name, function, id=function.__name__)
        for name in ("max_pool2d", "avg_pool2d", "max_pool2d_grad", "avg_pool2d_grad")
        for function in cpu.rungs(name).values()
    ],
)
def test_threads_leave_the_bits_alone(name, function):
    op = OPS[name]
    case = op.cases_for("benchmark")[1]
    sizes = {**case.sizes, "B": 1, "C": 17}
    arrays = op.draw(np.random.default_rng(3), sizes, **case.options)
    once = function(*arrays, **case.options)
    cpu.set_num_threads(3)
    try:
        np.testing.assert_array_equal(function(*arrays, **case.options), once)
    finally:
        cpu.set_num_threads(1)
