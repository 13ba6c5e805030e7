"""Steps of the optimiser against torch's, look-ups beyond the table, and gradients against autograd."""

import numpy as np
import pytest
import torch

from coursekit.kernels import cpu, reference
from coursekit.kernels.ops import OPS


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("function", [*cpu.rungs("adam_step").values(), reference.adam_step])
def test_adam_in_place_follows_torch(function, dtype):
    rng = np.random.default_rng(0)
    parameter, first, second = rng.standard_normal(99).astype(dtype), np.zeros(99, dtype), np.zeros(99, dtype)
    theirs = torch.nn.Parameter(torch.from_numpy(parameter.copy()))
    optimiser = torch.optim.Adam([theirs], lr=0.01)
    for step in range(1, 21):
        gradient = rng.standard_normal(99).astype(dtype)
        state = (parameter, first, second)
        assert function(parameter, gradient, first, second, rate=0.01, step=step, out=state) is state
        theirs.grad = torch.from_numpy(gradient)
        optimiser.step()
    np.testing.assert_allclose(parameter, theirs.detach().numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("function", cpu.rungs("adam_step").values())
def test_adam_with_outputs_in_each_others_places(function):
    op = OPS["adam_step"]
    arrays = op.draw(np.random.default_rng(1), {"...": (40,)})
    wanted = op.reference(*arrays)
    p, g, m, v = (a.copy() for a in arrays)
    for got, true in zip(function(p, g, m, v, out=(m, v, p)), wanted, strict=True):
        np.testing.assert_allclose(got, true, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"step": 0}, "step must be positive"), ({"beta1": 1.0}, "beta1 must be from 0 to below 1")],
)
def test_wrong_options_of_adam(options, words):
    with pytest.raises(ValueError, match=words):
        cpu.adam_step(*[np.ones(3, np.float32)] * 4, **options)


@pytest.mark.parametrize("wrong", [-1, 5, 2**40])
@pytest.mark.parametrize("function", [*cpu.rungs("embedding").values(), reference.embedding])
def test_a_look_up_beyond_the_table(function, wrong):
    out = np.full((3, 4), 7, np.float32)
    with pytest.raises(IndexError):
        function(np.array([0, 4, wrong]), np.zeros((5, 4), np.float32), out=out)
    assert (out == 7).all()
