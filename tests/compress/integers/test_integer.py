"""Integer inference: the same bits as integers of 64 bits give in NumPy, and what is built of a model of floats."""

import copy
import io
import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from coursekit import compress, models
from coursekit.compress.integers.layers import IntConv2d, IntLinear
from coursekit.compress.integers.parts import IntFlatten, IntMaxPool2d
from coursekit.compress.layers import weighted_layers

IMAGES = torch.rand(40, 1, 28, 28, generator=torch.Generator().manual_seed(1))


def ratio(layer):
    """What sums are multiplied by: fractions of Python's integers."""
    for scale in layer.scale.tolist():
        multiplier, shift = compress.multiplier_and_shift(layer.input_scale * scale / layer.output_scale)
        yield int(multiplier), int(shift)


def rescaled(total, layer):
    """Sums, in the last dimension one for each output, brought to int8 by Python's own integers."""
    out = np.empty(total.shape, np.int64)
    for n, (multiplier, shift) in enumerate(ratio(layer)):
        column = out[..., n]
        for place in np.ndindex(column.shape):
            product = int(total[(*place, n)]) * multiplier
            size = (2 * abs(product) + 2**shift) // 2 ** (shift + 1)
            column[place] = size if product >= 0 else -size
    return np.clip(out + layer.output_zero, layer.low, layer.high)


def convolved(x, layer):
    """x: (n, h, w, c) in int64; its zero point is taken off first, as the formula has it."""
    weight = layer.weight.long().numpy()
    K, D, R, S = weight.shape
    p, each = layer.padding, K // layer.groups
    x = np.pad(x - layer.input_zero, ((0, 0), (p, p), (p, p), (0, 0)))
    H, W = (x.shape[1 + i] - layer.dilation[i] * (n - 1) for i, n in enumerate((R, S)))
    rows, columns = range(0, H, layer.stride), range(0, W, layer.stride)
    total = np.zeros((len(x), len(rows), len(columns), K), np.int64)
    for k in range(K):
        first = k // each * D
        for r, s in np.ndindex(R, S):
            part = x[:, r * layer.dilation[0] :, s * layer.dilation[1] :, first : first + D]
            part = part[:, :: layer.stride, :: layer.stride][:, : len(rows), : len(columns)]
            total[..., k] += (part * weight[k, :, r, s]).sum(-1)
    return rescaled(total + layer.bias.long().numpy(), layer)


def by_integers(model, images):
    """What an IntegerModel should return, and the int8 between its layers, by NumPy's int64."""
    first = next(layer for layer in model if isinstance(layer, compress.IntLinear | compress.IntConv2d))
    steps = np.rint(images.numpy() / np.float32(first.input_scale)) + np.float32(first.input_zero)
    x, between = np.clip(steps, -128, 127).astype(np.int64), []
    x = x.transpose(0, 2, 3, 1) if x.ndim == 4 else x
    for layer in model:
        if isinstance(layer, IntConv2d):
            x = convolved(x, layer)
        elif isinstance(layer, IntMaxPool2d):
            k, s, p = layer.kernel_size, layer.stride, layer.padding
            padded = np.pad(x, ((0, 0), (p, p), (p, p), (0, 0)), constant_values=-128)
            x = np.lib.stride_tricks.sliding_window_view(padded, (k, k), (1, 2))[:, ::s, ::s].max((-2, -1))
        elif isinstance(layer, IntFlatten):
            x = (x.transpose(0, 3, 1, 2) if x.ndim == 4 else x).reshape(len(x), -1)
        elif isinstance(layer, IntLinear):
            total = (x - layer.input_zero) @ layer.weight.long().numpy().T + layer.bias.long().numpy()
            if not layer.output_scale:
                unit = (np.float64(layer.input_scale) * layer.scale.double().numpy()).astype(np.float32)
                return total.astype(np.float32) * unit, between
            x = rescaled(total, layer)
        between.append(x)
    real = (x.astype(np.float32) - layer_before(model).output_zero) * np.float32(
        layer_before(model).output_scale
    )
    return real.transpose(0, 3, 1, 2) if x.ndim == 4 else real, between


def layer_before(model):
    return [layer for layer in model if isinstance(layer, compress.IntLinear | compress.IntConv2d)][-1]


def by_hand(model, x):
    """The layers called one by one."""
    between = []
    for layer in model:
        x = layer(x)
        between.append(x)
    return between


