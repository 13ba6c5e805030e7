import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from coursekit.measure import count, count_op


def test_linear():
    layer = count(nn.Linear(784, 128), torch.randn(64, 784))
    assert layer.flops == 2 * 64 * 784 * 128 + 64 * 128
    assert layer.params == 784 * 128 + 128
    assert layer.param_bytes == 4 * layer.params
    assert layer.bytes_moved == 4 * (64 * 784 + 784 * 128 + 128 + 64 * 128)
    assert layer.intensity == pytest.approx(layer.flops / layer.bytes_moved)
    assert layer["(model)"].output == (64, 128)


@pytest.mark.parametrize(
    "layer, positions, per_position",
    [
        (nn.Conv2d(3, 8, 3, padding=1), 16 * 16 * 8, 3 * 9),
        (nn.Conv2d(3, 8, 3, stride=2), 7 * 7 * 8, 3 * 9),
        (nn.Conv2d(4, 8, 3, groups=2), 14 * 14 * 8, 2 * 9),
        (nn.Conv2d(6, 6, 3, groups=6), 14 * 14 * 6, 9),
        (nn.Conv2d(3, 5, 3, dilation=2), 12 * 12 * 5, 3 * 9),
        (nn.Conv2d(3, 5, (1, 3), bias=False), 16 * 14 * 5, 3 * 3),
    ],
)
def test_convolution(layer, positions, per_position):
    x = torch.randn(2, layer.in_channels, 16, 16)
    counts = count(layer, x)
    bias = 2 * positions if layer.bias is not None else 0
    assert counts.flops == 2 * 2 * positions * per_position + bias
    params = layer.out_channels * per_position + (layer.out_channels if layer.bias is not None else 0)
    assert counts.params == params
    assert counts.bytes_moved == 4 * (x.numel() + params + 2 * positions)


def test_embedding_reads_the_rows_it_returns():
    counts = count(nn.Embedding(10_000, 32), torch.tensor([[1, 2, 3]]))
    assert counts.flops == 0
    assert counts.params == 320_000
    assert counts.bytes_moved == 3 * 8 + 2 * 3 * 32 * 4


def test_lstm():
    steps, batch, inputs, hidden = 7, 3, 8, 16
    counts = count(nn.LSTM(inputs, hidden), torch.randn(steps, batch, inputs))
    products = 2 * steps * batch * 4 * hidden * (inputs + hidden)
    # Per unit and step: 4 gates get two biases, are added up and activated, then c = f·c + i·g and h = o·tanh(c).
    elementwise = steps * batch * hidden * (8 + 4 + 4 + 3 + 2)
    assert counts.flops == products + elementwise
    assert counts.params == 4 * hidden * (inputs + hidden + 2)


def test_mlp_row_by_row():
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    counts = count(model, torch.randn(5, 1, 28, 28))
    assert [(row.name, row.type, row.flops) for row in counts.rows] == [
        ("1", "Linear", 2 * 5 * 784 * 128 + 5 * 128),
        ("2", "ReLU", 5 * 128),
        ("3", "Linear", 2 * 5 * 128 * 10 + 5 * 10),
    ]
    assert counts.params == 101_770
    assert counts["2"].bytes_moved == 2 * 4 * 5 * 128
    with pytest.raises(KeyError, match="'1', '2', '3'"):
        counts["4"]


@pytest.mark.parametrize(
    "function, flops, moved",
    [
        (lambda x: x.exp(), 24, 48),
        (lambda x: x.relu_(), 24, 48),
        (lambda x: x.sum(), 24, 25),
        (lambda x: x.softmax(-1), 5 * 24, 48),
        (lambda x: x.view(-1).reshape(6, 4).t()[1:].unsqueeze(0), 0, 0),
        (lambda x: x.clone(), 0, 48),
        (lambda x: torch.cat([x, x]), 0, 24 + 48),
        (lambda x: F.pad(x, (1, 1)), 0, 24 + 32),
        (lambda x: F.max_pool1d(x, 3), 24, 24 + 8),
        (lambda x: F.avg_pool2d(x[None, None], 2), 24, 24 + 6),
        (lambda x: x[:1].expand(4, 6) + x, 24, 6 + 24 + 24),
        (lambda x: torch.zeros(4), 0, 4),
        (lambda x: torch.empty(4), 0, 0),
    ],
    ids=[
        "exp",
        "relu_",
        "sum",
        "softmax",
        "views",
        "clone",
        "cat",
        "pad",
        "maxpool",
        "avgpool",
        "expand",
        "zeros",
        "empty",
    ],
)
def test_functions_by_hand(function, flops, moved):
    counts = count(function, torch.randn(4, 6))
    assert counts.flops == flops
    assert counts.bytes_moved == 4 * moved
    assert not counts.uncounted


