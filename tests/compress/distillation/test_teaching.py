"""The losses of distillation, against their formulas in float64 NumPy and their gradients against differences."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax

from coursekit import compress


def logits(seed, n, classes, scale=3.0):
    return np.random.default_rng(seed).normal(0, scale, size=(2, n, classes))


def soft(z, v, temperature):
    """T² KL(softmax(v/T) || softmax(z/T)), mean over the rows."""
    p = softmax(v / temperature, axis=1)
    gaps = log_softmax(v / temperature, axis=1) - log_softmax(z / temperature, axis=1)
    return temperature**2 * np.mean(np.sum(p * gaps, axis=1))


shapes = st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 7), st.integers(1, 12))
temperatures = st.sampled_from([0.3, 1.0, 2.5, 20.0])


@settings(max_examples=40, deadline=None)
@given(shapes, temperatures)
def test_the_soft_loss_is_its_formula(shape, temperature):
    z, v = logits(*shape)
    found = compress.soft_loss(torch.from_numpy(z), torch.from_numpy(v), temperature)
    assert float(found) == pytest.approx(soft(z, v, temperature), rel=1e-9, abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(shapes, temperatures)
def test_the_gradient_is_that_of_differences(shape, temperature):
    z, v = logits(*shape)
    found = compress.soft_gradient(torch.from_numpy(z), torch.from_numpy(v), temperature).numpy()
    for i, k in np.ndindex(z.shape):
        step = np.zeros_like(z)
        step[i, k] = 1e-5
        slope = (soft(z + step, v, temperature) - soft(z - step, v, temperature)) / 2e-5
        assert found[i, k] == pytest.approx(slope, rel=1e-5, abs=1e-8)


@settings(max_examples=25, deadline=None)
@given(shapes, temperatures)
def test_autograd_finds_the_same_gradient(shape, temperature):
    z, v = map(torch.from_numpy, logits(*shape))
    z.requires_grad_(), v.requires_grad_()
    compress.soft_loss(z, v, temperature).backward()
    torch.testing.assert_close(z.grad, compress.soft_gradient(z.detach(), v.detach(), temperature))
    assert v.grad is None


def test_at_high_temperature_the_gradient_is_that_of_matching_logits():
    z, v = map(torch.from_numpy, logits(0, 5, 10))
    z, v = (x - x.mean(1, keepdim=True) for x in (z, v))
    found = compress.soft_gradient(z, v, 1e4)
    torch.testing.assert_close(found, (z - v) / 10 / 5, rtol=1e-3, atol=1e-4)


def test_very_large_logits_have_a_loss():
    z, v = torch.tensor([[1e4, 0.0]]), torch.tensor([[0.0, 1e4]])
    assert float(compress.soft_loss(z, v, 2.0)) == pytest.approx(2.0**2 * 1e4 / 2.0)
    assert float(compress.soft_loss(z, z, 2.0)) == 0
    assert torch.equal(compress.softened(z, 1.0), torch.tensor([[1.0, 0.0]]))


def test_hintons_loss_is_the_task_and_the_teacher():
    z, v = logits(3, 6, 4)
    y = np.array([0, 3, 1, 1, 2, 0])
    task = -np.mean(log_softmax(z, axis=1)[np.arange(6), y])
    found = compress.hinton_loss(*map(torch.from_numpy, (z, v, y)), temperature=2.0, weight=0.7)
    assert float(found) == pytest.approx(task + 0.7 * soft(z, v, 2.0))


def test_the_task_loss_is_on_average_the_mean_over_the_labelled():
    z, _ = logits(4, 12, 5)
    y = np.where(np.arange(12) % 3 == 0, np.arange(12) % 5, -1)
    known = y >= 0
    mean = -np.mean(log_softmax(z, axis=1)[known, y[known]])
    parts = [
        compress.task_loss(torch.from_numpy(z[i : i + 2]), torch.from_numpy(y[i : i + 2]), known.mean())
        for i in range(0, 12, 2)
    ]
    assert float(sum(parts) / 6) == pytest.approx(mean)


def test_features_are_compared_number_by_number():
    a, b = np.random.default_rng(5).normal(size=(2, 3, 4))
    found = compress.feature_loss(torch.from_numpy(a), torch.from_numpy(b))
    assert float(found) == pytest.approx(np.mean((a - b) ** 2))
    with pytest.raises(ValueError, match=r"same shape; got \(3, 4\) and \(4, 3\)"):
        compress.feature_loss(torch.zeros(3, 4), torch.zeros(4, 3))


def test_attention_is_where_the_squares_are():
    maps = np.random.default_rng(6).normal(size=(3, 5, 2, 7))
    squares = (maps**2).sum(1).reshape(3, -1)
    wanted = squares / np.linalg.norm(squares, axis=1, keepdims=True)
    np.testing.assert_allclose(compress.attention_map(torch.from_numpy(maps)), wanted)
    other = np.random.default_rng(7).normal(size=(3, 2, 2, 7))
    squares = (other**2).sum(1).reshape(3, -1)
    distance = wanted - squares / np.linalg.norm(squares, axis=1, keepdims=True)
    found = compress.attention_loss(torch.from_numpy(maps), torch.from_numpy(other))
    assert float(found) == pytest.approx(np.mean((distance**2).sum(1)))


def test_attention_does_not_depend_on_the_size_of_the_numbers_and_none_is_no_number_to_divide_by():
    maps = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    assert float(compress.attention_loss(maps, 100 * maps)) == pytest.approx(0, abs=1e-9)
    assert torch.equal(compress.attention_map(torch.zeros(2, 3, 4, 4)), torch.zeros(2, 16))


def test_a_larger_map_of_the_teacher_is_averaged():
    small = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    large = small.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert float(compress.attention_loss(small, large)) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("temperature", [0, -1, float("nan"), float("inf")])
def test_temperatures_that_are_none_are_refused(temperature):
    z = torch.zeros(2, 3)
    for call in (
        lambda: compress.softened(z, temperature),
        lambda: compress.soft_loss(z, z, temperature),
        lambda: compress.soft_gradient(z, z, temperature),
        lambda: compress.hinton_loss(z, z, torch.tensor([0, 1]), temperature=temperature),
    ):
        with pytest.raises(ValueError, match="must be a positive number"):
            call()


def test_other_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"logits of the same shape; got \(2, 3\) and \(2, 4\)"):
        compress.soft_loss(torch.zeros(2, 3), torch.zeros(2, 4), 1.0)
    with pytest.raises(ValueError, match="weight is -1"):
        compress.hinton_loss(torch.zeros(2, 3), torch.zeros(2, 3), torch.tensor([0, 1]), weight=-1)
    with pytest.raises(ValueError, match=r"\(n, channels, height, width\); got \(2, 3\)"):
        compress.attention_map(torch.zeros(2, 3))


def test_no_examples_have_no_loss():
    none = torch.zeros(0, 3)
    assert float(compress.soft_loss(none, none, 1.0)) == 0
    assert compress.soft_gradient(none, none, 1.0).shape == (0, 3)
    assert float(compress.task_loss(none, torch.zeros(0, dtype=torch.int64), 0.5)) == 0
