"""Zeros stay zero: in every optimiser, in copies, in files, and with momentum from before."""

import copy

import pytest
import torch
from torch import nn

from coursekit import compress, models
from coursekit.compress.pruning.zeros import zeros_are_kept

OPTIMISERS = {
    "sgd": lambda p: torch.optim.SGD(p, 0.05, momentum=0.9, nesterov=True, weight_decay=0.1),
    "adam": lambda p: torch.optim.Adam(p, 0.01, weight_decay=0.1, amsgrad=True),
    "adamw": lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.1, fused=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, 0.01, momentum=0.9, centered=True),
    "adagrad": lambda p: torch.optim.Adagrad(p, 0.01, weight_decay=0.1),
}


def steps(model, optimizer, n=4):
    torch.manual_seed(0)
    for _ in range(n):
        optimizer.zero_grad()
        model(torch.randn(6, 12)).square().sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


def pruned():
    torch.manual_seed(1)
    return compress.prune(nn.Sequential(nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 4)), 0.75)


def zeros(model):
    return [layer.weight == 0 for layer in (model[0], model[2])]


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def stored(model, tmp_path):
    compress.save(model, tmp_path / "m.pt")
    return compress.load(tmp_path / "m.pt")


WAYS = {
    "as it is": lambda model, tmp_path: model,
    "copied": lambda model, tmp_path: copy.deepcopy(model),
    "stored": stored,
    "stored by a model that was trained": lambda model, tmp_path: stored(
        (steps(model, torch.optim.Adam(model.parameters())), model)[1], tmp_path
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_zeros_stay_and_the_others_move(optimiser, way, tmp_path):
    model = WAYS[way](pruned(), tmp_path)
    before, weights = zeros(model), model[0].weight.detach().clone()
    steps(model, OPTIMISERS[optimiser](model.parameters()))
    assert same(zeros(model), before)
    moved = (model[0].weight != weights)[~before[0]]
    assert moved.float().mean() > 0.9


def test_gradients_of_zeros_are_zero_so_that_clipping_does_not_see_them():
    model = pruned()
    model(torch.randn(6, 12)).sum().backward()
    assert (model[0].weight.grad[model[0].weight == 0] == 0).all()
    assert model[0].weight.grad.abs().sum() > 0


def test_momentum_from_before_the_pruning_does_not_bring_them_back():
    model = compress.prune(nn.Sequential(nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 4)), 0)
    optimizer = OPTIMISERS["sgd"](model.parameters())
    steps(model, optimizer)
    with torch.no_grad():
        model[0].weight[:, ::2] = 0
    steps(model, optimizer)
    assert (model[0].weight[:, ::2] == 0).all()


def test_a_state_dict_brings_its_own_zeros():
    model, other = pruned(), compress.prune(nn.Sequential(nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 4)), 0.5)
    steps(other, OPTIMISERS["adam"](other.parameters()))
    assert other.load_state_dict(model.state_dict()).missing_keys == []
    assert same(zeros(other), zeros(model))
    steps(other, OPTIMISERS["adam"](other.parameters()))
    assert same(zeros(other), zeros(model))


def test_a_hook_that_comes_after_loading_does_not_take_its_place(tmp_path):
    model = stored(pruned(), tmp_path)
    handles = [part.register_forward_pre_hook(lambda *_: None) for part in model.modules() for _ in range(5)]
    for handle in handles:
        handle.remove()
    assert zeros_are_kept(model[0])


def test_zeros_can_be_set_free():
    model = pruned()
    steps(model, OPTIMISERS["adam"](model.parameters()))
    for layer in (model[0], model[2]):
        compress.free_zeros(layer)
        assert not zeros_are_kept(layer)
    steps(model, OPTIMISERS["adam"](model.parameters()))
    assert (model[0].weight != 0).all()


def test_pruned_models_train_with_the_course_and_are_exported():
    model = compress.prune(models.mlp(8), 0.9)
    before = model.fc1.weight == 0
    x = torch.rand(40, 1, 28, 28)
    from coursekit.data import Split

    y = torch.arange(40) % 10
    split = Split(x.numpy(), y.numpy(), x[:5].numpy(), y[:5].numpy())
    models.train(model, split, epochs=2, batch_size=8, lr=1e-2, weight_decay=0.1)
    assert torch.equal(model.fc1.weight == 0, before)
    exported = torch.export.export(model, (x,)).module()
    torch.testing.assert_close(exported(x), model(x))
    torch.fx.symbolic_trace(model)
