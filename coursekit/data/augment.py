"""Augmentation: other images with the same label, drawn at random for a whole batch.

Each function takes images, float32 of shape (n, channels, height, width), and a ``numpy.random.Generator``; draws for
each image on its own; and returns a new batch. TypeError or ValueError for other images, or a size that does not fit.
Importing this module loads Numba.
"""

from collections.abc import Callable

import numpy as np

from . import warp
from .warp import as_batch

Step = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def rotate(images: np.ndarray, rng: np.random.Generator, most: float = 15) -> np.ndarray:
    """Turn by up to ``most`` degrees to either side."""
    return warp.rotate(images, rng.uniform(-most, most, len(as_batch(images))))


def shift(images: np.ndarray, rng: np.random.Generator, most: int = 2) -> np.ndarray:
    """Move by up to ``most`` whole pixels to each side, and up or down; 0 comes in from outside."""
    right, down = rng.integers(-most, most + 1, size=(2, len(as_batch(images))))
    return warp.shift(images, right, down)


def flip(images: np.ndarray, rng: np.random.Generator, share: float = 0.5) -> np.ndarray:
    """Mirror left and right, each image with the probability ``share``."""
    out = as_batch(images).copy()
    chosen = rng.random(len(images)) < share
    out[chosen] = out[chosen, :, :, ::-1]
    return out


def crop(images: np.ndarray, rng: np.random.Generator, size: int) -> np.ndarray:
    """Cut out ``size`` x ``size`` pixels at a random place: shape (n, channels, size, size)."""
    n, channels, height, width = as_batch(images).shape
    if not 1 <= size <= min(height, width):
        raise ValueError(f"size is {size}; a crop of {height}x{width} has from 1 to {min(height, width)}")
    top, left = rng.integers(0, height - size + 1, n), rng.integers(0, width - size + 1, n)
    rows, columns = top[:, None] + np.arange(size), left[:, None] + np.arange(size)
    at = np.arange(n)[:, None, None, None], np.arange(channels)[None, :, None, None]
    return images[(*at, rows[:, None, :, None], columns[:, None, None, :])]


def cutout(images: np.ndarray, rng: np.random.Generator, size: int = 8) -> np.ndarray:
    """Set a square of ``size`` x ``size`` pixels to 0; its centre is anywhere, so part of it may be outside.

    DeVries and Taylor, "Improved regularization of convolutional neural networks with cutout", arXiv:1708.04552, 2017.
    """
    n, _, height, width = as_batch(images).shape
    if size < 1:
        raise ValueError(f"size is {size}; it must be at least 1")

    def hidden(length):
        first = rng.integers(0, length, (n, 1)) - size // 2
        return (np.arange(length) >= first) & (np.arange(length) < first + size)

    rows, columns = hidden(height), hidden(width)
    return np.where(rows[:, None, :, None] & columns[:, None, None, :], np.float32(0), images)


def chain(*steps: Step) -> Step:
    """One step that does several, one after the other."""

    def run(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        for step in steps:
            images = step(images, rng)
        return images

    return run
