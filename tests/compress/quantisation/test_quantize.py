"""Quantised layers against float64, exact round trips through state and file, and training with the rounding."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from coursekit import compress, models
from coursekit.compress.layers import as_dense
from coursekit.compress.quantisation.affine import unpack_bits
from coursekit.compress.quantisation.binary import BinaryLinear, BinaryTraining, Sign
from coursekit.compress.quantisation.codebook import Codebook, kmeans
from coursekit.compress.quantisation.int4 import Int4Linear
from coursekit.compress.quantisation.int8_dynamic import Int8Dynamic, quantise_rows
from coursekit.compress.quantisation.qat import LearnedStep, QuantisedTraining, StraightThrough
from coursekit.compress.quantisation.weight_only import WeightOnly
from coursekit.compress.report import state_bytes
from coursekit.data import Split

ODD = [(1, 1), (7, 5), (33, 70), (130, 19)]


def linear(k, n, seed=0, bias=True):
    torch.manual_seed(seed)
    return nn.Linear(k, n, bias=bias)


def inputs(m, k, seed=1):
    return torch.randn(m, k, generator=torch.Generator().manual_seed(seed))


def double(layer, x):
    """The float64 product with a layer's dense form."""
    dense = layer.dense()
    bias = None if dense.bias is None else dense.bias.double()
    return F.linear(x.double(), dense.weight.double(), bias)


def small_cnn(**options):
    torch.manual_seed(0)
    conv = nn.Conv2d(2, 4, 3, **options)
    return nn.Sequential(conv, nn.ReLU(), nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(36, 5)).eval()


def some(model, scheme):
    shape = (40, 2, 9, 9) if isinstance(model[0], nn.Conv2d) else (40, 1, 28, 28)
    return {"data": torch.randn(shape)} if scheme == "binary" else {}


FLOATS = ("int8_dynamic", "int8_weights", "int4", "codebook")


@pytest.mark.parametrize("scheme", [*FLOATS, "binary"])
def test_state_and_file_bring_back_the_same_numbers(scheme, tmp_path):
    first, second = models.mlp(seed=1).eval(), models.mlp(seed=2).eval()
    before = copy.deepcopy(first.state_dict())
    old = compress.quantize(first, scheme, **some(first, scheme))
    new = compress.quantize(second, scheme, **some(second, scheme))
    x = torch.rand(3, 1, 28, 28)
    with torch.no_grad():
        new(x)  # lays the other weight out
        new.load_state_dict(old.state_dict())
        assert torch.equal(new(x), old(x))
        compress.save(old, tmp_path / "model.pt")
        back = compress.load(tmp_path / "model.pt")
        assert torch.equal(back(x), old(x))
        assert torch.equal(copy.deepcopy(old)(x), old(x))
    assert compress.report(back) == compress.report(old)
    assert all(torch.equal(value, before[name]) for name, value in first.state_dict().items())