def small(seed, *layers):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Sequential(*[layer() for layer in layers])
        for part in model.modules():
            if isinstance(part, nn.BatchNorm2d | nn.BatchNorm1d):
                part.running_mean.normal_(0, 0.3)
                part.running_var.uniform_(0.5, 2)
                part.weight.data.normal_(1, 0.3)
                part.bias.data.normal_(0, 0.3)
        return model.eval()


MODELS = {
    "mlp": lambda: models.mlp(30),
    "cnn": models.cnn,
    "padded, strided, normalised": lambda: small(
        1,
        lambda: nn.Conv2d(1, 5, 3, padding=1, bias=False),
        lambda: nn.BatchNorm2d(5),
        nn.ReLU6,
        lambda: nn.MaxPool2d(3, 2, 1),
        lambda: nn.Conv2d(5, 19, 3, stride=2, padding=2),
        nn.ReLU,
        nn.Flatten,
        lambda: nn.Linear(19 * 64, 11),
        nn.ReLU,
        nn.Dropout,
        lambda: nn.Linear(11, 3),
    ),
    "groups and dilation, ends in int8": lambda: small(
        2,
        lambda: nn.Conv2d(1, 6, 5, stride=3),
        lambda: nn.MaxPool2d(2),
        nn.ReLU,
        lambda: nn.Conv2d(6, 9, 2, groups=3, dilation=2, padding="valid"),
    ),
    "flat, ends in a ReLU": lambda: small(3, nn.Flatten, lambda: nn.Linear(784, 17), nn.ReLU),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_bits_are_those_of_integers(name):
    model = compress.to_integer(MODELS[name](), IMAGES)
    wanted, between = by_integers(model, IMAGES[:7])
    got = model(IMAGES[:7])
    assert got.dtype == torch.float32
    np.testing.assert_array_equal(got.numpy(), wanted)
    first = next(i for i, layer in enumerate(model) if hasattr(layer, "state"))  # what is before sees floats
    for one, other in zip(by_hand(model, IMAGES[:7])[first : len(between)], between[first:], strict=True):
        assert one.dtype == torch.int8
        np.testing.assert_array_equal(one.numpy(), other)


@pytest.mark.parametrize("name", MODELS)
def test_results_are_near_those_of_floats(name):
    """Within a few steps of the coarsest activation; the range of results is 255 of them."""
    model = MODELS[name]()
    wanted = model(IMAGES).detach()
    got = compress.to_integer(model, IMAGES)(IMAGES)
    assert got.shape == wanted.shape
    assert (got - wanted).abs().max() < 0.06 * (wanted.max() - wanted.min())


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(0, 99), st.floats(0.01, 5))
def test_ranges_that_saturate(seed, reach):
    """Ranges far too small: integers stop at their ends, as the reference's do."""
    model = small(seed, nn.Flatten, lambda: nn.Linear(784, 9), nn.ReLU, lambda: nn.Linear(9, 4))
    integer = compress.to_integer(model, None, ranges={"input": (0, 0.5), "2": (-reach / 3, reach)})
    np.testing.assert_array_equal(integer(IMAGES[:3]).numpy(), by_integers(integer, IMAGES[:3])[0])


@settings(deadline=None, derandomize=True)
@given(st.floats(1e-22, 0.2499999999999), st.integers(-(2**31), 2**31 - 1))
def test_multiplier_and_shift_are_the_nearest(factor, total):
    multiplier, shift = (int(n) for n in compress.multiplier_and_shift(factor))
    assert 33 <= shift <= 62 and 0 <= multiplier < 2**31
    assert multiplier >= 2**30 or shift == 62
    assert abs(multiplier / 2**shift - factor) <= max(2.0**-31 * factor, 2.0**-63)


def test_factors_out_of_range_are_refused():
    for bad in (0.25, -0.1, float("nan")):
        with pytest.raises(ValueError, match=r"factor must be from 0 to below 0\.25"):
            compress.multiplier_and_shift(bad)
    assert [n.tolist() for n in compress.multiplier_and_shift([0.0, 0.25 - 2.0**-54])] == [
        [0, 2**31 - 1],
        [33, 33],
    ]


@pytest.mark.parametrize("low, high", [(0, 1), (-1, 1), (-3, -1), (2, 5), (-0.1, 7)])
def test_zero_is_exactly_an_integer(low, high):
    scale, zero = compress.scale_and_zero(low, high)
    low, high = min(low, 0), max(high, 0)
    assert -128 <= zero <= 127
    assert abs(float(scale) * (127 - zero) - high) <= 0.51 * scale
    assert abs(float(scale) * (-128 - zero) - low) <= 0.51 * scale


