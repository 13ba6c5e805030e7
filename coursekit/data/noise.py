"""Noise to add to an image on purpose, and how far an image is from what it was."""

import numpy as np


def gaussian(image: np.ndarray, deviation: float, seed: int = 0) -> np.ndarray:
    """Add independent normal numbers of mean 0 to all pixels, and cut off below 0 and above 1.

    Parameters
    ----------
    image : ndarray, float, any shape
        In [0, 1].
    deviation : float
        Standard deviation of the noise before it is cut off, at least 0.
    seed : int

    Returns
    -------
    ndarray, same shape and dtype
    """
    if deviation < 0:
        raise ValueError(f"deviation is {deviation}; it must be at least 0")
    image = _floats(image)
    added = deviation * np.random.default_rng(seed).standard_normal(image.shape)
    return np.clip(image + added, 0, 1).astype(image.dtype)


def salt_and_pepper(image: np.ndarray, share: float, seed: int = 0) -> np.ndarray:
    """Make a share of the pixels, drawn one by one, black (0) or white (1), half of them each.

    ``image`` as in :func:`gaussian`; a pixel is one entry. ValueError for a share outside [0, 1].
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}; it must be from 0 to 1")
    image = _floats(image)
    drawn = np.random.default_rng(seed).random(image.shape)
    return np.where(drawn < share, drawn < share / 2, image).astype(image.dtype)


def psnr(image: np.ndarray, truth: np.ndarray, peak: float = 1.0) -> float:
    """Peak signal-to-noise ratio: 10·log10(peak² / mean squared error), in decibels; inf where both are equal.

    Both have the same shape (ValueError otherwise); 10 dB more are a tenth of the squared error.
    """
    image, truth = np.asarray(image, np.float64), np.asarray(truth, np.float64)
    if image.shape != truth.shape:
        raise ValueError(f"image has shape {image.shape} but truth {truth.shape}")
    error = np.mean((image - truth) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(peak**2 / error))


def _floats(image) -> np.ndarray:
    if not isinstance(image, np.ndarray) or image.dtype.kind != "f":
        got = getattr(image, "dtype", type(image).__name__)
        raise TypeError(f"image must be a NumPy array of floats in [0, 1], got {got}")
    return image
