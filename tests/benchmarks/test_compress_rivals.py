"""The rivals of integer inference: the model they were given, smaller, for any batch."""

import compress_rivals as rivals
import pytest
import torch

from coursekit import models

IMAGES = torch.rand(70, 1, 28, 28, generator=torch.Generator().manual_seed(1))


@pytest.mark.slow
@pytest.mark.parametrize("name", rivals.RIVALS)
def test_a_rival_is_near_the_model(name):
    for package in ("onnxruntime", "onnxscript", "torchao"):
        pytest.importorskip(package)
    model = models.mlp(32).eval()
    call = rivals.RIVALS[name](model, IMAGES, threads=1)
    wanted = model(IMAGES).detach()
    for n in (1, 70):
        assert (call(IMAGES[:n]) - wanted[:n]).abs().max() < 0.1 * (wanted.max() - wanted.min())
    share = call.bytes_on_disk / (4 * sum(p.numel() for p in model.parameters()))
    assert share < 0.45 if "int8" in name else 1 < share < 1.2
