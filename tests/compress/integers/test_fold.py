"""Batch norm folded: the same results in float64, whatever stands around, and what is left alone."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from coursekit import compress, models
from coursekit.compress.layers import CompressedLayer


def norm(kind, channels, **how):
    """A batch norm that has seen data."""
    layer = kind(channels, **how).double()
    generator = torch.Generator().manual_seed(channels)
    if layer.running_mean is not None:
        layer.running_mean.normal_(0, 2, generator=generator)
        layer.running_var.uniform_(1e-4, 3, generator=generator)
    if layer.affine:
        layer.weight.data.normal_(0, 2, generator=generator)
        layer.bias.data.normal_(generator=generator)
    return layer


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.data())
def test_convolutions_give_the_same_in_float64(data):
    groups, bias, affine = (
        data.draw(st.sampled_from([1, 2])),
        data.draw(st.booleans()),
        data.draw(st.booleans()),
    )
    C, K = groups * data.draw(st.integers(1, 3)), groups * data.draw(st.integers(1, 4))
    model = nn.Sequential(
        nn.Conv2d(C, K, data.draw(st.integers(1, 3)), padding=1, groups=groups, bias=bias).double(),
        norm(nn.BatchNorm2d, K, affine=affine, eps=data.draw(st.sampled_from([1e-5, 0.3]))),
        nn.ReLU(),
    ).eval()
    folded = compress.fold_batch_norm(model)
    x = torch.randn(3, C, 6, 5, dtype=torch.float64)
    torch.testing.assert_close(folded(x), model(x), rtol=1e-11, atol=1e-11)
    assert isinstance(folded[1], nn.Identity) and isinstance(model[1], nn.BatchNorm2d)
    assert folded[0].bias is not None


class Block(nn.Module):
    """A residual block with norms, one of which cannot be folded."""

    def __init__(self):
        super().__init__()
        self.first = norm(nn.BatchNorm2d, 3)
        self.conv1, self.bn1 = nn.Conv2d(3, 3, 3, padding=1, bias=False).double(), norm(nn.BatchNorm2d, 3)
        self.conv2, self.bn2 = nn.Conv2d(3, 3, 3, padding=1).double(), norm(nn.BatchNorm2d, 3)
        self.shared, self.bn3 = nn.Conv2d(3, 3, 1).double(), norm(nn.BatchNorm2d, 3)
        self.tapped, self.bn4 = nn.Conv2d(3, 3, 1).double(), norm(nn.BatchNorm2d, 3)

    def forward(self, x):
        x = self.first(x)
        x = x + self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        x = self.bn3(self.shared(x)) + self.shared(x)
        y = self.tapped(x)
        return self.bn4(y) + y


def test_only_what_stands_alone_is_folded():
    model = Block().eval()
    x = torch.randn(2, 3, 7, 7, dtype=torch.float64)
    folded = compress.fold_batch_norm(model)
    torch.testing.assert_close(folded(x), model(x), rtol=1e-10, atol=1e-10)
    left = {name for name, part in folded.named_modules() if isinstance(part, nn.BatchNorm2d)}
    assert left == {"first", "bn3", "bn4"}
    assert isinstance(folded, Block)


def test_linear_layers_and_training_mode():
    model = nn.Sequential(nn.Linear(4, 5).double(), norm(nn.BatchNorm1d, 5)).train()
    folded = compress.fold_batch_norm(model)
    x = torch.randn(6, 4, dtype=torch.float64)
    assert model.training and not folded.training
    torch.testing.assert_close(folded(x), model.eval()(x))
    sequences = nn.Sequential(nn.Linear(4, 5).double(), norm(nn.BatchNorm1d, 7)).eval()
    x = torch.randn(6, 7, 4, dtype=torch.float64)  # here the norm is over the places, not the features
    torch.testing.assert_close(compress.fold_batch_norm(sequences)(x), sequences(x))


class Halved(CompressedLayer):
    """A linear layer kept as float16."""

    def __init__(self, layer):
        super().__init__()
        self.register_buffer("weight", layer.weight.detach().half())
        self.register_buffer("bias", layer.bias.detach().half())

    def forward(self, x):
        return nn.functional.linear(x, self.weight.double(), self.bias.double())

    def dense(self):
        layer = nn.Linear(*self.weight.shape[::-1])
        layer.weight.data, layer.bias.data = self.weight.float(), self.bias.float()
        return layer

    def like(self, layer):
        return Halved(layer)


def test_a_compressed_layer_keeps_its_form():
    model = nn.Sequential(Halved(nn.Linear(4, 5)), norm(nn.BatchNorm1d, 5)).eval()
    folded = compress.fold_batch_norm(model)
    x = torch.randn(6, 4, dtype=torch.float64)
    assert isinstance(folded[0], Halved) and isinstance(folded[1], nn.Identity)
    torch.testing.assert_close(folded(x), model(x), rtol=0.01, atol=0.01)


def test_models_without_batch_norm_are_copied():
    model = models.mlp(4)
    folded = compress.fold_batch_norm(model)
    assert folded is not model and torch.equal(folded.fc1.weight, model.fc1.weight)


class Asks(nn.Sequential):
    def forward(self, x):
        return self[1](self[0](x)) if x.sum() > 0 else x


def test_what_cannot_be_folded_is_named():
    with pytest.raises(ValueError, match="1 has no running statistics"):
        compress.fold_batch_norm(
            nn.Sequential(nn.Linear(2, 3).double(), norm(nn.BatchNorm1d, 3, track_running_stats=False))
        )
    with pytest.raises(ValueError, match="the forward pass of Asks cannot be followed"):
        compress.fold_batch_norm(Asks(nn.Linear(2, 2), nn.BatchNorm1d(2)))
    with pytest.raises(TypeError, match=r"model must be a torch.nn.Module; got int"):
        compress.fold_batch_norm(3)
