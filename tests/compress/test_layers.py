"""What the techniques share: checked copies, layers by name, reports that stay with a model."""

import copy

import pytest
from torch import nn

from coursekit import compress, models
from coursekit.compress.layers import (
    CompressedLayer,
    as_dense,
    check_model,
    copied,
    replaced,
    weighted_layers,
)
from coursekit.compress.report import add_report, state_bytes


class Halved(CompressedLayer):
    """A linear layer kept as float16."""

    def __init__(self, layer):
        super().__init__()
        self.register_buffer("weight", layer.weight.detach().half())
        self.inner = nn.Linear(1, 1)

    def dense(self):
        layer = nn.Linear(*self.weight.shape[::-1], bias=False)
        layer.weight.data = self.weight.float()
        return layer

    def like(self, layer):
        return Halved(layer)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_named(bad):
    model = models.mlp()
    model.fc2.weight.data[3, 5] = bad
    with pytest.raises(ValueError, match=r"fc2\.weight holds NaN or infinity"):
        check_model(model)


def test_what_is_no_module_is_refused():
    with pytest.raises(TypeError, match=r"torch.nn.Module; got function"):
        check_model(models.mlp)


def test_a_copy_leaves_the_model_as_it_was():
    model = models.mlp()
    other = copied(model)
    other.fc1.weight.data.zero_()
    assert model.fc1.weight.abs().sum() > 0


def test_layers_come_by_name_and_in_order():
    assert list(weighted_layers(models.cnn())) == ["conv1", "conv2", "fc"]
    assert list(weighted_layers(models.cnn(), ["fc", "conv1"])) == ["conv1", "fc"]
    with pytest.raises(ValueError, match=r"no layer 'relu1'.*there are 'conv1', 'conv2', 'fc'"):
        weighted_layers(models.cnn(), ["relu1"])
    with pytest.raises(ValueError, match="no Linear or Conv2d layer; its layers are Flatten, ReLU"):
        weighted_layers(nn.Sequential(nn.ReLU(), nn.Flatten()))


def test_a_compressed_layer_is_one_layer_and_not_its_parts():
    model = nn.Sequential(nn.Linear(4, 3), Halved(nn.Linear(3, 2)))
    assert list(weighted_layers(model)) == ["0", "1"]
    assert isinstance(as_dense(model[1]), nn.Linear)
    assert as_dense(model[0]) is model[0]
    assert list(weighted_layers(model[1])) == [""]


def test_a_layer_is_replaced_where_it_stands():
    model = nn.Sequential(nn.Sequential(nn.Linear(4, 3))).eval()
    new = nn.Linear(4, 3)
    assert replaced(model, "0.0", new) is model
    assert model[0][0] is new and not new.training
    assert replaced(nn.Linear(4, 3), "", new) is new


def test_reports_are_kept_in_order_and_copied_with_the_model():
    first, second = (compress.Report(name, ()) for name in ("prune", "quantize"))
    model = add_report(nn.Linear(2, 2), first)
    new = add_report(nn.Linear(2, 2), second, before=model)
    assert compress.reports(copy.deepcopy(new)) == (first, second)
    assert compress.report(new) is second
    with pytest.raises(ValueError, match="nothing has been done"):
        compress.report(nn.Linear(2, 2))


def test_a_report_adds_up_and_shows_as_a_table():
    rows = [
        compress.LayerChange("a", "Linear", 10, 4, 40, 16),
        compress.LayerChange("<b>", "Conv2d", 6, 4, 24, 16, "x"),
    ]
    report = compress.Report("prune", tuple(rows), "half")
    assert (report.weights, report.nonzero, report.sparsity) == (16, 8, 0.5)
    assert (report.bytes_before, report.bytes_after) == (64, 32)
    assert str(report).splitlines()[-1].split() == ["all", "16", "8", "64", "B", "32", "B", "half"]
    assert "&lt;b&gt;" in report._repr_html_()
    assert compress.Report("prune", ()).sparsity == 0


def test_bytes_are_those_of_all_tensors_saved():
    assert state_bytes(nn.BatchNorm2d(3)) == 4 * 3 * 4 + 8
    assert state_bytes(Halved(nn.Linear(5, 7))) == 5 * 7 * 2 + 8
