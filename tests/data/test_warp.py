import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from coursekit.data import warp
from coursekit.kernels.cpu import threads

shapes = st.tuples(st.integers(0, 3), st.integers(1, 2), st.integers(1, 12), st.integers(1, 12))


def drawn(shape, seed=0):
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def by_hand(images, matrices):
    """In float64, by scipy, on images with two pixels of zeros around them, so that its edges are ours."""
    n, channels, height, width = images.shape
    out = np.zeros(images.shape)
    framed = np.pad(images.astype(np.float64), ((0, 0), (0, 0), (2, 2), (2, 2)))
    row, column = np.mgrid[:height, :width]
    for i in range(n):
        x, y = np.einsum("ij,jrc->irc", matrices[i], np.stack([column, row, np.ones_like(row)]))
        for c in range(channels):
            out[i, c] = ndimage.map_coordinates(framed[i, c], [y + 2, x + 2], order=1, mode="constant")
    return out


@given(shapes, st.integers(0, 99))
def test_affine_agrees_with_scipy(shape, seed):
    rng = np.random.default_rng(seed)
    images = rng.random(shape, dtype=np.float32)
    matrices = rng.normal(0, 1, (shape[0], 2, 3)) * [1, 1, 4]
    assert np.allclose(warp.affine(images, matrices), by_hand(images, matrices), atol=2e-6)


@pytest.mark.parametrize("shape", [(5, 1, 28, 28), (3, 3, 20, 33), (2, 1, 5, 7), (2, 2, 64, 9)])
def test_rotate_agrees_with_scikit_image(shape):
    from skimage.transform import rotate

    images, degrees = drawn(shape), np.random.default_rng(1).uniform(-180, 180, shape[0])
    wanted = np.stack(
        [[rotate(c.astype(float), a) for c in im] for im, a in zip(images, degrees, strict=True)]
    )
    assert np.allclose(warp.rotate(images, degrees), wanted, atol=1e-5)


def test_rotate_agrees_with_torch():
    import torch
    import torch.nn.functional as F

    images, degrees = drawn((6, 2, 17, 24)), np.random.default_rng(2).uniform(-90, 90, 6)
    a, (h, w) = torch.deg2rad(torch.tensor(degrees)), images.shape[2:]
    cos, sin, zero = a.cos(), a.sin(), torch.zeros(6, dtype=torch.float64)
    theta = torch.stack([cos, -sin * h / w, zero, sin * w / h, cos, zero], 1).reshape(6, 2, 3)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    wanted = F.grid_sample(torch.from_numpy(images).double(), grid, align_corners=False)
    assert np.allclose(warp.rotate(images, degrees), wanted, atol=1e-5)


def test_quarter_turns_and_whole_shifts_are_exact():
    images = drawn((2, 1, 8, 8))
    assert np.array_equal(warp.rotate(images, 0), images)
    assert np.allclose(warp.rotate(images, 90), np.rot90(images, 1, (2, 3)), atol=1e-6)
    turned = [np.rot90(images[0], 2, (1, 2)), np.rot90(images[1], -1, (1, 2))]
    assert np.allclose(warp.rotate(images, [180, -90]), turned, atol=1e-6)
    moved = warp.shift(images, [1, -3], [2, 0])
    assert np.array_equal(moved[0, :, 2:, 1:], images[0, :, :-2, :-1]) and not moved[0, :, :2].any()
    assert np.array_equal(moved[1, :, :, :-3], images[1, :, :, 3:]) and not moved[1, :, :, -3:].any()
    assert not warp.shift(images, 8, 0).any()


@pytest.mark.parametrize("far", [1e3, -1e9, 1e18, 1e300, -1e308])
def test_what_is_far_outside_is_0(far):
    images = np.ones((1, 1, 6, 7), np.float32)
    for matrix in ([[1, 0, far], [0, 1, 0]], [[1, 0, 0], [0, 1, far]], [[far, 1e-300, 0.5], [0, far, 1]]):
        result = warp.affine(images, np.array([matrix]))
        assert np.isfinite(result).all() and result.min() >= 0 and result.max() <= 1
    assert not warp.shift(images, far, far).any()


def test_threads_change_no_bit():
    images, degrees = drawn((40, 1, 64, 64)), np.arange(40.0)
    alone = warp.rotate(images, degrees)
    threads.set_num_threads(3)
    try:
        assert np.array_equal(warp.rotate(images, degrees), alone)
    finally:
        threads.set_num_threads(1)


def test_out_is_filled_and_strides_do_not_matter():
    images = drawn((3, 2, 9, 11))
    out = np.full_like(images, 7)
    assert warp.rotate(images, 20, out=out) is out
    turned = np.ascontiguousarray(images.transpose(0, 1, 3, 2)).transpose(0, 1, 3, 2)
    assert not turned.flags.c_contiguous and np.array_equal(warp.rotate(turned, 20), out)


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda x: warp.rotate(x.astype(float), 1), TypeError, "got float64"),
        (lambda x: warp.rotate(x.tolist(), 1), TypeError, "got list"),
        (lambda x: warp.rotate(x[0], 1), ValueError, "shape"),
        (lambda x: warp.rotate(x, [1, 2, 3]), ValueError, "2 of them"),
        (lambda x: warp.rotate(x, np.nan), ValueError, "finite"),
        (lambda x: warp.affine(x, np.full((2, 2, 3), np.inf)), ValueError, "finite"),
        (lambda x: warp.affine(x, np.ones((2, 3))), ValueError, "must have the shape"),
        (lambda x: warp.rotate(x, 1, out=x), ValueError, "share memory"),
        (lambda x: warp.rotate(x, 1, out=x[:1]), ValueError, "shape"),
        (
            lambda x: warp.rotate(x, 1, out=np.empty((2, 1, 5, 10), np.float32)[..., ::2]),
            ValueError,
            "contiguous",
        ),
        (lambda x: warp.rotate(x, 1, out=np.empty((2, 1, 5, 5))), TypeError, "float32"),
    ],
)
def test_what_cannot_be_done_is_told(call, error, words):
    with pytest.raises(error, match=words):
        call(drawn((2, 1, 5, 5)))
