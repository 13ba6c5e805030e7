"""Real numbers as integers times a scale: ranges as scale and zero point, factors as multiplier and shift."""

import numpy as np

from coursekit.kernels.ops.quantised import HIGHEST, LOWEST


def multiplier_and_shift(factor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Integers with multiplier / 2^shift nearest to factors from 0 to below a quarter.

    The multiplier has 31 bits, as many as fit, and the shift is from 33 to 62: factors below 2⁻³² have fewer bits, and
    those below 2⁻⁶³ become 0. Jacob et al. 2018, section 2.2.

    Parameters
    ----------
    factor : array_like
        Any shape; 0 or more.

    Returns
    -------
    multiplier, shift : np.ndarray
        int32 of the same shape.

    Raises
    ------
    ValueError
        If a factor is negative, a quarter or more, or no number.
    """
    factor = np.asarray(factor, np.float64)
    if not ((factor >= 0) & (factor < 0.25)).all():
        raise ValueError(
            f"factor must be from 0 to below 0.25; got {factor.min()} to {factor.max()}: widen the output's range"
        )
    exponent = np.frexp(factor)[1]
    shift = np.where(factor > 0, np.minimum(31 - exponent, 62), 33)
    multiplier = np.rint(np.ldexp(factor, shift)).astype(np.int64)
    over = multiplier == 2**31  # rounded up to one bit more
    multiplier, shift = np.where(over, 2**30, multiplier), np.where(over, shift - 1, shift)
    if (shift < 33).any():  # only just below a quarter
        multiplier, shift = np.where(shift < 33, 2**31 - 1, multiplier), np.maximum(shift, 33)
    return multiplier.astype(np.int32), shift.astype(np.int32)


def scale_and_zero(low: float, high: float) -> tuple[np.float32, int]:
    """Scale and zero point that spread a range, widened to hold 0, over int8, so that 0 is exactly an integer.

    Raises ValueError where the range is no pair of finite numbers in order.
    """
    if not (np.isfinite(low) and np.isfinite(high) and low <= high):
        raise ValueError(f"a range must be two finite numbers in order; got {low} and {high}")
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    scale = np.float32((high - low) / (HIGHEST - LOWEST))
    if not scale > 0:
        return np.float32(1), 0
    return scale, int(np.clip(np.rint(LOWEST - low / np.float64(scale)), LOWEST, HIGHEST))
