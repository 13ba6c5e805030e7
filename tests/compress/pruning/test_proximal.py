"""The soft threshold is the minimum it claims to be, and SGD with it leaves exact zeros."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from coursekit.compress import ProximalSGD, soft_threshold


@given(st.floats(-5, 5), st.floats(0, 3))
def test_no_other_value_is_better(w, t):
    found = soft_threshold(torch.tensor([w], dtype=torch.float64), t).item()
    tries = np.concatenate([np.linspace(-6, 6, 4001), [0.0, w]])
    cost = lambda v: t * abs(v) + (v - w) ** 2 / 2  # noqa: E731
    assert cost(found) <= cost(tries).min() + 1e-12
    assert found == 0 or abs(w) > t


def test_a_negative_threshold_is_refused():
    with pytest.raises(ValueError, match="at least 0; got -1"):
        soft_threshold(torch.ones(2), -1)
    with pytest.raises(ValueError, match="l1 must be at least 0"):
        ProximalSGD([torch.nn.Parameter(torch.ones(2))], 0.1, l1=-0.1)


def test_a_step_is_the_gradient_and_then_the_threshold():
    w = torch.nn.Parameter(torch.tensor([1.0, 0.2, -0.3, 0.0]))
    (w * torch.tensor([1.0, 1.0, -1.0, 1.0])).sum().backward()
    ProximalSGD([w], 0.1, l1=1.5).step()
    assert w.tolist() == pytest.approx([0.75, 0, -0.05, 0])


def test_it_solves_the_lasso():
    """Against its optimality conditions: the gradient is -l1 sign(w), or within l1 where w is zero."""
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(40, 10, generator=generator, dtype=torch.float64)
    b = torch.randn(40, generator=generator, dtype=torch.float64)
    w = torch.nn.Parameter(torch.zeros(10, dtype=torch.float64))
    optimizer = ProximalSGD([w], 0.3, l1=0.1)
    for _ in range(500):
        optimizer.zero_grad()
        ((a @ w - b).square().mean() / 2).backward()
        optimizer.step()
    gradient = (a.T @ (a @ w - b) / 40).detach()
    zero = w == 0
    assert 0 < zero.sum() < 10
    assert (gradient[zero].abs() <= 0.1 + 1e-9).all()
    torch.testing.assert_close(gradient[~zero], -0.1 * w.detach()[~zero].sign())


def test_groups_have_their_own_penalty():
    weight, bias = (torch.nn.Parameter(torch.full((3,), 0.1)) for _ in range(2))
    optimizer = ProximalSGD([{"params": [weight]}, {"params": [bias], "l1": 0.0}], 0.1, l1=10.0)
    (weight.sum() * 0 + bias.sum() * 0).backward()
    optimizer.step()
    assert weight.eq(0).all() and bias.eq(0.1).all()
