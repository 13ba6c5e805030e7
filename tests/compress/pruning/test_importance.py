"""Scores against sums over single examples in float64, and against what the loss really changes."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from coursekit.compress import importance, prune
from coursekit.compress.layers import CompressedLayer


def net(seed=0, groups=1):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=groups),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 3 * 3, 5, bias=False),
    ).double()


def examples(n=7, seed=1):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 2, 5, 5)), rng.integers(0, 5, n)


def gradients(model, x, y):
    """One example after the other, each with its own backward pass."""
    for image, label in zip(torch.tensor(x), torch.tensor(y), strict=True):
        model.zero_grad()
        F.cross_entropy(model(image[None]), label[None]).backward()
        yield {name: model.get_submodule(name).weight.grad.clone() for name in ("0", "3")}


@pytest.mark.parametrize("n", [1, 7, importance.BATCH + 3])
def test_fisher_is_the_mean_of_squared_gradients_of_single_examples(n):
    model, (x, y) = net(), examples(n)
    squares = [{name: g.square() for name, g in one.items()} for one in gradients(model, x, y)]
    found = importance.fisher(model, x, y)
    for name in found:
        wanted = model.get_submodule(name).weight.square() / 2 * sum(s[name] for s in squares) / n
        torch.testing.assert_close(found[name], wanted.detach(), rtol=1e-10, atol=0)


def test_taylor_is_the_mean_over_batches(monkeypatch):
    monkeypatch.setattr(importance, "BATCH", 4)
    model, (x, y) = net(), examples(7)
    each = list(gradients(model, x, y))
    found = importance.taylor(model, x, y)
    for name in found:
        weight = model.get_submodule(name).weight.detach()
        first, second = (sum(g[name] for g in part) / len(part) for part in (each[:4], each[4:]))
        wanted = (4 * (weight * first).abs() + 3 * (weight * second).abs()) / 7
        torch.testing.assert_close(found[name], wanted, rtol=1e-10, atol=1e-15)


def test_taylor_says_what_the_loss_changes_when_a_small_weight_goes():
    model, (x, y) = net(), examples(9)
    loss = lambda: F.cross_entropy(model(torch.tensor(x)), torch.tensor(y)).item()  # noqa: E731
    with torch.no_grad():
        model[3].weight[2, 5] = 1e-4
        score, before = importance.taylor(model, x, y)["3"][2, 5], loss()
        model[3].weight[2, 5] = 0
    assert abs(loss() - before) == pytest.approx(score.item(), rel=1e-3)


@pytest.mark.parametrize("groups", [1, 2])
def test_activations_are_the_norms_of_what_a_weight_multiplies(groups):
    model, x = net(groups=groups), examples(3)[0]
    found = importance.activation(model, x)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    weight = model[0].weight.detach().numpy()
    wanted = np.zeros(weight.shape)
    for o, c, i, j in np.ndindex(weight.shape):
        channel = c + o // (4 // groups) * weight.shape[1] if groups > 1 else c
        seen = padded[:, channel, i : i + 5 : 2, j : j + 5 : 2]
        wanted[o, c, i, j] = abs(weight[o, c, i, j]) * np.sqrt((seen**2).sum())
    np.testing.assert_allclose(found["0"], wanted, rtol=1e-10)
    hidden = model[:3](torch.tensor(x)).detach()
    torch.testing.assert_close(found["3"], (model[3].weight.abs() * hidden.norm(dim=0)).detach())


def test_scoring_leaves_the_model_as_it_was():
    model, data = net().train(), examples()
    model[0].weight.requires_grad_(False)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    for name in importance.BY_NAME:
        importance.scores(model, name, data)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert model.training and not model[0].weight.requires_grad
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(part._forward_pre_hooks for part in model.modules())


def test_pruned_layers_and_layers_in_another_form_can_be_scored():
    class Stored(CompressedLayer):
        def __init__(self, layer):
            super().__init__()
            self.register_buffer("weight", layer.weight.detach().clone())

        def dense(self):
            layer = nn.Linear(*self.weight.shape[::-1], bias=False).double()
            layer.weight.data = self.weight.clone()
            return layer

        def like(self, layer):
            return Stored(layer)

    model, data = net(), examples()
    other = net()
    other[3] = Stored(model[3])
    for name in importance.BY_NAME:
        torch.testing.assert_close(
            importance.scores(other, name, data), importance.scores(model, name, data), rtol=0, atol=0
        )
        importance.scores(prune(model, 0.5), name, data)
    assert isinstance(prune(other, 0.5)[3], Stored)


def test_a_weight_that_is_zero_scores_zero():
    model = prune(net(), 0.5)
    for name in importance.BY_NAME:
        found = importance.scores(model, name, examples())
        assert all((found[key][model.get_submodule(key).weight == 0] == 0).all() for key in found)


@pytest.mark.parametrize(
    ("importance_", "data", "words"),
    [
        ("size", None, "magnitude, taylor, fisher, activation; got 'size'"),
        ("taylor", None, r"'taylor' needs data=\(x, y\)"),
        ("fisher", (np.zeros((0, 2, 5, 5)), np.zeros(0, int)), "0 examples"),
        ("taylor", (np.zeros((3, 2, 5, 5)), np.zeros(2, int)), "3 examples and 2 labels"),
        ("fisher", (np.zeros((3, 2, 5, 5)), None), "needs labels"),
        ("activation", (np.full((3, 2, 5, 5), np.nan), None), "NaN or infinity"),
        (lambda model, data: {"0": torch.zeros(4, 2, 3, 3)}, None, "scores of the layers"),
        (lambda model, data: {"0": torch.zeros(4, 2), "3": torch.zeros(5, 36)}, None, "shape"),
        (lambda model, data: None, None, "NoneType"),
    ],
)
def test_what_cannot_be_scored_is_named(importance_, data, words):
    with pytest.raises(ValueError, match=words):
        importance.scores(net(), importance_, data)


def test_data_that_are_no_pair_are_refused():
    with pytest.raises(TypeError, match=r"pair \(x, y\); got ndarray"):
        importance.scores(net(), "taylor", np.zeros((3, 2, 5, 5)))