@pytest.mark.parametrize("scheme", FLOATS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stride": 2, "padding": 1, "bias": False},
        {"groups": 2},
        {"padding": 1, "padding_mode": "reflect"},
        {"padding": "same", "dilation": 2, "padding_mode": "circular"},
    ],
)
def test_convolutions_compute_what_their_dense_form_does(scheme, options):
    model = small_cnn(**options)
    new = compress.quantize(model, scheme)
    dense = copy.deepcopy(new)
    for name in ("0", "4"):
        dense = compress.layers.replaced(dense, name, as_dense(new.get_submodule(name)))
    x = torch.randn(6, 2, 9, 9)
    with torch.no_grad():
        assert torch.allclose(new[0](x), dense[0](x), atol=1e-5)
        assert (new(x) - model(x)).abs().max() < 0.3 * model(x).std() + 0.05
        assert new(x).shape == model(x).shape


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("granularity", ["tensor", "channel", "group"])
@pytest.mark.parametrize("symmetric", [True, False])
def test_weights_of_few_bits_are_within_half_a_step(bits, granularity, symmetric):
    layer = linear(13, 6)
    made = WeightOnly(layer, bits, granularity=granularity, group=4, symmetric=symmetric)
    error = (made.weight() - layer.weight).abs().max()
    assert error <= (0.51 if symmetric else 1.01) * made.scale.max()
    assert len(made.packed) == -(-13 * 6 * bits // 8)
    assert torch.equal(made.like(made.dense()).weight(), made.weight()) or bits < 4 or not symmetric


@pytest.mark.parametrize("k, n", ODD)
@pytest.mark.parametrize("bias", [True, False])
def test_int4_multiplies_the_numbers_it_stores(k, n, bias):
    layer = linear(k, n, bias=bias)
    made, x = Int4Linear(layer), inputs(5, k)
    with torch.no_grad():
        assert torch.allclose(made(x).double(), double(made, x), atol=1e-5)
    assert len(made.packed) == -(-n * k // 2)
    assert made.scale.dtype == torch.bfloat16
    assert len(made.scale) == n * -(-k // 64)


def test_int4_leaves_what_is_on_its_grid_alone():
    layer = nn.Linear(64, 8, bias=False)
    codes = torch.randint(-7, 8, (8, 64))
    codes[:, 0] = 7
    layer.weight.data = codes * 0.25
    made = Int4Linear(layer, calibration="minmax")
    assert torch.equal(made.dense().weight, layer.weight)
    stored = unpack_bits(made.packed, 4, 512).reshape(8, 64) - 8
    assert torch.equal(stored, codes.int())


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_int4_scales_reach_as_far_as_float32(size):
    layer = linear(40, 3)
    layer.weight.data *= size
    made = Int4Linear(layer).dense().weight
    assert (made - layer.weight).abs().max() < 0.2 * layer.weight.abs().max()


@pytest.mark.parametrize("k, n", ODD)
def test_the_dynamic_product_is_one_of_integers(k, n):
    layer = linear(k, n)
    made, x = Int8Dynamic(layer), inputs(4, k)
    step = x.abs().amax(1, keepdim=True).double() / 127
    q = np.rint((x.double() / step).numpy()).astype(np.int64)
    whole = q @ made.weight.numpy().astype(np.int64).T
    want = torch.from_numpy(whole) * step * made.scale.double() + layer.bias.double()
    with torch.no_grad():
        got = made(x)
        # A quotient that lies between two integers may be rounded the other way in float32.
        assert (got.double() - want).abs().max() <= 1.01 * float(step.max() * made.scale.max()) * 127
        assert torch.allclose(got.double(), want, atol=1e-4)
        assert (got - layer(x)).abs().max() < 0.05 * layer(x).abs().max() + 0.01


def test_rows_of_zeros_and_of_no_numbers():
    q, step = quantise_rows(torch.tensor([[0.0, 0.0], [float("nan"), 1.0], [-2.0, 1.0]]))
    assert q.tolist()[0] == [0, 0]
    assert q.tolist()[2] == [-127, 64]
    assert step[0] == 0
    assert step[1].isnan()
    assert quantise_rows(torch.tensor([[3e-43, -3e-43, 1e-45]]))[0].abs().max() <= 127
    made = Int8Dynamic(linear(2, 3))
    with torch.no_grad():
        assert made(torch.zeros(1, 2)).allclose(made.bias)
        for bad in (float("nan"), float("inf")):
            assert made(torch.tensor([[bad, 1.0]])).isnan().all()


@pytest.mark.parametrize("kind", [Int4Linear, Int8Dynamic, BinaryLinear])
def test_leading_axes_and_empty_batches(kind):
    made = kind(linear(9, 4))
    x = inputs(6, 9)
    with torch.no_grad():
        assert torch.equal(made(x.reshape(2, 3, 9)).reshape(6, 4), made(x))
        assert made(x[:0]).shape == (0, 4)


@pytest.mark.parametrize("kind", [Int4Linear, Int8Dynamic, BinaryLinear])
def test_a_gradient_passes_through(kind):
    made, x = kind(linear(9, 4)), inputs(6, 9).requires_grad_()
    made(x).sum().backward()
    assert x.grad.abs().sum() > 0
    assert not list(made.parameters())


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_book_holds_the_nearest_numbers(bits):
    layer = linear(17, 9)
    made = Codebook(layer, bits)
    book, weight = made.book.detach().double(), layer.weight.detach().double()
    nearest = (weight.reshape(-1, 1) - book).abs().min(1).values.reshape(9, 17)
    assert torch.allclose((made.weight().double() - weight).abs(), nearest, atol=1e-6)
    assert len(made.book) == 2**bits


def test_kmeans_reaches_a_point_where_nothing_moves():
    x = torch.from_numpy(np.random.default_rng(0).normal(size=500).astype(np.float32))
    book = kmeans(x, 6)
    cell = (x[:, None] - book).abs().argmin(1)
    means = torch.stack([x[cell == i].double().mean() for i in range(6)])
    assert torch.allclose(means, book.double(), atol=1e-6)


@pytest.mark.parametrize("bits", [1, 3])
def test_zeros_stay_zeros_in_a_book_and_while_it_is_trained(bits):
    layer = linear(20, 8)
    layer.weight.data[layer.weight.abs() < 0.1] = 0
    zeros = layer.weight == 0
    made = Codebook(layer, bits).like(layer)
    assert (made.weight()[zeros] == 0).all()
    start = made.book.detach().clone()
    made(inputs(3, 20)).square().sum().backward()
    torch.optim.SGD(made.parameters(), 0.1).step()
    assert (made.weight()[zeros] == 0).all()
    assert not torch.equal(start, made.book)


def test_a_zero_beside_the_smallest_number_there_is_stays_zero():
    layer = nn.Linear(3, 1)
    layer.weight.data = torch.tensor([[0.0, 1e-45, 1.0]])
    assert Codebook(layer, 2).weight()[0, 0] == 0


@pytest.mark.parametrize("scheme", FLOATS)
def test_a_pruned_weight_stays_zero_in_like(scheme):
    model = small_cnn()
    for part in (model[0], model[4]):
        part.weight.data[part.weight.abs() < 0.1] = 0
    new = compress.quantize(model, scheme)
    for name in ("0", "4"):
        zeros = model.get_submodule(name).weight == 0
        part = new.get_submodule(name)
        assert (part.dense().weight[zeros] == 0).all()
        assert (part.like(model.get_submodule(name)).dense().weight[zeros] == 0).all()


@pytest.mark.parametrize("k, n", ODD)
def test_binary_is_what_signs_and_scales_give(k, n):
    layer, x = linear(k, n), inputs(50, k)
    made = BinaryLinear(layer, threshold=0.25, spread=0.5)
    w = layer.weight.detach().double()
    signs = np.where(x.numpy() - np.float32(0.25) >= 0, 1, -1) @ np.where(w.numpy() >= 0, 1, -1).T
    want = torch.from_numpy(signs) * w.abs().mean(1) * 0.5 + layer.bias.double() + 0.25 * w.sum(1)
    with torch.no_grad():
        assert torch.allclose(made(x).double(), want, atol=1e-5)
        assert torch.allclose(made(x.clone().requires_grad_()), made(x), atol=1e-5)
    assert len(made.packed) == -(-n * k // 8)
    dense = made.dense()
    assert torch.allclose(dense.weight.double(), w.sign() * w.abs().mean(1, keepdim=True), atol=1e-6)


def test_the_gradient_of_signs():
    x = torch.tensor([-1.5, -1.0, -0.0, 0.5, 2.0], requires_grad=True)
    y = Sign.apply(x)
    assert y.tolist() == [-1, -1, 1, 1, 1]
    y.sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 1, 0]


def test_straight_through_and_the_learned_step_by_their_equations():
    x = torch.tensor([-9.0, -1.2, 0.3, 0.8, 9.0], requires_grad=True)
    StraightThrough.apply(x, torch.tensor(0.5), -3, 3).sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 1, 0]
    step = torch.tensor(0.5, requires_grad=True)
    y = LearnedStep.apply(x, step, -3, 3, 0.25)
    assert y.tolist() == [-1.5, -1.0, 0.5, 1.0, 1.5]
    y.sum().backward()
    # round(x/s) - x/s inside, the ends beyond: Esser et al. 2020, equation 3.
    inside = (-2 + 2.4) + (1 - 0.6) + (2 - 1.6)
    assert float(step.grad) == pytest.approx(0.25 * (-3 + inside + 3), abs=1e-6)


def digits(n=128):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, n)
    x = rng.random((n, 1, 4, 4)).astype(np.float32) * 0.3
    x[np.arange(n), 0, y] += 0.7
    return Split(x, y, x, y)


def tiny(seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 4))
    models.train(model, digits(), epochs=10, batch_size=16, lr=2e-2)
    return model


