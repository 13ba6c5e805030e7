"""Channels taken out: the smaller model computes what the masked one does, exactly but for rounding, in float64."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from coursekit import compress, models
from coursekit.compress import mask_channels, remove_channels


class Net(nn.Module):
    """A model from layers and a function of them: the tests' own little nets."""

    def __init__(self, forward, **layers):
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)
        self._forward = forward

    def forward(self, x):
        return self._forward(self, x)


def conv(a, b, size=3, **options):
    return nn.Conv2d(a, b, size, padding=size // 2, **options)


def head(channels, side=5):
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * side * side, 3))


def residual(c):
    return Net(
        lambda m, x: m.head(F.relu((y := m.bn1(m.c1(x))) + m.bn3(m.c3(F.relu(m.bn2(m.c2(y))))))),
        c1=conv(2, c), bn1=nn.BatchNorm2d(c), c2=conv(c, c + 3), bn2=nn.BatchNorm2d(c + 3), c3=conv(c + 3, c),
        bn3=nn.BatchNorm2d(c), head=head(c),
    )  # fmt: skip


def depthwise(c):
    return Net(
        lambda m, x: m.head(torch.sigmoid(m.c2(m.bn(m.dw(m.act(m.c1(x))))))),
        c1=conv(2, c), act=nn.PReLU(c), dw=conv(c, 2 * c, groups=c), bn=nn.BatchNorm2d(2 * c), c2=conv(2 * c, c, 1),
        head=head(c),
    )  # fmt: skip


def grouped(c):
    return Net(
        lambda m, x: m.head(m.c2(F.gelu(m.g(F.silu(m.c1(x)))))),
        c1=conv(2, 3 * c), g=conv(3 * c, 6 * c, groups=3), c2=conv(6 * c, c), head=head(c),
    )  # fmt: skip


def concatenated(c):
    def forward(m, x):
        a, b = F.relu(m.a(x)), torch.tanh(m.b(x))
        return m.head(F.max_pool2d(m.c(torch.cat([a, x, b], 1)) + torch.cat((b, a), dim=1), 1))

    return Net(forward, a=conv(2, c), b=conv(2, c + 1), c=conv(2 * c + 3, 2 * c + 1), head=head(2 * c + 1))


def pooled(c):
    def forward(m, x):
        y = F.avg_pool2d(torch.exp(m.c1(x)), 2)
        z = (
            y.mean((2, 3))
            + F.adaptive_avg_pool2d(y, 1).flatten(1)
            + m.c2(x).view(x.size(0), -1).sum(1, keepdim=True)
        )
        return m.fc2(F.dropout(m.bn(m.fc1(z)), training=m.training))

    return Net(
        forward, c1=conv(2, c), c2=conv(2, c), fc1=nn.Linear(c, c + 2), bn=nn.BatchNorm1d(c + 2),
        fc2=nn.Linear(c + 2, 3),
    )  # fmt: skip


def excited(c):
    """Squeeze and excitation (Hu, Shen and Sun 2018), and a map of one channel for all."""

    def forward(m, x):
        y = m.c1(x)
        gate = torch.sigmoid(m.up(F.relu(m.down(y.mean((2, 3), keepdim=True)))))
        return m.head(y * gate * torch.sigmoid(m.spot(y)) - 0.5)

    return Net(forward, c1=conv(2, c), down=conv(c, c, 1), up=conv(c, c, 1), spot=conv(c, 1), head=head(c))


def twice(c):
    """One layer called two times, and added to what it read."""
    return Net(
        lambda m, x: m.head((y := m.c1(x)) + m.c2(F.relu(m.c2(y)))),
        c1=conv(2, c),
        c2=conv(c, c),
        head=head(c),
    )


def held(c):
    """Channels that a softmax or a layer norm mixes stay."""

    def forward(m, x):
        y = torch.softmax(m.c1(x), 1)
        return m.fc(F.relu(m.free(m.norm(m.c2(y).flatten(1)))))

    return Net(
        forward, c1=conv(2, c), c2=conv(c, 2), norm=nn.LayerNorm(50), free=nn.Linear(50, c + 3), fc=nn.Linear(c + 3, 2)
    )  # fmt: skip


NETS = (residual, depthwise, grouped, concatenated, pooled, excited, twice, held)


