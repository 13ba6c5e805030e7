"""Blocks that are thin by design: shapes, weights, and what they can express."""

import pytest
import torch

from coursekit import compress


@pytest.mark.parametrize(("ins", "outs", "kernel"), [(1, 1, 1), (3, 8, 3), (5, 2, 7)])
def test_a_separable_block_has_the_weights_that_are_counted(ins, outs, kernel):
    block = compress.separable(ins, outs, kernel, stride=2)
    assert sum(p.numel() for p in block.parameters()) == ins * (kernel**2 + outs) + outs
    wanted = torch.nn.Conv2d(ins, outs, kernel, 2, kernel // 2)
    x = torch.rand(2, ins, 11, 9)
    assert block(x).shape == wanted(x).shape


def test_a_separable_block_is_a_convolution_of_rank_one_in_each_channel():
    block = compress.separable(3, 4, 3, padding=0).double()
    depth, point = block
    kernel = point.weight * depth.weight.transpose(0, 1)
    x = torch.rand(2, 3, 6, 7, dtype=torch.float64)
    torch.testing.assert_close(torch.nn.functional.conv2d(x, kernel, point.bias), block(x))


def test_a_bottleneck_has_the_weights_that_are_counted():
    block = compress.bottleneck(16, 24, 4, 5)
    weights = sum(p.numel() for p in block.parameters() if p.ndim > 1)
    assert weights == 4 * (16 + 4 * 25 + 24)
    assert block(torch.rand(2, 16, 9, 8)).shape == (2, 24, 9, 8)
    assert compress.bottleneck(2, 3, 1, 3, padding=0, stride=2)(torch.rand(1, 2, 9, 9)).shape == (1, 3, 4, 4)


@pytest.mark.parametrize("bad", [0, -1, 2.0, True])
def test_sizes_are_whole_numbers(bad):
    with pytest.raises(ValueError, match="ins must be a whole number"):
        compress.separable(bad, 3)
    with pytest.raises(ValueError, match="middle must be a whole number"):
        compress.bottleneck(3, 3, bad)
