"""Scaling: columns to a common range or deviation, rows to a common length."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Scaler:
    """(x - shift) / scale for each column: made from one set of rows, applied to any.

    Parameters
    ----------
    shift, scale : ndarray, float64
        Of the shape of one row; no scale is 0.
    """

    shift: np.ndarray
    scale: np.ndarray

    def apply(self, x) -> np.ndarray:
        """``x``, shape (n, ...), scaled: float64, same shape."""
        return (self._rows(x) - self.shift) / self.scale

    def undo(self, x) -> np.ndarray:
        """What :meth:`apply` was given."""
        return self._rows(x) * self.scale + self.shift

    def _rows(self, x) -> np.ndarray:
        x = np.asarray(x, dtype=np.float64)
        if x.shape[1:] != self.shift.shape:
            raise ValueError(
                f"x has rows of shape {x.shape[1:]}, and the scaler was made for {self.shift.shape}"
            )
        return x


def min_max(x) -> Scaler:
    """The scaler that maps each column's smallest value to 0 and its largest to 1.

    Parameters
    ----------
    x : ndarray, shape (n, ...)
        At least one row, all finite: the training set, and nothing else.

    Returns
    -------
    Scaler
        A column that does not vary is mapped to 0.

    Raises
    ------
    ValueError
        If there is no row, or a value is not finite.
    """
    x = _finite(x)
    return Scaler(x.min(axis=0), _no_zero(np.ptp(x, axis=0)))


def z_score(x) -> Scaler:
    """The scaler that gives each column the mean 0 and the standard deviation 1 (of the n values: divided by n).

    ``x`` as in :func:`min_max`. A map of the form ax + b: it moves and stretches the values' distribution, and leaves
    its shape.
    """
    x = _finite(x)
    return Scaler(x.mean(axis=0), _no_zero(x.std(axis=0)))


def normalise(x, order: int = 2) -> np.ndarray:
    """Divide each row by its norm: the sum of absolute values (``order`` 1), or the root of the sum of squares (2).

    Parameters
    ----------
    x : ndarray, shape (n, features)
    order : 1 or 2

    Returns
    -------
    ndarray, float64, same shape
        A row of zeros stays one.
    """
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 2:
        raise ValueError(f"x must have the shape (n, features), got {x.shape}")
    if order not in (1, 2):
        raise ValueError(f"order must be 1 or 2, got {order}")
    return x / _no_zero(np.linalg.norm(x, order, axis=1, keepdims=True))


def _finite(x) -> np.ndarray:
    x = np.asarray(x, dtype=np.float64)
    if x.ndim < 1 or len(x) == 0:
        raise ValueError(f"x must have at least one row, got shape {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError("x has values that are missing or infinite: see coursekit.data.missing first")
    return x


def _no_zero(scale: np.ndarray) -> np.ndarray:
    return np.where(scale == 0, 1.0, scale)
