"""Mini-batches for training and testing."""

from collections.abc import Iterator, Sequence
from operator import index
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def batches(
    x, y, size: int, *, seed: int | Sequence[int] | None = None, drop_last: bool = False
) -> "Iterator[tuple[torch.Tensor, torch.Tensor]]":
    """Go through a data set once, in mini-batches.

    Parameters
    ----------
    x, y : ndarray or Tensor, shape (n, …)
        Samples and labels, of any dtype.
    size : int
        Samples in a batch, at least 1. The last batch is smaller where n is not a multiple of it.
    seed : int, sequence of int, or None
        None keeps the order. A seed shuffles, always in the same way for the same seed; for another order in
        each epoch give ``(seed, epoch)``.
    drop_last : bool
        Leave out a last batch of fewer than ``size`` samples.

    Yields
    ------
    Tensor, Tensor
        A batch of x and the same samples of y, with their dtypes. Copies: writing to them leaves x and y
        alone.

    Raises
    ------
    TypeError, ValueError
        At the call, not at the first batch: if size is not a whole number of at least 1, or if x and y differ
        in length.
    """
    if index(size) < 1:
        raise ValueError(f"size is {size}; a batch has at least 1 sample")
    if len(x) != len(y):
        raise ValueError(f"x has {len(x)} samples but y has {len(y)}")
    n = len(x)
    order = np.arange(n) if seed is None else np.random.RandomState(seed).permutation(n)
    stop = n - n % size if drop_last else n
    return _batches(x, y, [order[start : start + size] for start in range(0, stop, size)])


def _batches(x, y, rows):
    import torch

    for batch in rows:
        yield torch.as_tensor(x[batch]), torch.as_tensor(y[batch])
