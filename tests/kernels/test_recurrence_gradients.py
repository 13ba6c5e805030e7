"""Gradients through time against autograd and finite differences; initial states left out; several threads."""

import numpy as np
import pytest
import torch

from coursekit.kernels import cpu, reference
from coursekit.kernels.ops import OPS

from .agreement import assert_agrees

NAMES = ("rnn", "lstm", "gru")
MODULES = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
RUNGS = [pytest.param(n, f, id=f.__name__) for n in NAMES for f in cpu.rungs(f"{n}_grad").values()]


def draw(name, N, T, I, H, dtype="float64"):
    return OPS[f"{name}_grad"].draw(np.random.default_rng(0), {"N": N, "T": T, "I": I, "H": H}, dtype)


@pytest.mark.parametrize(("name", "function"), RUNGS)
def test_they_are_those_of_autograd(name, function):
    x, *weights, grad = draw(name, 7, 9, 5, 6)[:6]
    network = MODULES[name](5, 6, batch_first=True).double()
    with torch.no_grad():
        for parameter, weight in zip(network.parameters(), weights, strict=True):
            parameter.copy_(torch.from_numpy(weight))
    leaf = torch.from_numpy(x.copy()).requires_grad_()
    network(leaf)[0].backward(torch.from_numpy(grad))
    for got, theirs in zip(function(x, *weights, grad), (leaf, *network.parameters()), strict=False):
        np.testing.assert_allclose(got, theirs.grad.numpy(), rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("name", NAMES)
def test_they_are_differences_of_the_loss(name):
    """A small step in a random direction changes the loss by the product of step and gradient, for each argument."""
    rng, arrays = np.random.default_rng(1), draw(name, 3, 5, 4, 3)
    grad, step = arrays[5], 1e-5
    states, of_cell = (arrays[6:8], arrays[8]) if name == "lstm" else (arrays[6:], 0)
    inputs = (*arrays[:5], *states)

    def loss(moved):
        out, *last = getattr(cpu, name)(*moved)
        return (out * grad).sum() + (last[-1] * of_cell).sum()

    for i, found in enumerate(getattr(cpu, f"{name}_grad")(*arrays)):
        direction = rng.standard_normal(found.shape)
        ends = [
            loss([a + sign * step * direction if j == i else a for j, a in enumerate(inputs)])
            for sign in (1, -1)
        ]
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(
            (found * direction).sum(), rel=1e-6, abs=1e-7
        )


@pytest.mark.parametrize("function", [*cpu.rungs("lstm_grad").values(), reference.lstm_grad])
def test_initial_states_that_are_left_out_are_zeros(function):
    *six, h0, c0, grad_c = draw("lstm", 5, 4, 3, 6, "float32")
    for states in ((), (h0,), (None, c0), (None, None, grad_c), (h0, None, grad_c)):
        assert_agrees(OPS["lstm_grad"], function(*six, *states), (*six, *states), {}, "float32")


@pytest.mark.parametrize("function", [*cpu.rungs("lstm_grad").values(), reference.lstm_grad])
def test_a_sequence_in_two_parts_with_the_gradient_of_the_cell_between(function):
    """Truncated nowhere: what the second part gives its initial states is what the first part's last ones get."""
    x, *weights, grad = draw("lstm", 5, 9, 3, 6)[:6]
    whole = function(x, *weights, grad)
    _, h, c = cpu.lstm(x[:, :4], *weights)
    tail = function(x[:, 4:], *weights, grad[:, 4:], h, c)
    ahead = grad[:, :4].copy()
    ahead[:, -1] += tail[5]
    head = function(x[:, :4], *weights, ahead, None, None, tail[6])
    np.testing.assert_allclose(np.concatenate([head[0], tail[0]], 1), whole[0], rtol=1e-9, atol=1e-12)
    for a, b, both in zip(head[1:5], tail[1:5], whole[1:5], strict=True):
        np.testing.assert_allclose(a + b, both, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_gates_that_are_shut_or_wide_open(name):
    """Sums of hundreds: every gate is 0 or 1, and nothing becomes nan."""
    x, w, u, b, d, grad, *states = draw(name, 5, 4, 3, 6, "float32")
    arrays = (x, w * 300, u * 300, b, d, grad, *states)
    for function in cpu.rungs(f"{name}_grad").values():
        assert all(np.isfinite(found).all() for found in function(*arrays))


@pytest.mark.parametrize(("name", "function"), RUNGS)
def test_threads_leave_the_bits_alone(name, function):
    arrays = draw(name, 200, 3, 40, 70, "float32")
    once = function(*arrays)
    cpu.set_num_threads(3)
    try:
        for a, b in zip(function(*arrays), once, strict=True):
            np.testing.assert_array_equal(a, b)
    finally:
        cpu.set_num_threads(1)