@pytest.mark.parametrize("bits, input_bits", [(8, 8), (4, None), (2, 2), (1, None)])
@pytest.mark.parametrize("learned", [True, False])
def test_training_lowers_the_loss_and_packing_changes_nothing(bits, input_bits, learned, tmp_path):
    split = digits()
    model = compress.prepare_qat(tiny(), bits, input_bits=input_bits, data=split.x_train, learned=learned)
    x, y = torch.from_numpy(split.x_train), torch.from_numpy(split.y_train)
    before = float(F.cross_entropy(model(x), y).detach())
    history = models.train(model, split, epochs=8, batch_size=16, lr=5e-3)
    packed = compress.convert_qat(model)
    with torch.no_grad():
        after = float(F.cross_entropy(packed(x), y))
        assert torch.allclose(packed(x), model(x), atol=1e-5)
        compress.save(model, tmp_path / "qat.pt")
        assert torch.equal(compress.load(tmp_path / "qat.pt")(x), model(x))
        compress.save(packed, tmp_path / "packed.pt")
        assert torch.equal(compress.load(tmp_path / "packed.pt")(x), packed(x))
    assert history.loss[-1] <= history.loss[0]
    assert after < before
    assert state_bytes(packed) < 0.6 * state_bytes(model)
    assert [r.technique for r in compress.reports(packed)] == ["prepare_qat", "convert_qat"]
    new = compress.convert_qat(
        compress.prepare_qat(tiny(1), bits, input_bits=input_bits, data=x, learned=learned)
    )
    new.load_state_dict(packed.state_dict())
    with torch.no_grad():
        assert torch.equal(new(x), packed(x))


