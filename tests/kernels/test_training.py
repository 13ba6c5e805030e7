"""Steps of the optimiser against torch's, look-ups beyond the table, and gradients against autograd."""

import numpy as np
import pytest
import torch

from coursekit.kernels import cpu, reference
from coursekit.kernels.ops import OPS


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("function", [*cpu.rungs("adam_step").values(), reference.adam_step])
def test_adam_in_place_follows_torch(function, dtype):
    rng = np.random.default_rng(0)
    parameter, first, second = rng.standard_normal(99).astype(dtype), np.zeros(99, dtype), np.zeros(99, dtype)
    theirs = torch.nn.Parameter(torch.from_numpy(parameter.copy()))
    optimiser = torch.optim.Adam([theirs], lr=0.01)
    for step in range(1, 21):
        gradient = rng.standard_normal(99).astype(dtype)
        state = (parameter, first, second)
        assert function(parameter, gradient, first, second, rate=0.01, step=step, out=state) is state
        theirs.grad = torch.from_numpy(gradient)
        optimiser.step()
    np.testing.assert_allclose(parameter, theirs.detach().numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("function", cpu.rungs("adam_step").values())
def test_adam_with_outputs_in_each_others_places(function):
    op = OPS["adam_step"]
    arrays = op.draw(np.random.default_rng(1), {"...": (40,)})
    wanted = op.reference(*arrays)
    p, g, m, v = (a.copy() for a in arrays)
    for got, true in zip(function(p, g, m, v, out=(m, v, p)), wanted, strict=True):
        np.testing.assert_allclose(got, true, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"step": 0}, "step must be positive"), ({"beta1": 1.0}, "beta1 must be from 0 to below 1")],
)
def test_wrong_options_of_adam(options, words):
    with pytest.raises(ValueError, match=words):
        cpu.adam_step(*[np.ones(3, np.float32)] * 4, **options)


@pytest.mark.parametrize("wrong", [-1, 5, 2**40])
@pytest.mark.parametrize("function", [*cpu.rungs("embedding").values(), reference.embedding])
def test_a_look_up_beyond_the_table(function, wrong):
    out = np.full((3, 4), 7, np.float32)
    with pytest.raises(IndexError):
        function(np.array([0, 4, wrong]), np.zeros((5, 4), np.float32), out=out)
    assert (out == 7).all()


@pytest.mark.parametrize("N", [7, 64, 129])
@pytest.mark.parametrize("function", cpu.rungs("layer_norm_grad").values())
def test_the_gradients_of_layer_norm_are_those_of_autograd(function, N):
    x, weight, gradient = OPS["layer_norm_grad"].draw(
        np.random.default_rng(2), {"...": (70,), "N": N}, "float64"
    )
    leaves = [torch.from_numpy(a.copy()).requires_grad_() for a in (x, weight, np.zeros(N))]
    torch.nn.functional.layer_norm(leaves[0], (N,), *leaves[1:]).backward(torch.from_numpy(gradient))
    for got, leaf in zip(function(x, weight, gradient), leaves, strict=True):
        np.testing.assert_allclose(got, leaf.grad.numpy(), rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("N", [5, 129])
@pytest.mark.parametrize("function", cpu.rungs("layer_norm_grad").values())
def test_the_gradients_of_layer_norm_far_from_zero(function, N):
    """The mean is ten thousand times the deviation: a mean that is only rounded would be off by its last digits."""
    op = OPS["layer_norm_grad"]
    x, weight, gradient = op.draw(np.random.default_rng(6), {"...": (40,), "N": N})
    x += 1e4
    wanted = op.reference(x, weight, gradient)
    for got, true in zip(function(x, weight, gradient), wanted, strict=True):
        np.testing.assert_allclose(got, true, rtol=1e-5, atol=1e-5 * np.abs(true).max())


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("function", cpu.rungs("softmax_grad").values())
def test_the_gradient_of_softmax_is_that_of_autograd(function, axis):
    rng = np.random.default_rng(3)
    x = torch.from_numpy(rng.standard_normal((33, 21))).requires_grad_()
    gradient = rng.standard_normal((33, 21))
    y = torch.softmax(x, axis)
    y.backward(torch.from_numpy(gradient))
    got = function(y.detach().numpy(), gradient, axis=axis)
    np.testing.assert_allclose(got, x.grad.numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("N", [1, 7, 64, 129])
@pytest.mark.parametrize("function", [*cpu.rungs("rms_norm_grad").values(), reference.rms_norm_grad])
def test_the_gradients_of_rms_norm_are_its_differences(function, N):
    """Autograd is what the reference calls, so the slope of the formula itself is asked, in float64."""
    op = OPS["rms_norm_grad"]
    x, weight, gradient = op.draw(np.random.default_rng(5), {"...": (3,), "N": N}, "float64")
    for got, place in zip(function(x, weight, gradient), (0, 1), strict=True):
        slope = np.empty_like(got)
        for i in np.ndindex(slope.shape):
            ends = []
            for step in (1e-6, -1e-6):
                moved = [x.copy(), weight.copy()]
                moved[place][i] += step
                ends.append((OPS["rms_norm"].reference(*moved) * gradient).sum())
            slope[i] = (ends[0] - ends[1]) / 2e-6
        np.testing.assert_allclose(got, slope, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("N", [3, 8, 70])
@pytest.mark.parametrize("function", [*cpu.rungs("log_sum_exp_grad").values(), reference.log_sum_exp_grad])
def test_the_gradient_of_log_sum_exp_far_from_zero(function, N, dtype):
    x = np.full((4, N), -1e4, dtype)
    x[0, 1], x[1] = 1e4, 1e4
    x[2, :] = -np.inf
    x[3, 1:] = -np.inf
    gradient = np.array([2, -3, 1, 5], dtype)
    got = function(x, gradient)
    np.testing.assert_array_equal(got[0], 2 * (np.arange(N) == 1))
    np.testing.assert_allclose(got[1], np.full(N, -3 / N), rtol=1e-6)
    assert np.isnan(got[2]).all()
    np.testing.assert_array_equal(got[3], 5 * (np.arange(N) == 0))


@pytest.mark.parametrize(("rows", "N"), [(500, 700), (20_000, 10)])
@pytest.mark.parametrize("name", ["layer_norm_grad", "rms_norm_grad", "log_sum_exp_grad"])
def test_gradients_have_the_same_bits_for_any_number_of_threads(name, rows, N):
    arrays = OPS[name].draw(np.random.default_rng(4), {"...": (rows,), "N": N})
    function = getattr(cpu, name)
    once = function(*arrays)
    cpu.set_num_threads(3)
    try:
        for a, b in zip(function(*arrays), once, strict=True):
            np.testing.assert_array_equal(a, b)
    finally:
        cpu.set_num_threads(1)