class Small(nn.Module):
    """Convolution, a functional activation, attention and a head: products that torch counts as well."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(1, 8, 3, groups=1, stride=2)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 10)

    def forward(self, x):
        x = F.relu(self.convolution(x)).flatten(2).transpose(1, 2)
        return self.head(self.attention(x, x, x, need_weights=False)[0].mean(1))


def test_products_agree_with_torchs_own_counter():
    model, x = Small(), torch.randn(2, 1, 12, 12)
    with FlopCounterMode(display=False) as torchs:
        model.train()(x)
    counts = count(model, x)
    scores = 2 * 2 * 25 * 25
    attention = 2 * scores * 4 + 5 * scores + 2 * scores * 4  # on CPUs torch does not count it
    elementwise = 2 * 8 * 25 * 2  # relu and mean
    biases = 2 * 8 * 25 + 2 * 25 * (3 + 1) * 8 + 2 * 10  # convolution, projections, head
    assert counts.flops - attention - elementwise - biases == torchs.get_total_flops()
    assert counts["(model)"].flops == 2 * (2 * 8 * 25)


def test_nothing_is_calculated_on_meta_and_the_numbers_are_the_same():
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 26 * 26, 10)
    )
    x = torch.randn(3, 1, 28, 28)
    assert count(model, x.to("meta")).rows == count(model, x).rows
    assert {p.device.type for p in model.parameters()} == {"cpu"}
    with torch.device("meta"):
        vast = nn.Sequential(nn.Flatten(), nn.Linear(128 * 28 * 28, 512), nn.Linear(512, 200_000_000))
    assert count(vast, torch.randn(1, 128, 28, 28)).params == 128 * 784 * 512 + 512 + 513 * 200_000_000


def test_shared_weights_are_parameters_once_and_work_twice():
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    model[1].weight = model[0].weight
    counts = count(model, torch.randn(1, 8))
    assert counts.params == 64 + 8 + 8
    assert counts.flops == 2 * (2 * 64 + 8)
    layer = nn.Linear(8, 8)
    again = count(nn.Sequential(layer, layer), torch.randn(1, 8))
    assert (again.params, again.flops) == (72, 2 * (2 * 64 + 8))


def test_the_module_is_left_as_it_was_even_when_forward_raises():
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(), nn.BatchNorm1d(4))
    model.train()
    model[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for x, error in ((torch.randn(3, 4), None), (torch.randn(3, 5), RuntimeError)):
        if error:
            with pytest.raises(error):
                count(model, x)
        else:
            count(model, x)
        assert [part.training for part in model.modules()] == [True, True, False, True]
        assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.backends.mha.get_fastpath_enabled()
    assert torch.backends.mkldnn.is_available() == torch.backends.mkldnn.enabled


def test_what_has_no_rule_is_named():
    counts = count(lambda a: torch.linalg.cholesky(a), torch.eye(3))
    assert any("cholesky" in name for name in counts.uncounted)
    assert "not counted" in str(counts)


def test_counts_print_and_wrong_things_are_refused():
    counts = count(nn.Linear(784, 128), torch.randn(64, 784))
    assert "12.9 M" in str(counts)
    assert "100,480" in counts._repr_html_()
    with pytest.raises(TypeError, match="got int"):
        count(3)


def test_operations_of_the_contract():
    cost = count_op("matmul", M=64, K=784, N=128)
    assert cost.flops == 2 * 64 * 784 * 128
    assert cost.bytes == 4 * (64 * 784 + 784 * 128 + 64 * 128)
    assert count_op("matmul", M=2, K=3, N=4, dtype="float64").bytes == 8 * (6 + 12 + 8)
    with pytest.raises(ValueError, match="'N'"):
        count_op("matmul", M=1, K=1)
    with pytest.raises(ValueError, match="matmul"):
        count_op("frobnicate")