@pytest.mark.parametrize("bits", [1, 3])
def test_layers_in_training_can_be_taken_on_by_others(bits):
    made = compress.prepare_qat(tiny(), bits, data=digits().x_train, input_bits=None if bits == 1 else 4)
    for part in (made[1], made[3]):
        assert type(part.like(part.dense())) is type(part)
        assert torch.allclose(part.like(part.dense()).dense().weight, part.dense().weight, atol=1e-5)
    assert isinstance(made[1], BinaryTraining if bits == 1 else QuantisedTraining)


@pytest.mark.parametrize("calibration", ["minmax", "percentile", "std", "mse", "entropy"])
def test_integers_with_ranges_from_data(calibration):
    model = small_cnn()
    model[2] = nn.MaxPool2d(2)
    data = torch.randn(64, 2, 9, 9, generator=torch.Generator().manual_seed(0))
    new = compress.quantize(model, "int8", data=data, calibration=calibration)
    assert isinstance(new, compress.IntegerModel)
    with torch.no_grad():
        wanted = model(data)
        assert (new(data) - wanted).abs().mean() < 0.1 * wanted.std()
        if calibration == "minmax":
            assert torch.equal(new(data), compress.to_integer(model, data)(data))


def test_techniques_follow_each_other():
    model = models.mlp().eval()
    first = compress.quantize(model, "int8_weights")
    second = compress.quantize(first, "int4")
    assert [r.note for r in compress.reports(second)] == ["int8_weights", "int4"]
    x = torch.rand(4, 1, 28, 28)
    with torch.no_grad():
        assert (second(x) - model(x)).abs().max() < 0.2


