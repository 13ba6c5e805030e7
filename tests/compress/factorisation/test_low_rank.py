"""Low rank: factors against the layer itself and against NumPy's singular values, in float64."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from coursekit import compress, measure, models
from coursekit.compress.factorisation.factors import (
    METHODS,
    LinearFactors,
    Responses,
    rank_for_energy,
    tucker2,
)
from coursekit.compress.layers import CompressedLayer, weighted_layers

SIZES = st.integers(1, 4)


def conv_of(draw, groups, pads=("zeros",)):
    """A convolution with odd settings, and images that it takes."""
    height, width, up, along = (draw(st.integers(1, 3)) for _ in range(4))
    settings_ = {
        "stride": (draw(st.integers(1, 3)), draw(st.integers(1, 2))),
        "padding": (draw(st.integers(0, 2)), draw(st.integers(0, 2))),
        "dilation": (up, along),
        "bias": draw(st.booleans()),
        "padding_mode": draw(st.sampled_from(pads)),
    }
    ins, outs = groups * draw(SIZES), groups * draw(SIZES)
    conv = nn.Conv2d(ins, outs, (height, width), groups=groups, **settings_).double()
    return conv, torch.randn(2, ins, 9, 8, dtype=torch.float64)


@given(st.data(), st.sampled_from(sorted(METHODS)), st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_factors_of_full_rank_are_the_convolution(data, method, groups):
    torch.manual_seed(0)
    conv, x = conv_of(data.draw, groups, ("zeros", "circular", "replicate", "reflect"))
    factors = METHODS[method](conv)
    torch.testing.assert_close(factors.build(factors.full)(x), conv(x), rtol=1e-9, atol=1e-10)
    assert factors.error(factors.full) < 1e-7


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_padding_may_have_a_name(method, padding):
    conv = nn.Conv2d(3, 4, (2, 3), padding=padding, dilation=(2, 1)).double()
    x = torch.randn(2, 3, 8, 7, dtype=torch.float64)
    factors = METHODS[method](conv)
    torch.testing.assert_close(factors.build(factors.full)(x), conv(x), rtol=1e-9, atol=1e-10)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_the_error_is_that_of_the_discarded_singular_values(rows, columns, rank):
    torch.manual_seed(rows)
    layer = nn.Linear(columns, rows).double()
    rank = min(rank, rows, columns)
    first, second = LinearFactors(layer).build(rank)
    values = np.linalg.svd(layer.weight.detach().numpy(), compute_uv=False)
    missing = layer.weight - second.weight @ first.weight
    np.testing.assert_allclose(missing.norm().item() ** 2, np.sum(values[rank:] ** 2), rtol=1e-9, atol=1e-14)
    said = LinearFactors(layer).error(rank)
    np.testing.assert_allclose(said, missing.norm().item() / np.linalg.norm(values), rtol=1e-7, atol=1e-9)


def missing_share(conv, layers):
    """The error of a convolution's factors, from impulse responses alone."""
    ins, (height, width) = conv.in_channels, conv.kernel_size
    impulses = torch.zeros(ins, ins, 2 * height - 1, 2 * width - 1, dtype=torch.float64)
    impulses[range(ins), range(ins), height - 1, width - 1] = 1
    bias = 0 if conv.bias is None else conv.bias[:, None, None]
    whole = conv(impulses) - bias
    return float(((layers(impulses) - bias - whole).norm() / whole.norm()).detach())


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("method", METHODS)
def test_errors_said_are_errors_made(method, groups):
    torch.manual_seed(3)
    conv = nn.Conv2d(4, 6, (3, 2), groups=groups).double()
    factors = METHODS[method](conv)
    for rank in factors.grid():
        assert factors.error(rank) == pytest.approx(missing_share(conv, factors.build(rank)), rel=1e-9)