def filled(model, seed=0):
    """Weights, biases and statistics drawn at random, in float64 and evaluation mode."""
    torch.manual_seed(seed)
    for name, tensor in model.double().state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor) + 0.5 if "var" in name else torch.randn_like(tensor) / 3)
    return model.eval()


@pytest.mark.parametrize("net", NETS)
@settings(max_examples=8)
@given(c=st.integers(2, 7), share=st.sampled_from([0.0, 0.2, 0.5, 0.8, 0.99]), seed=st.integers(0, 99))
def test_the_smaller_model_computes_what_the_masked_one_does(net, c, share, seed):
    model = filled(net(c), seed)
    state, x = copy.deepcopy(model.state_dict()), torch.randn(3, 2, 5, 5, dtype=torch.float64)
    small, masked = (f(model, share, example=x[:2]) for f in (remove_channels, mask_channels))
    wanted = masked(x).detach()
    torch.testing.assert_close(small(x), wanted, rtol=0, atol=1e-12 * (1 + float(wanted.abs().max())))
    sizes = [sum(p.numel() for p in m.parameters()) for m in (small, model)]
    lost = any(row.note != "as it was" for row in compress.report(small).layers)
    assert (sizes[0] < sizes[1]) == lost and (lost or share < 0.8)
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert {name: t.shape for name, t in masked.state_dict().items()} == {
        n: t.shape for n, t in state.items()
    }
    for part in small.modules():  # what layers say of themselves is true
        if isinstance(part, nn.Conv2d):
            assert part.weight.shape[:2] == (part.out_channels, part.in_channels // part.groups)
        if isinstance(part, nn.BatchNorm2d):
            assert part.running_mean.shape == part.weight.shape == (part.num_features,)


def test_masking_is_more_than_nothing():
    model, x = filled(residual(6)), torch.randn(3, 2, 5, 5, dtype=torch.float64)
    masked = mask_channels(model, 0.5, example=x)
    assert (masked(x) - model(x)).abs().max() > 1e-3
    assert torch.equal(remove_channels(model, 0.0, example=x)(x), model(x))


@pytest.mark.parametrize("name", ["mlp", "lenet300", "cnn"])
def test_models_of_the_course_lose_their_share(name):
    model, x = models.MODELS[name](), torch.rand(5, 1, 28, 28)
    small, masked = (f(model, 0.5, example=x.numpy()[:2]) for f in (remove_channels, mask_channels))
    torch.testing.assert_close(small(x), masked(x), rtol=0, atol=1e-5)
    widths = {"mlp": ["fc1: 64"], "lenet300": ["fc1: 150", "fc2: 50"], "cnn": ["conv1: 8", "conv2: 16"]}[name]
    for words in widths:
        layer, width = words.split(": ")
        assert len(small.get_submodule(layer).weight) == int(width)
    assert small(x).shape == (5, 10)
    report = compress.report(small)
    assert report.bytes_after < 0.55 * report.bytes_before
    assert (masked.get_submodule(layer).weight.flatten(1) != 0).any(1).sum() == int(width)


def test_what_goes_is_what_is_smallest():
    model = models.mlp(6)
    with torch.no_grad():
        for i, size in enumerate([3, 1, 5, 0.5, 4, 2]):
            model.fc1.weight[i], model.fc1.bias[i], model.fc2.weight[:, i] = size / 100, 0, 0
    x = torch.rand(2, 1, 28, 28)
    small = remove_channels(model, 0.5, example=x)
    torch.testing.assert_close(small.fc1.weight, model.fc1.weight[[0, 2, 4]])
    model.fc2.weight.data[:, 3] = 9  # what reads a channel counts, too
    assert 0.5 / 100 in remove_channels(model, 0.5, example=x).fc1.weight


def test_tied_channels_are_ranked_by_all_that_goes_with_them():
    model = filled(residual(4))
    with torch.no_grad():
        for part in (model.c1, model.c3, model.bn1, model.bn3, model.c2, model.head[1]):
            for parameter in part.parameters():
                parameter.zero_()
        model.c1.weight[0], model.c3.weight[1] = 1, 2
        model.bn3.weight[2], model.head[1].weight[:, 75:] = 9, 0.1
    x = torch.randn(2, 2, 5, 5, dtype=torch.float64)
    # sums of squares: 18, 4 * 63, 81, 0.01 * 75
    wanted = {0.25: [0, 1, 2], 0.5: [1, 2], 0.75: [1]}
    for share, left in wanted.items():
        small = remove_channels(model, {"c1": share}, example=x)
        assert torch.equal(small.c1.weight, model.c1.weight[left])
        assert torch.equal(small.bn3.weight, model.bn3.weight[left])
        assert len(small.c2.weight) == 7


def test_scores_of_ones_own():
    model, x = models.cnn(), torch.rand(2, 1, 28, 28)
    scores = np.arange(16.0)[::-1].copy()
    small = remove_channels(model, {"conv1": 0.25}, importance={"conv1": scores}, example=x)
    assert torch.equal(small.conv1.weight, model.conv1.weight[:12])
    of_weights = torch.zeros_like(model.conv1.weight)
    of_weights[3:] = 1
    small = remove_channels(model, {"conv1": 3 / 16}, importance={"conv1": of_weights}, example=x)
    assert torch.equal(small.conv1.weight, model.conv1.weight[3:])
    assert torch.equal(small.conv2.weight, model.conv2.weight[:, 3:])


def test_channels_by_number_and_other_groups_whole():
    model, x = models.cnn(), torch.rand(2, 1, 28, 28)
    small = remove_channels(model, {"conv2": [31, 0, 5]}, example=x)
    left = [i for i in range(32) if i not in (0, 5, 31)]
    assert torch.equal(small.conv2.weight, model.conv2.weight[left]) and small.conv1.out_channels == 16
    assert torch.equal(small.fc.weight, model.fc.weight.reshape(10, 32, 16)[:, left].reshape(10, -1))
    tied = filled(residual(4))
    x = torch.randn(2, 2, 5, 5, dtype=torch.float64)
    both = remove_channels(tied, {"c1": [1, 2], "c3": [2, 1]}, example=x)
    assert torch.equal(both.c3.weight, tied.c3.weight[[0, 3]])
    with pytest.raises(ValueError, match="c1 and c3 lose the same channels; share asks for different ones"):
        remove_channels(tied, {"c1": [1, 2], "c3": [3]}, example=x)


def test_it_goes_on_from_what_others_made(tmp_path):
    model, x = models.lenet300().eval(), torch.rand(9, 1, 28, 28)
    pruned = compress.prune(model, 0.9, pattern="block")
    small = remove_channels(compress.to_sparse(pruned, "block"), 0.5, example=x[:2])
    plain = remove_channels(pruned, 0.5, example=x[:2])
    assert type(small.fc1) is nn.Linear and torch.equal(small.fc1.weight, plain.fc1.weight)
    assert [one.technique for one in compress.reports(small)] == ["prune", "to_sparse", "remove_channels"]
    again = compress.to_sparse(plain, "csr", threshold=0)
    torch.testing.assert_close(again(x), plain(x).detach())
    compress.save(plain, tmp_path / "small.pt")
    assert torch.equal(compress.load(tmp_path / "small.pt")(x), plain(x))
    twice_ = remove_channels(plain, 0.5, example=x[:2])
    assert twice_.fc1.out_features == 75
    fresh = remove_channels(model, 0.5, example=x[:2])
    fresh.load_state_dict(plain.state_dict())
    assert torch.equal(fresh(x), plain(x))


def test_it_is_trained_on_and_modes_stay():
    model = filled(residual(4)).float().train()
    model.c2.eval()
    mean = model.bn1.running_mean.clone()
    x = torch.randn(8, 2, 5, 5)
    small = remove_channels(model, 0.5, example=x)
    assert small.training and small.bn1.training and not small.c2.training
    assert torch.equal(model.bn1.running_mean, mean)
    model.c1.weight.requires_grad_(False)
    assert not remove_channels(model, 0.5, example=x).c1.weight.requires_grad
    small(x).square().sum().backward()
    assert small.c1.weight.grad.shape == small.c1.weight.shape


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m, x: torch.fft.fft(m.c1(x)).real, r"node 'fft_fft' \(fft_fft\) cannot be handled"),
        (lambda m, x: m.c1(x).permute(0, 2, 3, 1), r"node 'permute' \(permute\) cannot be handled"),
        (lambda m, x: m.c1(x).chunk(2, 1)[0], r"node 'chunk' \(chunk\) cannot be handled"),
        (lambda m, x: m.head(m.c1(x).view(-1, 100)), r"node 'view' .* it wants 100 numbers.*write flatten"),
        (lambda m, x: m.c1(x).reshape(-1, 25), r"node 'reshape' .* channels do not stay together"),
        (lambda m, x: m.c1(x).flatten(), r"node 'flatten' .* it flattens the batch"),
        (lambda m, x: m.lin(m.c1(x)), r"node 'lin' \(Linear\) cannot be handled: it does not read the axis"),
        (lambda m, x: m.c1(x) if x.sum() > 0 else x, "cannot be traced with torch.fx"),
        (lambda m, x: m.c1(x.flatten(1)), "cannot compute the example"),
        (lambda m, x: m.c1(x), "no channels can go"),
        (lambda m, x: m.c1(x) @ m.c1(x), r"node 'matmul' \(matmul\) cannot be handled"),
        (lambda m, x: m.lstm(m.c1(x).flatten(2))[0], r"node 'lstm' \(LSTM\) cannot be handled"),
        (lambda m, x: m.head(m.c1(x)) * F.linear(x.flatten(1), m.c1.weight.reshape(1, -1)[:, :50]), "the trace does"),
    ],
)  # fmt: skip
def test_what_cannot_be_handled_is_named(change, words):
    net = Net(change, c1=conv(2, 4), head=head(4), lin=nn.Linear(5, 5), lstm=nn.LSTM(25, 2))
    with pytest.raises(ValueError, match=words):
        remove_channels(net, 0.5, example=torch.rand(2, 2, 5, 5))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"share": 1.0}, ValueError, "share must be from 0 to below 1"),
        ({"share": -0.1}, ValueError, "share must be from 0 to below 1"),
        ({"share": "half"}, TypeError, "share must be a number or a dict; got str"),
        ({"share": True}, TypeError, "share must be a number or a dict; got bool"),
        ({"share": {"conv1": "x"}}, TypeError, r"share\['conv1'\] must be a number or a list"),
        ({"share": {"fc": 0.5}}, ValueError, "no channels of 'fc' can go; those of 'conv1', 'conv2' can"),
        ({"share": {"conv1": [16]}}, ValueError, r"share\['conv1'\] must hold numbers from 0 to 15; got 16"),
        ({"share": {"conv1": [0.5]}}, TypeError, "must be a list of whole numbers"),
        ({"share": {"conv1": range(16)}}, ValueError, "names all channels of the layer; one has to stay"),
        ({"importance": "size"}, TypeError, "importance must be 'magnitude' or a dict of scores; got 'size'"),
        ({"importance": {"conv9": [1]}}, ValueError, "importance has scores of 'conv9'; there are 'conv1'"),
        (
            {"importance": {"conv1": [1.0]}},
            ValueError,
            r"must have shape \(16,\) or \(16, 1, 5, 5\); got \(1,\)",
        ),
        ({"importance": {"conv1": [float("nan")] * 16}}, ValueError, r"importance\['conv1'\] holds NaN"),
        ({"importance": {"conv1": [1.0] * 16}}, ValueError, "importance has no scores for conv2"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, words):
    given_ = {"share": 0.5, "example": torch.rand(2, 1, 28, 28)} | arguments
    with pytest.raises(error, match=words):
        remove_channels(models.cnn(), **given_)


def test_wrong_models_are_named():
    x = torch.rand(2, 1, 28, 28)
    bad = models.mlp()
    bad.fc1.bias.data[3] = torch.inf
    with pytest.raises(ValueError, match=r"fc1.bias holds NaN or infinity"):
        remove_channels(bad, 0.5, example=x)
    with pytest.raises(TypeError, match=r"torch.nn.Module; got dict"):
        remove_channels({}, 0.5, example=x)
    masked = models.mlp()
    torch.nn.utils.parametrizations.weight_norm(masked.fc1)
    with pytest.raises(ValueError, match=r"fc1.weight is computed from other tensors"):
        remove_channels(masked, 0.5, example=x)
