"""Filters that put a number made of its neighbours in the place of each pixel."""

import numpy as np


def mean(image: np.ndarray, size: int = 3) -> np.ndarray:
    """The mean of the ``size`` x ``size`` pixels around each one; the image is mirrored at its edges.

    It is the best guess at a value among ``size``² of them that differ by normal noise: their sum has
    ``size`` times less deviation. One wrong value moves it.

    Parameters
    ----------
    image : ndarray, float, shape (height, width)
    size : int
        Odd, at least 1.

    Returns
    -------
    ndarray, same shape and dtype

    Raises
    ------
    TypeError, ValueError
        If the image is no two-dimensional array of floats, or the size even or below 1.
    """
    return windows(image, size).mean(axis=(2, 3)).astype(image.dtype)


def median(image: np.ndarray, size: int = 3) -> np.ndarray:
    """The middle one of the ``size`` x ``size`` pixels around each one, by value; arguments as in :func:`mean`.

    Fewer than half of them can be as wrong as they like without moving it far (J. W. Tukey, Exploratory Data
    Analysis, 1977).
    """
    view = windows(image, size)
    return np.median(view.reshape(*image.shape, size * size), axis=2).astype(image.dtype)


def windows(image: np.ndarray, size: int) -> np.ndarray:
    """The neighbourhood of each pixel, shape (height, width, size, size): a view of the image, mirrored at its edges.

    The edge pixel itself is repeated: d c b a | a b c d | d c b a.
    """
    if not isinstance(image, np.ndarray) or image.dtype.kind != "f":
        got = getattr(image, "dtype", type(image).__name__)
        raise TypeError(f"image must be a NumPy array of floats, got {got}")
    if image.ndim != 2:
        raise ValueError(
            f"image must have two dimensions, got shape {image.shape}; filter channels one by one"
        )
    if size < 1 or size % 2 == 0:
        raise ValueError(
            f"size is {size}; it must be odd and at least 1, so that there is a pixel in the middle"
        )
    if image.size == 0:
        return np.empty((*image.shape, size, size), image.dtype)
    padded = np.pad(image, size // 2, mode="symmetric")
    return np.lib.stride_tricks.sliding_window_view(padded, (size, size))