def test_state_dict_and_file_are_exact(tmp_path):
    one = compress.to_integer(models.cnn(seed=1), IMAGES)
    other = compress.to_integer(models.cnn(seed=2), IMAGES)
    assert not torch.equal(one(IMAGES), other(IMAGES))  # both have run, and have plans
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(IMAGES), other(IMAGES))
    compress.save(one, tmp_path / "model.pt")
    again = compress.load(tmp_path / "model.pt")
    assert torch.equal(one(IMAGES), again(IMAGES))
    assert compress.report(again) == compress.report(one)
    assert torch.equal(copy.deepcopy(one)(IMAGES), one(IMAGES))
    buffer = io.BytesIO()
    torch.save(one.state_dict(), buffer)
    assert buffer.tell() < 21500  # 18,320 weights, 8 bytes for each of 58 outputs, and the file's own


def test_other_techniques_go_on_from_it():
    model = compress.to_integer(models.cnn(seed=1), IMAGES)
    before = model(IMAGES)
    for name, layer in weighted_layers(model).items():
        dense = layer.dense()
        dense.weight.data[dense.weight.abs() < dense.weight.abs().median()] = 0
        again = layer.like(dense)
        assert torch.equal(again.weight == 0, dense.weight == 0)
        setattr(model, name, layer.like(layer.dense()))
    assert (model(IMAGES) - before).abs().max() < 1e-3 * before.abs().max()
    model.conv2 = model.conv2.dense()  # a layer of floats in between
    assert (model(IMAGES) - before).abs().max() < 0.05 * before.abs().max()
    model.conv1 = model.conv1.dense()
    assert (model(IMAGES) - before).abs().max() < 0.05 * before.abs().max()


def test_hooks_see_the_integers():
    model = compress.to_integer(models.cnn(), IMAGES)
    wanted, seen = model(IMAGES), []
    handle = model.pool1.register_forward_hook(lambda layer, given, result: seen.append(result))
    assert torch.equal(model(IMAGES), wanted)
    assert seen[0].dtype == torch.int8 and seen[0].shape == (40, 12, 12, 16)
    handle.remove()
    assert torch.equal(model(IMAGES), wanted) and len(seen) == 1


def test_results_do_not_share_memory_and_threads_do_not_meet():
    model = compress.to_integer(models.cnn(), IMAGES)
    first, other = model(IMAGES[:4]), model(IMAGES[4:8])
    assert torch.equal(first, model(IMAGES[:4])) and not torch.equal(first, other)
    wanted = [model(IMAGES[i : i + 4]) for i in range(0, 40, 4)]
    wrong = []

    def work(i):
        for _ in range(50):
            if not torch.equal(model(IMAGES[4 * i : 4 * i + 4]), wanted[i]):
                wrong.append(i)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    [worker.start() for worker in workers]
    [worker.join() for worker in workers]
    assert not wrong


@pytest.mark.parametrize("form", ["empty", "channels last", "double", "gradient", "inference"])
def test_any_tensor_of_images(form):
    model = compress.to_integer(models.cnn(), IMAGES)
    wanted = model(IMAGES)
    if form == "empty":
        assert model(IMAGES[:0]).shape == (0, 10)
    elif form == "inference":
        with torch.inference_mode():
            assert torch.equal(model(IMAGES.clone()), wanted)
            model.load_state_dict(model.state_dict())
            assert torch.equal(model(IMAGES), wanted)
    else:
        change = {
            "channels last": lambda x: x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2),
            "double": lambda x: x.double(),
            "gradient": lambda x: x.clone().requires_grad_(),
        }
        assert torch.equal(model(change[form](IMAGES)), wanted)