def test_tucker_is_within_its_bounds():
    torch.manual_seed(0)
    weight = torch.randn(7, 5, 3, 3, dtype=torch.float64)
    outs = np.linalg.svd(weight.flatten(1).numpy(), compute_uv=False)
    ins = np.linalg.svd(weight.transpose(0, 1).flatten(1).numpy(), compute_uv=False)
    for ranks in ((1, 1), (3, 2), (6, 4), (7, 2), (2, 5)):
        errors = []
        for sweeps in (0, 1, 3):
            outer, core, inner = tucker2(weight, ranks, sweeps)
            torch.testing.assert_close(outer.T @ outer, torch.eye(ranks[0], dtype=torch.float64))
            back = torch.einsum("oa,abyx,ib->oiyx", outer, core, inner)
            errors.append(float((weight - back).square().sum()))
        lost = np.sum(outs[ranks[0] :] ** 2), np.sum(ins[ranks[1] :] ** 2)
        assert errors[0] >= errors[1] - 1e-9 and errors[1] >= errors[2] - 1e-9
        assert max(lost) - 1e-9 <= errors[2] <= errors[0] <= sum(lost) + 1e-9


def test_bases_are_whole_where_there_are_few_columns():
    weight = torch.randn(7, 2, 1, 1, dtype=torch.float64)
    outer, core, inner = tucker2(weight, (7, 1))
    assert (outer.shape, core.shape, inner.shape) == ((7, 7), (7, 1, 1, 1), (2, 1))
    torch.testing.assert_close(outer.T @ outer, torch.eye(7, dtype=torch.float64))


def test_hooi_beats_hosvd_where_it_can():
    torch.manual_seed(1)
    weight = torch.randn(6, 6, 3, 3, dtype=torch.float64)
    start, done = (tucker2(weight, (2, 2), sweeps)[1].norm() for sweeps in (0, 3))
    assert done > start * 1.001


@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=8), st.floats(0.05, 1))
def test_the_rank_is_the_smallest_with_the_energy(values, share):
    values = np.sort(values)[::-1].copy()
    rank = rank_for_energy(torch.from_numpy(values), share)
    kept = np.cumsum(values**2) / np.sum(values**2)
    assert kept[rank - 1] >= share - 1e-9
    assert rank == 1 or kept[rank - 2] < share + 1e-9


def test_energy_of_nothing_and_shares_out_of_range_are_refused():
    assert rank_for_energy(torch.zeros(3), 0.5) == 1
    with pytest.raises(ValueError, match="no singular values"):
        rank_for_energy(torch.zeros(0), 0.5)
    for share in (0, 1.5, -1):
        with pytest.raises(ValueError, match=r"\(0, 1\]; got"):
            rank_for_energy(torch.ones(2), share)


@pytest.mark.parametrize("method", METHODS)
def test_energy_bounds_the_error(method):
    torch.manual_seed(0)
    factors = METHODS[method](nn.Conv2d(6, 8, 3, groups=2).double())
    for share in (0.3, 0.7, 0.95, 1):
        assert factors.error(factors.for_energy(share)) ** 2 <= 1 - share + 1e-9


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 2), (3, 7), (128, 784), (10, 512), (4, 4)])
def test_break_even_is_the_last_rank_that_saves(rows, columns):
    rank = compress.break_even(rows, columns)
    assert rank * (rows + columns) < rows * columns <= (rank + 1) * (rows + columns)
    with pytest.raises(ValueError, match="at least one row"):
        compress.break_even(0, 3)


def test_a_linear_layer_becomes_two_and_the_model_stays():
    model = models.mlp()
    before = model.fc1.weight.clone()
    new = compress.factorize(model, rank=16, data=torch.rand(4, 1, 28, 28))
    assert model.fc1.weight.equal(before) and isinstance(model.fc1, nn.Linear)
    assert [tuple(part.weight.shape) for part in new.fc1] == [(16, 784), (128, 16)]
    assert new.fc1[0].bias is None and new.fc1[1].bias.equal(model.fc1.bias)
    assert isinstance(new.fc2, nn.Linear), "rank 16 of 10 would have more weights"
    first, second = compress.report(new).layers
    assert first.weights == 16 * (784 + 128) and "rank 16 of 128" in first.note
    flops = measure.count(new, torch.rand(1, 1, 28, 28))["fc1.0"].flops + 2 * 16 * 128 + 128
    assert f"to {flops / 1000:.1f} kFLOP" in first.note
    assert second.note.startswith("kept") and second.bytes_after == second.bytes_before


