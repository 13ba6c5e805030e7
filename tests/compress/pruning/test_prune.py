"""Pruning as a whole: exact shares, torch's own pruning, schedules, rewinding, round trips and errors."""

import copy
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import prune as torchs

from coursekit import compress, models
from coursekit.compress.pruning.importance import BY_NAME

LAYERS = ["conv1", "conv2", "fc"]


def data(n=20):
    rng = np.random.default_rng(0)
    return rng.random((n, 1, 28, 28), np.float32), rng.integers(0, 10, n)


def weights(model):
    return [model.get_submodule(name).weight for name in LAYERS]


@settings(max_examples=15, deadline=None)
@given(st.floats(0, 1), st.sampled_from(["global", "layer"]))
def test_the_share_is_exact(sparsity, scope):
    model = compress.prune(models.cnn(), sparsity, scope=scope)
    zeros = [int((w == 0).sum()) for w in weights(model)]
    sizes = [w.numel() for w in weights(model)]
    if scope == "layer":
        assert zeros == [round(sparsity * n) for n in sizes]
    assert scope == "layer" or sum(zeros) == round(sparsity * sum(sizes))
    assert compress.report(model).nonzero == sum(sizes) - sum(zeros)


def test_it_agrees_with_torch_globally_and_by_layer():
    ours, theirs = compress.prune(models.cnn(), 0.9), models.cnn()
    parts = [(theirs.get_submodule(name), "weight") for name in LAYERS]
    torchs.global_unstructured(parts, pruning_method=torchs.L1Unstructured, amount=0.9)
    assert all(torch.equal(a, b) for a, b in zip(weights(ours), weights(theirs), strict=True))
    ours, theirs = compress.prune(models.cnn(), 0.6, scope="layer"), models.cnn()
    for name in LAYERS:
        torchs.l1_unstructured(theirs.get_submodule(name), "weight", amount=0.6)
    assert all(torch.equal(a, b) for a, b in zip(weights(ours), weights(theirs), strict=True))


@pytest.mark.parametrize("how", BY_NAME)
@pytest.mark.parametrize(("pattern", "share"), [("single", 0.8), ("block", 0.8), ("2:4", 0.5)])
def test_every_way_in_every_pattern(how, pattern, share):
    model = models.mlp(16)
    before = copy.deepcopy(model.state_dict())
    new = compress.prune(model, share, importance=how, pattern=pattern, data=data())
    assert compress.sparsity_of(new) == pytest.approx(share, abs=2e-3)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    kept = new.fc1.weight != 0
    assert torch.equal(new.fc1.weight[kept], model.fc1.weight[kept])
    assert torch.equal(new.fc1.bias, model.fc1.bias)
    assert type(new.fc1) is nn.Linear and list(new.state_dict()) == list(before)


def test_scores_of_ones_own():
    def last(model, data):
        return {name: torch.arange(w.numel()).reshape(w.shape) for name, w in _named(model)}

    model = compress.prune(models.mlp(8), 0.5, importance=last, layers=["fc2"])
    assert (model.fc2.weight.flatten()[:40] == 0).all() and (model.fc2.weight.flatten()[40:] != 0).all()
    assert "global last, 50 % asked for" in str(compress.report(model))


def _named(model):
    return [(name, part.weight) for name, part in model.named_modules() if isinstance(part, nn.Linear)]


def test_pruning_twice_to_the_same_share_changes_nothing():
    once = compress.prune(models.cnn(), 0.7, importance="taylor", data=data())
    twice = compress.prune(once, 0.7, importance="fisher", data=data(9))
    assert all(torch.equal(a, b) for a, b in zip(weights(once), weights(twice), strict=True))
    assert [report.technique for report in compress.reports(twice)] == ["prune", "prune"]
    more = compress.prune(once, 0.8)
    assert all((b[a == 0] == 0).all() for a, b in zip(weights(once), weights(more), strict=True))


def test_a_layer_that_is_left_empty_is_named():
    model = models.mlp(8)
    model.fc2.weight.data *= 1e-6
    assert "nothing is left of it" in compress.report(compress.prune(model, 0.5)).layers[1].note


def test_round_trips_are_exact(tmp_path):
    model = compress.prune(models.cnn(), 0.9, pattern="block")
    x = torch.rand(3, 1, 28, 28)
    compress.save(model, tmp_path / "m.pt")
    loaded = compress.load(tmp_path / "m.pt")
    assert torch.equal(loaded(x), model(x))
    assert compress.reports(loaded) == compress.reports(model)
    fresh = models.cnn(seed=3)
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh(x), model(x))


