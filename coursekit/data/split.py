"""A data set divided into a training and a test part, always in the same way."""

from dataclasses import dataclass

import numpy as np

from .divided import Divided


@dataclass(frozen=True, eq=False, repr=False)
class Split(Divided):
    """Images and labels for training and for testing.

    Parameters
    ----------
    x_train, x_test : ndarray, float32, shape (n, channels, height, width)
        Images; the loaders of this package scale them to [0, 1].
    y_train, y_test : ndarray, int64, shape (n,)
        Labels.

    Raises
    ------
    TypeError
        If an array has another dtype.
    ValueError
        If an array has another number of dimensions, if images and labels differ in number, or if the images
        of the two parts differ in shape.
    """

    def __post_init__(self):
        for part in ("train", "test"):
            x, y = getattr(self, f"x_{part}"), getattr(self, f"y_{part}")
            _check_array(f"x_{part}", x, np.float32, 4)
            _check_array(f"y_{part}", y, np.int64, 1)
        self._check_lengths("images")
        if self.x_train.shape[1:] != self.x_test.shape[1:]:
            raise ValueError(f"x_train has shape {self.x_train.shape} but x_test {self.x_test.shape}")

    def summary(self) -> str:
        """One sentence: how many images, of which shape, in how many classes."""
        shape = "×".join(map(str, self.x_train.shape[1:]))
        sizes = f"{len(self.x_train):,} training and {len(self.x_test):,} test images"
        return f"{sizes} of {shape} in {len(self.classes)} classes"

    def holdout(self, share: float = 0.2, seed: int = 0) -> "Split":
        """Divide the training part again, to choose settings without looking at the test part.

        The result's ``x_test`` and ``y_test`` are the validation images: ``share`` of each class of this
        split's training part, as copies.
        """
        return stratified_split(self.x_train, self.y_train, share, seed)


def stratified_split(x: np.ndarray, y: np.ndarray, test_share: float = 0.3, seed: int = 0) -> Split:
    """Shuffle a data set and divide it so that each class is represented alike in both parts.

    Parameters
    ----------
    x : ndarray, float32, shape (n, channels, height, width)
    y : ndarray, int64, shape (n,)
    test_share : float
        Share of each class that becomes test data, in (0, 1); rounded to whole images.
    seed : int
        Chooses the shuffle. The same seed gives the same split on every machine and with every version of
        NumPy, whose ``RandomState`` streams are frozen (NEP 19).

    Returns
    -------
    Split
        Fresh arrays, with the classes mixed.
    """
    if not 0 < test_share < 1:
        raise ValueError(f"test_share is {test_share}; it must lie between 0 and 1, such as 0.3")
    if len(x) != len(y):
        raise ValueError(f"x has {len(x)} images but y has {len(y)} labels")
    random = np.random.RandomState(seed)
    is_test = np.zeros(len(y), dtype=bool)
    for label in np.unique(y):
        members = random.permutation(np.flatnonzero(y == label))
        is_test[members[: round(test_share * len(members))]] = True
    train, test = (random.permutation(np.flatnonzero(part)) for part in (~is_test, is_test))
    return Split(x[train], y[train], x[test], y[test])


def _check_array(name: str, array: np.ndarray, dtype: type, ndim: int) -> None:
    if not isinstance(array, np.ndarray) or array.dtype != dtype:
        got = getattr(array, "dtype", type(array).__name__)
        raise TypeError(f"{name} must be a NumPy array of {np.dtype(dtype)}, got {got}")
    if array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimensions, got shape {array.shape}")