def test_a_dict_is_obeyed_to_the_letter():
    model = models.cnn()
    new = compress.factorize(model, rank={"conv2": (32, 16), "fc": 10}, method="tucker")
    assert isinstance(new.conv1, nn.Conv2d) and len(new.conv2) == 3 and len(new.fc) == 2
    x = torch.rand(3, 1, 28, 28)
    torch.testing.assert_close(new(x), model(x), rtol=1e-4, atol=1e-5)
    assert [layer.name for layer in compress.report(new).layers] == ["conv2", "fc"]


def test_a_rank_for_all_is_capped_where_a_layer_has_less():
    layer = nn.Sequential(nn.Linear(100, 3), nn.Conv2d(8, 8, 3))
    new = compress.factorize(layer, rank=5, method="tucker")
    assert compress.report(new).layers[1].note.startswith("ranks (5, 5) of (8, 8)")
    assert isinstance(new[0], nn.Linear)


def test_energy_leaves_what_it_would_make_larger():
    new = compress.factorize(models.mlp(), energy=1.0)
    assert all(layer.note.startswith("kept") for layer in compress.report(new).layers)
    assert isinstance(compress.factorize(models.mlp(), energy=0.5).fc1, nn.Sequential)


def test_latency_takes_the_largest_rank_that_is_fast_enough(monkeypatch):
    asked = []

    class Race:
        def __init__(self, runs, **_):
            asked.append(list(runs))
            assert all(torch.is_tensor(run()) for run in runs.values())

        def ratio(self, name, other):
            speed = 30 / int(name)  # dense as fast as rank 30
            return measure.clock.Ratio(name, other, speed, speed * 0.9, speed * 1.1)

    monkeypatch.setattr(measure, "compare", Race)
    model = nn.Sequential(nn.Linear(64, 64))
    x = torch.rand(5, 64)
    ranks = [int(name) for name in (compress.factorize(model, latency="measure", data=x), asked[0][1:])[1]]
    assert asked[0][0] == "layer" and ranks == sorted(ranks, reverse=True) and ranks[0] == 31
    new = compress.factorize(model, latency="measure", data=x)
    assert new[0][0].out_features == max(rank for rank in ranks if 0.9 * 30 / rank > 1)
    new = compress.factorize(model, latency=0.5, data=x)
    assert new[0][0].out_features == max(rank for rank in ranks if rank <= 15)
    new = compress.factorize(model, latency=0.01, data=x)
    assert isinstance(new[0], nn.Linear) and "no rank of" in compress.report(new).layers[0].note
    assert isinstance(compress.factorize(model, rank=29, latency="measure", data=x)[0], nn.Linear)
    assert isinstance(compress.factorize(model, rank=20, latency="measure", data=x)[0], nn.Sequential)


def test_latency_is_measured_on_this_machine():
    model = nn.Sequential(nn.Linear(300, 300))
    new = compress.factorize(model, rank=4, latency="measure", data=torch.rand(16, 300))
    said = compress.report(new).layers[0].note
    assert ("times as fast" in said) == isinstance(new[0], nn.Sequential) == ("was fast enough" not in said)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("layer", ["linear", "conv", "groups"])
def test_axes_of_the_responses_are_the_best_for_the_data(layer, bias):
    """Against the eigenvectors that NumPy finds, and never worse on the data than the weight's own axes."""
    torch.manual_seed(0)
    mixed = torch.randn(60, 6, 6, 6, dtype=torch.float64) * torch.logspace(0, -2, 6)[:, None, None] + 3
    part = nn.Conv2d(6, 8, 3, groups=2 if layer == "groups" else 1, bias=bias)
    if layer == "linear":
        mixed, part = mixed[..., 0, 0], nn.Linear(6, 8, bias=bias)
    model = nn.Sequential(part.double())
    name_full = 3 if layer == "groups" else 4
    aware, blind = (
        compress.factorize(model, rank={"0": name_full - 1}, data=mixed, aware=flag) for flag in (True, False)
    )
    wanted = model(mixed)
    errors = [float((new(mixed) - wanted).detach().norm()) for new in (aware, blind)]
    assert errors[0] < errors[1]
    rows = wanted.detach().movedim(1, -1).reshape(-1, 8).numpy()
    groups = np.split(rows - rows.mean(0), 2 if layer == "groups" else 1, axis=1)
    lost = sum(np.sum(np.linalg.svd(g, compute_uv=False)[name_full - 1 :] ** 2) for g in groups)
    assert errors[0] ** 2 == pytest.approx(lost, rel=1e-6)
    total = sum(np.sum(g**2) for g in groups)
    assert f"relative error {np.sqrt(lost / total):.2g}," in compress.report(aware).layers[0].note