def test_the_cubic_schedule():
    assert compress.cubic(0.8, 4) == pytest.approx((0.4625, 0.7, 0.7875, 0.8))
    assert compress.cubic(0.9, 1, 0.5) == (0.9,)
    shares = compress.cubic(0.9, 6, 0.3)
    assert all(0.3 < a < b for a, b in itertools.pairwise(shares))
    with pytest.raises(ValueError, match="at least 1"):
        compress.cubic(0.9, 0)


def test_gradual_pruning_trains_after_each_step():
    shares = []

    def tune(model):
        shares.append(compress.sparsity_of(model))
        optimizer = torch.optim.Adam(model.parameters(), 1e-2)
        model(torch.ones(2, 1, 28, 28)).square().sum().backward()
        optimizer.step()

    model = models.mlp(8)
    new = compress.prune_gradually(model, 0.9, tune, steps=3)
    assert shares == pytest.approx(compress.cubic(0.9, 3), abs=1e-3)
    assert compress.sparsity_of(new) == pytest.approx(0.9, abs=1e-3)
    assert compress.sparsity_of(model) == 0
    compress.prune_gradually(new, 0.95, tune, steps=1)
    assert shares[3] == pytest.approx(0.95, abs=1e-3)


def test_rewinding_takes_zeros_from_one_and_weights_from_the_other():
    early, late = models.mlp(8, seed=1), models.mlp(8, seed=2)
    ticket = compress.rewind(compress.prune(late, 0.75), early)
    kept = compress.prune(late, 0.75).fc1.weight != 0
    assert torch.equal(ticket.fc1.weight, early.fc1.weight * kept)
    assert torch.equal(ticket.fc1.bias, early.fc1.bias)
    assert compress.sparsity_of(early) == 0
    assert compress.report(ticket).technique == "rewind"
    with pytest.raises(ValueError, match="same layers"):
        compress.rewind(late, models.mlp(9))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"sparsity": 1.5}, ValueError, "from 0 to 1; got 1.5"),
        ({"sparsity": float("nan")}, ValueError, "got nan"),
        ({"sparsity": "0.5"}, TypeError, "got str"),
        ({"sparsity": True}, TypeError, "got bool"),
        ({"scope": "rows"}, ValueError, "'global', 'layer'; got 'rows'"),
        ({"pattern": "2:4", "sparsity": 0.75}, ValueError, "2:4 makes 0.5.*got sparsity 0.75"),
        ({"pattern": "2:4"}, ValueError, "'conv1' has 25: leave it out"),
        ({"pattern": "4x1"}, ValueError, "got '4x1'"),
        ({"importance": "taylor"}, ValueError, "needs data"),
        ({"layers": ["conv3"]}, ValueError, "no layer 'conv3'"),
        ({"model": nn.ReLU()}, ValueError, "no Linear or Conv2d"),
        ({"model": "cnn"}, TypeError, "torch.nn.Module; got str"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, words):
    with pytest.raises(error, match=words):
        compress.prune(**{"model": models.cnn(), "sparsity": 0.5} | arguments)


def test_weights_that_are_no_numbers_are_refused():
    model = models.cnn()
    model.conv2.weight.data[0, 0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"conv2\.weight holds NaN"):
        compress.prune(model, 0.5)
    with pytest.raises(TypeError, match="tune must be a function"):
        compress.prune_gradually(models.cnn(), 0.5, None)


def test_sparse_layers_are_pruned_on_and_lost_channels_stay_lost():
    sparse = compress.to_sparse(compress.prune(models.mlp(16), 0.8), "csr")
    more = compress.prune(sparse, 0.9)
    assert type(more.fc1) is type(sparse.fc1)
    assert compress.sparsity_of(more) == pytest.approx(0.9, abs=1e-3)
    x = torch.rand(3, 1, 28, 28)
    dense = compress.prune(compress.prune(models.mlp(16), 0.8), 0.9)
    torch.testing.assert_close(more(x), dense(x))
    fewer = compress.remove_channels(compress.prune(models.cnn(), 0.5), 0.5, example=x)
    assert compress.sparsity_of(compress.prune(fewer, 0.9)) == pytest.approx(0.9, abs=1e-3)
