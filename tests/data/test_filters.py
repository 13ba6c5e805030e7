import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from coursekit.data import filters, noise

sizes = st.sampled_from([1, 3, 5])


@given(st.integers(1, 12), st.integers(1, 12), sizes, st.integers(0, 9))
def test_mean_and_median_are_scipys(height, width, size, seed):
    if size // 2 > min(height, width):
        return
    image = np.random.default_rng(seed).random((height, width))
    assert np.allclose(filters.mean(image, size), ndimage.uniform_filter(image, size, mode="reflect"))
    assert np.array_equal(filters.median(image, size), ndimage.median_filter(image, size, mode="reflect"))


@pytest.mark.parametrize("filtered", [filters.mean, filters.median])
def test_filters_keep_dtype_and_refuse_the_rest(filtered):
    assert filtered(np.ones((4, 5), np.float32)).dtype == np.float32
    assert filtered(np.ones((0, 5))).shape == (0, 5)
    with pytest.raises(TypeError, match="floats, got uint8"):
        filtered(np.ones((4, 5), np.uint8))
    with pytest.raises(ValueError, match="two dimensions"):
        filtered(np.ones((4, 5, 3)))
    for size in (0, 2, -1):
        with pytest.raises(ValueError, match="odd and at least 1"):
            filtered(np.ones((4, 5)), size)


def test_psnr_is_that_of_scikit_image():
    from skimage.metrics import peak_signal_noise_ratio

    truth, image = np.random.default_rng(0).random((2, 20, 30))
    assert noise.psnr(image, truth) == pytest.approx(peak_signal_noise_ratio(truth, image, data_range=1))
    assert noise.psnr(10 * image, 10 * truth, peak=10) == pytest.approx(noise.psnr(image, truth))
    assert noise.psnr(truth, truth) == np.inf
    with pytest.raises(ValueError, match="shape"):
        noise.psnr(truth, truth[1:])


def test_gaussian_noise_has_its_deviation():
    grey = np.full((200, 200), 0.5, np.float32)
    noisy = noise.gaussian(grey, 0.1, seed=1)
    assert noisy.dtype == np.float32 and np.array_equal(noisy, noise.gaussian(grey, 0.1, seed=1))
    assert noisy.std() == pytest.approx(0.1, rel=0.02) and noisy.mean() == pytest.approx(0.5, abs=0.003)
    cut = noise.gaussian(np.ones((50, 50)), 0.5)
    assert cut.max() == 1 and cut.min() >= 0
    assert np.array_equal(noise.gaussian(grey, 0), grey)


def test_salt_and_pepper_are_half_each():
    grey = np.full((300, 300), 0.5, np.float32)
    noisy = noise.salt_and_pepper(grey, 0.2, seed=3)
    assert noisy.dtype == np.float32
    assert np.mean(noisy == 0) == pytest.approx(0.1, abs=0.01) and np.mean(noisy == 1) == pytest.approx(
        0.1, abs=0.01
    )
    assert np.mean(noisy == 0.5) == pytest.approx(0.8, abs=0.01)
    assert np.array_equal(noise.salt_and_pepper(grey, 0), grey)


def test_noise_refuses():
    with pytest.raises(ValueError, match="from 0 to 1"):
        noise.salt_and_pepper(np.ones((2, 2)), 1.5)
    with pytest.raises(ValueError, match="at least 0"):
        noise.gaussian(np.ones((2, 2)), -1)
    for add in (noise.gaussian, noise.salt_and_pepper):
        with pytest.raises(TypeError, match="got int64"):
            add(np.ones((2, 2), np.int64), 0.1)
