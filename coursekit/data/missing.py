"""Missing values: where they are, and what can stand in their place. nan marks them, as in NumPy."""

import numpy as np


def gaps(values) -> list[tuple[int, int]]:
    """The runs of missing values, as (start, stop): ``values[start:stop]`` are all nan.

    ``values`` has the shape (n,). ValueError for another number of dimensions.
    """
    is_missing = np.isnan(_vector("values", values))
    edges = np.flatnonzero(np.diff(is_missing.astype(np.int8), prepend=0, append=0))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def hide(values, share: float, *, length: int = 1, seed: int = 0) -> np.ndarray:
    """Take known values away on purpose, so that what stands in their place can be compared with them.

    Parameters
    ----------
    values : ndarray, float, shape (n,)
    share : float
        How many of the known values to hide, from 0 to 1; rounded to whole gaps.
    length : int
        Values in a gap, at least 1. Two gaps never touch, and the first and the last value stay.
    seed : int
        Chooses the places: the same ones on every machine.

    Returns
    -------
    ndarray, float64, shape (n,)
        A copy, with nan also in the hidden places.

    Raises
    ------
    ValueError
        If there is no room for so many gaps.
    """
    values = _vector("values", values).copy()
    if length < 1 or not 0 <= share <= 1:
        raise ValueError(f"share={share} must be from 0 to 1, and length={length} at least 1")
    starts = [
        s for s in range(1, len(values) - length, length + 1) if not np.isnan(values[s : s + length]).any()
    ]
    wanted = round(share * np.count_nonzero(~np.isnan(values)) / length)
    if wanted > len(starts):
        raise ValueError(
            f"share={share} needs {wanted} gaps of length {length}, and there is room for {len(starts)}"
        )
    for i in np.random.RandomState(seed).permutation(len(starts))[:wanted]:
        values[starts[i] : starts[i] + length] = np.nan
    return values


def delete(times, values) -> tuple[np.ndarray, np.ndarray]:
    """What was measured, and when: both without the places where a value is missing. Both have the shape (n,)."""
    times, values = _pair(times, values)
    is_known = ~np.isnan(values)
    return times[is_known], values[is_known]


def fill(values, how: str | float = "mean") -> np.ndarray:
    """Put one number, or the last one known, into each missing place.

    Parameters
    ----------
    values : ndarray, float, shape (n,)
    how : "mean", "median", "forward" or a number
        "forward" carries the last known value on; before the first one it takes the first.

    Returns
    -------
    ndarray, float64, shape (n,)

    Raises
    ------
    ValueError
        If nothing is known, or for another word.
    """
    values = _some_known(values)
    is_known = ~np.isnan(values)
    if how == "forward":
        last = np.maximum.accumulate(np.where(is_known, np.arange(len(values)), -1))
        return values[np.where(last < 0, np.argmax(is_known), last)]
    if isinstance(how, str):
        if how not in ("mean", "median"):
            raise ValueError(f"how must be 'mean', 'median', 'forward' or a number; got {how!r}")
        how = getattr(np, how)(values[is_known])
    return np.where(is_known, values, how)


def interpolate(times, values) -> np.ndarray:
    """A straight line over each gap, from the last known value to the next one.

    Before the first and after the last known value it repeats these.

    Parameters
    ----------
    times : ndarray, float, shape (n,)
        Ascending; gaps in time count, so they need not be evenly spaced.
    values : ndarray, float, shape (n,)

    Returns
    -------
    ndarray, float64, shape (n,)

    Raises
    ------
    ValueError
        If nothing is known, if the lengths differ, or if the times do not ascend.
    """
    times, values = _pair(times, _some_known(values))
    if np.any(np.diff(times) <= 0):
        raise ValueError("times must ascend; sort times and values together")
    return np.interp(times, *delete(times, values))


def seasonal(times, values, *, period: float = 1.0, harmonics: int = 2, degree: int = 2) -> np.ndarray:
    """A polynomial and a periodic curve, fitted to the known values by least squares, at all times.

    With ``c = seasonal(t, x)``, ``c + interpolate(t, x - c)`` lays straight lines over what the curve leaves.

    Parameters
    ----------
    times, values : ndarray, float, shape (n,)
    period : float
        In the unit of the times: a season of one year.
    harmonics : int
        Sine and cosine of the period, of its half, its third ...
    degree : int
        Of the polynomial.

    Returns
    -------
    ndarray, float64, shape (n,)

    Raises
    ------
    ValueError
        If fewer values are known than the curve has coefficients.
    """
    times, values = _pair(times, values)
    columns = 1 + degree + 2 * harmonics
    is_known = ~np.isnan(values)
    if np.count_nonzero(is_known) < columns:
        raise ValueError(f"{np.count_nonzero(is_known)} values are known; the curve needs at least {columns}")
    centred = (times - times.mean()) / max(np.ptp(times), 1e-300)
    phases = [2 * np.pi * k * times / period for k in range(1, harmonics + 1)]
    basis = np.column_stack(
        [*(centred**k for k in range(degree + 1)), *map(np.sin, phases), *map(np.cos, phases)]
    )
    weights, *_ = np.linalg.lstsq(basis[is_known], values[is_known], rcond=None)
    return basis @ weights


def _vector(name: str, array) -> np.ndarray:
    array = np.asarray(array, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"{name} must have one dimension, got shape {array.shape}")
    return array


def _pair(times, values) -> tuple[np.ndarray, np.ndarray]:
    times, values = _vector("times", times), _vector("values", values)
    if len(times) != len(values):
        raise ValueError(f"times has {len(times)} entries but values {len(values)}")
    return times, values


def _some_known(values) -> np.ndarray:
    values = _vector("values", values)
    if np.isnan(values).all():
        raise ValueError(f"none of the {len(values)} values is known, so there is nothing to go by")
    return values