class Functional(nn.Module):
    """A chain written as functions."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 3, 5), nn.Linear(3 * 12 * 12, 10)

    def forward(self, x):
        return self.fc(torch.flatten(functional.max_pool2d(functional.relu(self.conv(x)), 2), 1))


def test_a_chain_of_functions():
    model = Functional()
    assert compress.activation_names(model) == ("input", "relu")
    integer = compress.to_integer(model, IMAGES)
    assert list(dict(integer.named_children())) == ["conv", "relu", "max_pool2d", "flatten", "fc"]
    assert (integer(IMAGES) - model(IMAGES)).abs().max() < 0.05


def test_ranges_are_asked_for_by_name():
    model, seen = models.cnn(), {}
    names = compress.activation_names(model)
    assert names == ("input", "relu1", "relu2")
    compress.record_activations(
        model, [IMAGES[:9], IMAGES[9:]], lambda name, x: seen.setdefault(name, []).append(x)
    )
    assert tuple(seen) == names and [len(x) for x in seen["relu1"]] == [9, 31]
    ranges = {n: (min(x.min() for x in seen[n]), max(x.max() for x in seen[n])) for n in names}
    wanted = compress.to_integer(model, IMAGES)(IMAGES)
    assert torch.equal(compress.to_integer(model, None, ranges=ranges | {"pool1": (0, 1)})(IMAGES), wanted)
    with pytest.raises(ValueError, match="ranges lacks 'relu1'; wanted 'input', 'relu1', 'relu2'"):
        compress.to_integer(model, IMAGES, ranges={"input": (0, 1)})
    with pytest.raises(ValueError, match="ranges has 'relu3', which is no layer"):
        compress.to_integer(model, IMAGES, ranges=ranges | {"relu3": (0, 1)})
    for bad in ((1, 0), (0, float("inf")), 3):
        with pytest.raises(ValueError, match="the range of 'relu2'"):
            compress.to_integer(model, IMAGES, ranges=ranges | {"relu2": bad})


class Residual(nn.Sequential):
    def forward(self, x):
        return x + self[0](x)


UNSUPPORTED = {
    "a layer": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 4), nn.Sigmoid()),
        r"2 \(Sigmoid\) has no",
    ),
    "a branch": (lambda: Residual(nn.Conv2d(1, 1, 3, padding=1)), "add .* has no integer form"),
    "stride": (lambda: nn.Conv2d(1, 2, 3, stride=(1, 2)), "0: stride must be the same in both directions"),
    "padding": (
        lambda: nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect"),
        "0: padding_mode must be 'zeros'; got 'reflect'",
    ),
    "pooling": (
        lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2, ceil_mode=True)),
        "1: pooling with ceil_mode",
    ),
    "no layers": (lambda: nn.Sequential(nn.ReLU()), "no Linear or Conv2d"),
    "a layer used twice": (lambda: nn.Sequential(*[nn.Conv2d(1, 1, 3)] * 2), "0 is used more than once"),
    "a norm before": (
        lambda: nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 1, 3)),
        r"0 \(BatchNorm2d\) has no",
    ),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_is_not_supported_is_named(name):
    make, message = UNSUPPORTED[name]
    with pytest.raises(ValueError, match=message):
        compress.to_integer(make(), IMAGES[:2])


def test_sums_that_could_leave_int32_are_refused():
    with pytest.raises(
        ValueError, match="0: a sum of 32769 products may exceed int32; at most 32768 are allowed"
    ):
        compress.to_integer(nn.Sequential(nn.Linear(2**15 + 1, 2)), torch.rand(2, 2**15 + 1))


def test_bad_data_are_refused():
    model = models.mlp(4)
    for empty in (IMAGES[:0], []):
        with pytest.raises(ValueError, match="the calibration set is empty"):
            compress.to_integer(model, empty)
    with pytest.raises(ValueError, match="the calibration data hold NaN"):
        compress.to_integer(model, IMAGES * float("nan"))
    with pytest.raises(TypeError, match=r"model must be a torch.nn.Module"):
        compress.to_integer(3, IMAGES)
    integer = compress.to_integer(models.cnn(), IMAGES)
    with pytest.raises(
        ValueError, match="conv1 wants images of 1 channels and at least 5 x 5 pixels; got 2 of 9 x 9"
    ):
        integer(torch.zeros(1, 2, 9, 9))
    with pytest.raises(ValueError, match="fc wants 512 numbers; got 288"):
        integer(torch.zeros(1, 1, 24, 24))


def test_a_channel_without_weights_keeps_its_bias():
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 3), nn.ReLU(), nn.Linear(3, 2))
    model[1].weight.data[1] = 0
    model[1].bias.data[:] = torch.tensor([0.1, 0.7, 1e6])
    got = compress.to_integer(model, IMAGES)
    assert abs(got[1].dense().bias[1] - 0.7) < 1e-6
    assert torch.allclose(got(IMAGES), model(IMAGES), rtol=0.01)
