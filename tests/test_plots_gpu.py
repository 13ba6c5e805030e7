"""Pictures of grids and of warps' addresses: that they draw what they are given."""

import numpy as np
import pytest
from numba import cuda

from coursekit import plots_gpu
from coursekit.measure import trace

ALT = "A picture of threads and what they want."


@cuda.jit
def copy(x, out, stride):
    i = cuda.grid(1)
    out[i] = x[i * stride]


def test_the_grid_and_its_warps():
    figure = plots_gpu.grid((3, 2), (16, 8), alt=ALT)
    left, right = figure.axes
    assert len(left.patches) == 6 and len(right.patches) == 128
    assert len({patch.get_facecolor() for patch in right.patches}) == 4
    assert "4 warps" in right.get_title()
    assert f'alt="{ALT}"' in figure._repr_html_()


def test_addresses_of_a_warp():
    x = np.zeros(64, np.float32)
    requests = {
        f"stride {s}": trace(copy, 1, 32, x, np.zeros(32, np.float32), s).requests("x")[0] for s in (1, 2)
    }
    figure = plots_gpu.addresses(requests, alt=ALT)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "stride 1: 32 threads, 4 sectors",
        "stride 2: 32 threads, 8 sectors",
    ]
    spans = [len(axes.patches) for axes in figure.axes]
    assert spans == [32 + 4, 32 + 8]
    assert len(figure._repr_html_()) < 100_000


def test_what_cannot_be_drawn():
    with pytest.raises(ValueError, match="at most 8 x 8 blocks"):
        plots_gpu.grid((9, 1), (1, 1), alt=ALT)
    with pytest.raises(ValueError, match="requests is empty"):
        plots_gpu.addresses({}, alt=ALT)
    with pytest.raises(ValueError, match="alt must be a sentence"):
        plots_gpu.grid((1, 1), (1, 1), alt="no")