@pytest.mark.parametrize("layer", [nn.Linear(5, 7, bias=False), nn.Conv2d(5, 7, 3)])
def test_all_axes_of_the_responses_are_the_layer(layer):
    x = torch.rand(9, 5, 4, 4) if isinstance(layer, nn.Conv2d) else torch.rand(3, 5)
    rank = 7
    new = compress.factorize(nn.Sequential(layer).double(), rank={"0": rank}, data=x.double(), aware=True)
    torch.testing.assert_close(new(x.double()), layer(x.double()), rtol=1e-9, atol=1e-9)


def test_responses_add_up_over_batches():
    rows = torch.randn(11, 6, dtype=torch.float64) + 5
    sums = Responses(2)
    for part in rows.split(4):
        sums.add(part)
    _, values = sums.axes()
    for group, columns in enumerate(rows.split(3, dim=1)):
        wanted = np.linalg.eigvalsh(np.cov(columns.numpy().T, bias=True))[::-1]
        np.testing.assert_allclose(values[group].numpy() ** 2, wanted, rtol=1e-9)


class Doubled(CompressedLayer):
    """A linear layer kept as half of its weight."""

    def __init__(self, layer):
        super().__init__()
        self.register_buffer("stored", layer.weight.detach() / 2)

    def dense(self):
        layer = nn.Linear(*self.stored.shape[::-1], bias=False)
        layer.weight.data = self.stored * 2
        return layer

    def like(self, layer):
        return Doubled(layer)

    def forward(self, x):
        return x @ (self.stored * 2).T


def test_a_compressed_layer_is_factorised_as_what_it_stands_for():
    torch.manual_seed(0)
    model = nn.Sequential(Doubled(nn.Linear(40, 30)))
    x = torch.rand(6, 40)
    new = compress.factorize(model, rank={"0": 30}, data=x)
    torch.testing.assert_close(new(x), model(x), rtol=1e-4, atol=1e-5)
    assert "2.40 kFLOP to 4.20 kFLOP" in compress.report(new).layers[0].note, "those of the dense layer"
    aware = compress.factorize(model, rank={"0": 5}, data=x, aware=True)
    torch.testing.assert_close(aware(x), model(x), rtol=1e-4, atol=1e-4)
    kept = compress.factorize(model, energy=1.0)
    assert isinstance(kept[0], Doubled)


def test_the_result_can_be_factorised_trained_saved_and_loaded(tmp_path):
    model = compress.factorize(models.cnn(), energy=0.7)
    again = compress.factorize(model, rank=3, method="tucker")
    assert len(compress.reports(again)) == 2
    assert next(iter(weighted_layers(again))).startswith("conv1")
    assert compress.save(again, tmp_path / "m.pt") > 0
    x = torch.rand(3, 1, 28, 28)
    assert compress.load(tmp_path / "m.pt")(x).equal(again(x))
    fresh = compress.factorize(compress.factorize(models.cnn(seed=1), energy=0.7), rank=3, method="tucker")
    if [p.shape for p in fresh.parameters()] == [p.shape for p in again.parameters()]:
        fresh.load_state_dict(again.state_dict())
        assert fresh(x).equal(again(x))
    again(x).sum().backward()
    assert all(parameter.grad is not None for parameter in again.parameters())


def test_state_dicts_round_trip_exactly():
    one, other = (compress.factorize(models.cnn(seed=seed), rank=4) for seed in (0, 1))
    other.load_state_dict(one.state_dict())
    x = torch.rand(3, 1, 28, 28)
    assert other(x).equal(one(x))
    buffer = io.BytesIO()
    torch.save(one.state_dict(), buffer)
    assert buffer.getbuffer().nbytes > 0


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_dtype_modes_and_frozen_weights_stay(dtype):
    model = nn.Sequential(nn.Linear(30, 30)).to(dtype).eval()
    model[0].weight.requires_grad_(False)
    new = compress.factorize(model, rank=2)
    assert {parameter.dtype for parameter in new.parameters()} == {dtype}
    assert not new[0].training and not new[0][0].weight.requires_grad


