"""Students that begin with layers or neurons of their teacher."""

import pytest
import torch
from torch import nn

from coursekit import compress, models
from coursekit.compress import CompressedLayer, Part, initialise_from


def test_layers_come_over_and_the_others_stay():
    teacher, student = models.lenet300(seed=1), models.lenet300(seed=2)
    new = initialise_from(student, teacher, {"fc1": "fc1", "fc3": "fc3"})
    assert torch.equal(new.fc1.weight, teacher.fc1.weight) and torch.equal(new.fc3.bias, teacher.fc3.bias)
    assert torch.equal(new.fc2.weight, student.fc2.weight)
    assert not torch.equal(student.fc1.weight, teacher.fc1.weight)
    new.fc1.weight.data.zero_()
    assert teacher.fc1.weight.abs().sum() > 0


def test_the_chosen_neurons_compute_what_they_did_in_the_teacher():
    """A student with all the neurons that are not zero is the teacher."""
    teacher = models.mlp(12, seed=1)
    keep = [7, 0, 3, 11]
    silent = [k for k in range(12) if k not in keep]
    teacher.fc2.weight.data[:, silent] = 0
    new = initialise_from(
        models.mlp(4), teacher, {"fc1": Part("fc1", outputs=keep), "fc2": Part("fc2", inputs=keep)}
    )
    x = torch.rand(5, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(new(x), teacher(x))
    assert "from the teacher's fc1: 4 outputs" in str(compress.report(new))


def test_channels_come_with_all_that_belongs_to_them():
    teacher = nn.Sequential(nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.Conv2d(6, 4, 3)).eval()
    teacher[1].running_mean.normal_()
    student = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3)).eval()
    keep = torch.tensor([5, 1, 2])
    new = initialise_from(
        student,
        teacher,
        {"0": Part("0", outputs=keep), "1": Part("1", outputs=keep), "2": Part("2", inputs=keep)},
    )
    teacher[2].weight.data[:, [0, 3, 4]] = 0
    x = torch.rand(1, 2, 7, 7)
    torch.testing.assert_close(new(x), teacher(x))


def test_layers_with_layers_inside_come_whole():
    teacher, student = (nn.Sequential(models.mlp(4, seed=k), nn.ReLU()) for k in (1, 2))
    new = initialise_from(student, teacher, {"0": "0"})
    assert torch.equal(new[0].fc2.weight, teacher[0].fc2.weight)


def test_layers_in_another_form_are_read():
    class Doubled(CompressedLayer):
        def dense(self):
            layer = nn.Linear(3, 2)
            nn.init.constant_(layer.weight, 2.0)
            return layer

        def like(self, layer):
            return self

    new = initialise_from(
        nn.Sequential(nn.Linear(3, 1)), nn.Sequential(Doubled()), {"0": Part("0", outputs=[1])}
    )
    assert torch.equal(new[0].weight, torch.full((1, 3), 2.0))


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({}, "mapping is empty"),
        ({"fc9": "fc1"}, "the student has no layer 'fc9'; it has flatten, fc1, relu1, fc2"),
        ({"fc1": "fc9"}, "the teacher has no layer 'fc9'"),
        ({"fc1": "fc1"}, r"fc1\.weight of the student has shape \(4, 784\).*fc1 \(12, 784\)"),
        ({"fc1": Part("fc1", outputs=[0, 1, 2, 12])}, r"fc1\.weight goes from 0 to 12; there are 0 to 11"),
        ({"fc1": Part("fc1", outputs=[0, 1, 2, -1])}, "goes from -1 to 2"),
        ({"fc1": Part("fc1", outputs=[])}, "whole numbers, at least one"),
        ({"fc1": Part("fc1", outputs=[0.5])}, "whole numbers"),
        ({"fc1": "relu1"}, "the teacher's relu1 has no weight"),
    ],
)
def test_what_does_not_fit_is_named(mapping, words):
    with pytest.raises(ValueError, match=words):
        initialise_from(models.mlp(4), models.mlp(12), mapping)