def test_the_report_counts_bytes_and_only_named_layers_change():
    model = models.mlp().eval()
    new = compress.quantize(model, "int4", layers=["fc1"])
    (row,) = compress.report(new).layers
    assert (row.name, row.kind, row.weights) == ("fc1", "Int4Linear", 784 * 128)
    assert row.bytes_before == 4 * (784 * 128 + 128)
    assert row.bytes_after == 784 * 128 // 2 + 2 * 128 * 13 + 4 * 128
    assert type(new.fc2) is nn.Linear
    assert not new.training


@pytest.mark.parametrize(
    "scheme, options, words",
    [
        ("int3", {}, "int3"),
        ("int8", {}, "needs data"),
        ("int8", {"data": torch.empty(0, 1, 28, 28)}, "empty"),
        ("int8", {"data": torch.rand(2, 1, 28, 28), "layers": ["fc1"]}, "layers"),
        ("binary", {"data": torch.full((2, 1, 28, 28), torch.nan)}, "NaN"),
        ("int4", {"data": torch.rand(2, 1, 28, 28)}, "data means nothing"),
        ("int4", {"group": 24}, "multiple of 32"),
        ("int4", {"bits": 4}, "bits means nothing"),
        ("codebook", {"calibration": "mse"}, "calibration means nothing"),
        ("codebook", {"bits": 9}, "bits"),
        ("int8_weights", {"bits": 9}, "bits"),
        ("int8_weights", {"group": 32}, "group means nothing"),
        ("int4", {"layers": ["fc9"]}, "fc9"),
        ("int4", {"calibration": "best"}, "best"),
    ],
)
def test_wrong_arguments_are_named(scheme, options, words):
    with pytest.raises(ValueError, match=words):
        compress.quantize(models.mlp(), scheme, **options)


def test_layers_that_cannot_be_quantised_are_named():
    with pytest.raises(ValueError, match=r"'0'.*Conv2d"):
        compress.quantize(small_cnn(), "binary", data=torch.rand(4, 2, 9, 9))
    pruned = models.mlp()
    pruned.fc1.weight.data[0, 0] = 0
    with pytest.raises(ValueError, match="exactly zero"):
        compress.quantize(pruned, "binary", data=torch.rand(4, 1, 28, 28))
    pruned.fc1.weight.data[0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"fc1\.weight"):
        compress.quantize(pruned, "int4")
    with pytest.raises(TypeError, match="dict"):
        compress.quantize({}, "int4")


@pytest.mark.parametrize(
    "bits, input_bits, words", [(0, None, "bits"), (9, None, "bits"), (4, 9, "bits"), (1, 4, "signs")]
)
def test_wrong_bits_of_training_are_named(bits, input_bits, words):
    with pytest.raises(ValueError, match=words):
        compress.prepare_qat(models.mlp(), bits, input_bits=input_bits, data=torch.rand(4, 1, 28, 28))


def test_training_needs_data_for_inputs_and_layers_to_convert():
    with pytest.raises(ValueError, match="needs data"):
        compress.prepare_qat(models.mlp(), 4, input_bits=4)
    with pytest.raises(ValueError, match="prepare_qat"):
        compress.convert_qat(models.mlp())


@pytest.mark.parametrize("scheme", ["int8", *FLOATS])
def test_a_pruned_model_is_quantised_saved_loaded_and_run(scheme, tmp_path):
    model = models.mlp().eval()
    pruned = compress.prune(model, 0.6)
    data = torch.rand(64, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    new = compress.quantize(pruned, scheme, **({"data": data} if scheme == "int8" else {}))
    compress.save(new, tmp_path / "model.pt")
    back = compress.load(tmp_path / "model.pt")
    with torch.no_grad():
        assert torch.equal(back(data), new(data))
        assert (new(data) - pruned(data)).abs().max() < 0.1 * pruned(data).abs().max()
    assert compress.report(back).nonzero <= compress.report(pruned).nonzero
