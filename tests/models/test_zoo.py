import pytest
import torch

from coursekit.models import MODELS, RECIPES, cnn, lenet300, mlp


def parameters(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name, count", [("mlp", 101_770), ("lenet300", 266_610), ("cnn", 18_378)])
@pytest.mark.parametrize("n", [0, 1, 3])
def test_shapes_and_parameters(name, count, n):
    model = MODELS[name]()
    assert parameters(model) == count
    assert model(torch.zeros(n, 1, 28, 28)).shape == (n, 10)


def test_layers_have_the_widths_of_the_paper():
    model = lenet300()
    shapes = [tuple(layer.weight.shape) for layer in (model.fc1, model.fc2, model.fc3)]
    assert shapes == [(300, 784), (100, 300), (10, 100)]


@pytest.mark.parametrize("hidden", [1, 2, 512])
def test_mlp_of_any_width(hidden):
    model = mlp(hidden)
    assert parameters(model) == 795 * hidden + 10
    assert model(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_width_0_is_refused():
    with pytest.raises(ValueError, match="hidden is 0"):
        mlp(0)


@pytest.mark.parametrize("make", [mlp, lenet300, cnn])
def test_hidden_layers_are_nonlinear(make):
    model = make()
    x = torch.rand(1, 1, 28, 28)
    with torch.no_grad():
        assert not torch.allclose(model(2 * x) - model(x), model(x) - model(0 * x), atol=1e-3)


@pytest.mark.parametrize("make", [mlp, lenet300, cnn])
def test_seed_chooses_the_weights_and_leaves_the_global_generator(make):
    torch.manual_seed(11)
    before = torch.get_rng_state()
    first, again, other = make(seed=1), make(seed=1), make(seed=2)
    assert torch.equal(torch.get_rng_state(), before)
    pairs = list(zip(first.parameters(), again.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(a, b) and not torch.equal(a, c) for a, b, c in pairs)


def test_every_model_has_a_recipe():
    assert RECIPES.keys() == MODELS.keys()