def test_modes_are_put_back_and_hooks_taken_off():
    model = nn.Sequential(nn.Linear(30, 30), nn.Dropout(0.9), nn.Linear(30, 2)).train()
    new = compress.factorize(model, rank=2, data=torch.rand(2, 30))
    assert new.training and new[1].training
    assert isinstance(new[2], nn.Linear) and not any(part._forward_pre_hooks for part in new.modules())


def test_a_model_that_is_one_layer():
    layer = nn.Linear(20, 20)
    new = compress.factorize(layer, rank=2)
    assert isinstance(new, nn.Sequential) and compress.report(new).technique == "factorize"


def model_with_a_branch():
    class Branch(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.idle = nn.Linear(9, 9), nn.Linear(9, 9)

        def forward(self, x):
            return self.used(x)

    return Branch()


X = torch.rand(2, 1, 28, 28)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({}, ValueError, "how to choose ranks"),
        ({"rank": 3, "energy": 0.5}, ValueError, "give one of them"),
        ({"rank": 2.5}, TypeError, r"whole number or a dict.*got 2\.5"),
        ({"rank": True}, TypeError, "got True"),
        ({"rank": 0}, ValueError, "between 1 and"),
        ({"rank": {"conv2": 33}}, ValueError, "rank of layer 'conv2' must lie between 1 and 32; got 33"),
        ({"rank": {"conv2": (2, 3)}}, TypeError, "'conv2' must be a whole number; got"),
        ({"rank": {"conv2": (2, 17)}, "method": "tucker"}, ValueError, r"between 1 and \(32, 16\)"),
        ({"rank": {"nope": 3}}, ValueError, "no layer 'nope'"),
        ({"rank": {"fc": 3}, "layers": ["fc", "conv1"]}, ValueError, r"same layers.*conv1"),
        ({"energy": 1.5}, ValueError, r"energy must lie in \(0, 1\]; got 1.5"),
        ({"energy": "much"}, TypeError, "energy must be a number"),
        ({"latency": 0.5}, ValueError, "latency needs data"),
        ({"latency": "fast", "data": X}, TypeError, "latency must be a number"),
        ({"rank": 3, "aware": True}, ValueError, "aware needs data"),
        ({"rank": 3, "method": "cp"}, ValueError, "channel, spatial, tucker; got 'cp'"),
        ({"rank": 3, "data": X[:0]}, ValueError, "data is empty"),
        ({"rank": 3, "data": X * float("nan")}, ValueError, "data holds NaN"),
        ({"rank": 3, "data": [1, 2]}, TypeError, "data must be a tensor"),
        ({"rank": 3, "data": X, "aware": True, "method": "tucker"}, ValueError, "'conv1' is 'tucker'"),
        ({"rank": 3, "data": X, "aware": True, "method": "spatial"}, ValueError, "'conv1' is 'spatial'"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, words):
    with pytest.raises(error, match=words):
        compress.factorize(models.cnn(), **arguments)


def test_layers_that_cannot_be_factorised_are_named():
    with pytest.raises(ValueError, match=r"out_proj.* is a NonDynamicallyQuantizableLinear"):
        compress.factorize(nn.MultiheadAttention(8, 2), rank=2)
    with pytest.raises(ValueError, match="data do not reach layer 'idle'"):
        compress.factorize(model_with_a_branch(), rank=2, data=torch.rand(2, 9))
    with pytest.raises(TypeError, match=r"torch\.nn\.Module"):
        compress.factorize("model", rank=2)
    broken = models.mlp()
    broken.fc1.weight.data[0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"fc1\.weight holds NaN"):
        compress.factorize(broken, rank=2)


def test_weights_of_zero_have_no_error():
    layer = nn.Linear(30, 30)
    nn.init.zeros_(layer.weight)
    new = compress.factorize(layer, rank=2)
    assert new(torch.rand(3, 30)).allclose(layer.bias)
    assert "relative error 0" in compress.report(new).layers[0].note
