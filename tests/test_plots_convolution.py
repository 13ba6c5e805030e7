"""Pictures of windows: that they show the pixels, the results and the matrix of the convolution they are given."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgba

from coursekit import plots_convolution as pictures

ALT = "A picture of a window on an image."
WAYS = [{}, {"padding": 1}, {"stride": 2, "padding": 2}, {"dilation": 2, "padding": 1}]


def drawn(seed=0, H=5, W=6, R=2, S=3):
    rng = np.random.default_rng(seed)
    return rng.integers(-9, 9, (H, W)), rng.integers(-3, 3, (R, S))


def texts(axes):
    return [text.get_text() for text in axes.texts if not text.get_text().startswith("×")]


def coloured(axes, colour):
    return [patch.get_xy() for patch in axes.patches if patch.get_facecolor() == to_rgba(colour)]


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_the_results_are_torchs(options):
    x, weight = drawn()
    tensors = (torch.tensor(a, dtype=torch.float64)[None, None] for a in (x, weight))
    wanted = torch.nn.functional.conv2d(*tensors, **options)[0, 0]
    place = wanted.numel() - 1
    left, right = pictures.window(x, weight, place, **options, alt=ALT).axes
    assert texts(right) == [f"{value:g}" for value in wanted.flatten().tolist()]
    assert f"{wanted.shape[0]} × {wanted.shape[1]}" in right.get_title()
    assert len(coloured(left, pictures.WINDOW)) == weight.size
    zeros = 2 * options.get("padding", 0)
    assert len(texts(left)) == (x.shape[0] + zeros) * (x.shape[1] + zeros)


def test_results_to_come_are_left_out():
    x, weight = drawn()
    left, right = pictures.window(x, weight, 5, alt=ALT).axes
    assert len(texts(right)) == 6
    assert coloured(right, pictures.HERE) == [(1, 1)]  # the sixth of four in a row
    assert sorted(coloured(left, pictures.WINDOW)) == [(c, r) for c in (1, 2, 3) for r in (1, 2)]


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_the_matrix_is_torchs_unfold(options):
    x, weight = drawn()
    image = torch.tensor(x, dtype=torch.float64)[None, None]
    wanted = torch.nn.functional.unfold(image, weight.shape, **options)[0]
    _, right = pictures.windows_matrix(x, weight, 1, **options, alt=ALT).axes
    assert texts(right) == [f"{value:g}" for value in wanted.flatten().tolist()]
    assert len(coloured(right, pictures.WINDOW)) == weight.size


def test_copies_of_a_pixel_are_framed():
    x, weight = drawn(R=3, S=3)
    left, right = pictures.windows_matrix(x, weight, 5, alt=ALT).axes  # the window in the middle of 3 x 4
    assert [sum(not patch.get_fill() for patch in axes.patches) for axes in (left, right)] == [1, 9]
    assert "9 times" in right.get_title()


@pytest.mark.parametrize("draw", [pictures.window, pictures.windows_matrix])
def test_what_cannot_be_drawn(draw):
    x, weight = drawn()
    with pytest.raises(ValueError, match="place must lie between 0 and 15; got 16"):
        draw(x, weight, 16, alt=ALT)
    with pytest.raises(ValueError, match="at most 12 x 12"):
        draw(np.ones((12, 4)), weight, 0, padding=1, alt=ALT)
    with pytest.raises(ValueError, match="alt must be a sentence"):
        draw(x, weight, 0, alt="no")
