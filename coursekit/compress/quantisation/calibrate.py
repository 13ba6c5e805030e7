"""Which range of numbers to quantise: found in data, by five methods.

A wide range clips nothing and has large steps, a narrow one has small steps and clips the tails. The methods weigh the
two in different ways:

``minmax``      nothing is clipped
``percentile``  a share of the numbers is clipped at each end
``std``         mean ± k standard deviations, but no further than the data reach
``mse``         the range whose rounding and clipping leave the least mean squared error
``entropy``     the range whose quantised histogram diverges least from the true one, as TensorRT does: Migacz, "8-bit
                inference with TensorRT", GPU Technology Conference 2017
"""

import numpy as np
import torch
from torch import nn

from coursekit.kernels import cpu

from .affine import grid, limits

METHODS = ("minmax", "percentile", "std", "mse", "entropy")
BINS = 2048
"""Of the histogram of the entropy method, as Migacz has them."""
STRIDE = 16
"""Bins from one threshold that it tries to the next; Migacz tries every one."""
MOST = 2**19
"""Numbers of an activation that are looked at; of more, evenly spaced ones."""
SHARES = torch.linspace(1.0, 0.1, 46)
"""Of the full range, those that the mse method tries."""


def find_range(
    x,
    method: str = "minmax",
    *,
    bits: int = 8,
    symmetric: bool = False,
    percentile: float = 99.9,
    k: float = 3.0,
) -> tuple[float, float]:
    """The range (low, high) of numbers to quantise; it holds 0.

    Parameters
    ----------
    x : ndarray or Tensor of floats, any shape
        The numbers, one or more, finite.
    method : str
        One of METHODS.
    bits, symmetric : int, bool
        The grid that the range is for, as in `affine.grid`: the mse and the entropy methods depend on it.
    percentile : float
        Of ``"percentile"``, 50 to 100: numbers above it, and below 100 minus it, are clipped.
    k : float
        Of ``"std"``, above 0.

    Raises
    ------
    TypeError
        If x holds no floats.
    ValueError
        If x is empty or holds NaN or infinity, or for another method, percentile or k.
    """
    numbers = _checked(x).reshape(1, -1)
    low, high = find_ranges(numbers, method, bits=bits, symmetric=symmetric, percentile=percentile, k=k)
    return float(low[0]), float(high[0])


def find_ranges(
    rows: torch.Tensor,
    method: str = "minmax",
    *,
    bits: int = 8,
    symmetric: bool = False,
    percentile: float = 99.9,
    k: float = 3.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """As `find_range`, for each row of a float32 tensor of shape (rows, numbers): low and high, shape (rows,)."""
    if method not in METHODS:
        raise ValueError(f"calibration must be one of {', '.join(METHODS)}; got {method!r}")
    limits(bits, signed=symmetric)
    rows = _checked(rows)
    low, high = rows.amin(1).clamp(max=0), rows.amax(1).clamp(min=0)
    if method == "percentile":
        return _percentile(rows, low, high, percentile)
    if method == "std":
        return _deviations(rows, low, high, k)
    if method == "mse":
        return _least_error(rows, low, high, bits, symmetric)
    if method == "entropy":
        ends = [_least_divergence(row, bits, symmetric) for row in rows]
        return tuple(torch.tensor(end, dtype=torch.float32) for end in zip(*ends, strict=True))
    return low, high


def _checked(x) -> torch.Tensor:
    x = torch.as_tensor(x)
    if not x.is_floating_point():
        raise TypeError(f"a range is found in floats; got {x.dtype}")
    if x.numel() == 0:
        raise ValueError(
            f"there are no numbers to find a range in (shape {tuple(x.shape)}); give calibration data"
        )
    if not torch.isfinite(x).all():
        raise ValueError("the numbers hold NaN or infinity; look at the data and the weights they come from")
    return x.detach().float().cpu()


def _percentile(rows, low, high, percentile):
    if not 50 <= percentile <= 100:
        raise ValueError(f"percentile must be from 50 to 100; got {percentile}")
    ends = np.quantile(rows.numpy(), [1 - percentile / 100, percentile / 100], axis=1)
    bottom, top = torch.from_numpy(ends.astype(np.float32))
    return torch.maximum(low, bottom).clamp(max=0), torch.minimum(high, top).clamp(min=0)


def _deviations(rows, low, high, k):
    if not k > 0:
        raise ValueError(f"k must be above 0; got {k}")
    mean, reach = rows.mean(1), k * rows.std(1, correction=0)
    return torch.maximum(low, mean - reach).clamp(max=0), torch.minimum(high, mean + reach).clamp(min=0)


def _least_error(rows, low, high, bits, symmetric):
    """The share of the full range with the smallest squared error, row by row; the widest of equal ones."""
    best, share = torch.full_like(low, torch.inf), torch.ones_like(low)
    for s in SHARES:
        tried = grid((s * low)[:, None], (s * high)[:, None], bits, symmetric=symmetric)
        error = (tried.project(rows) - rows).square().mean(1)
        better = error < best
        best, share = torch.where(better, error, best), torch.where(better, s, share)
    return share * low, share * high


def _least_divergence(row, bits, symmetric) -> tuple[float, float]:
    low, high = min(float(row.min()), 0.0), max(float(row.max()), 0.0)
    top = max(-low, high)
    if top == 0 or low / top == high / top:  # nothing but zeros, or too small to be divided
        return low, high
    sizes = np.minimum(np.abs(row.numpy()) / np.float32(top), np.float32(1))
    counts = cpu.histogram(sizes[sizes > 0], bins=BINS, low=0.0, high=1.0)
    levels = 2 ** (bits - 1) if symmetric or low < 0 else 2**bits
    kept = top * _threshold(counts, min(levels, BINS)) / BINS
    return max(low, -kept), min(high, kept)


def _threshold(counts: np.ndarray, levels: int) -> int:
    """How many bins to keep: of numbers from `levels` to all, STRIDE apart, the one with the least divergence."""
    tried = [*range(levels, len(counts), STRIDE), len(counts)]
    return min(tried, key=lambda kept: (divergence(counts, kept, levels), -kept))


def divergence(counts: np.ndarray, kept: int, levels: int) -> float:
    """Kullback and Leibler's divergence, in nats, of a histogram of which `kept` bins are kept from its quantised form.

    P has what lies beyond in its last bin. Q joins the bins to `levels` equal parts, and spreads each part's sum
    evenly over those of its bins that are not empty. Infinite where Q has nothing in a bin in which P has something.
    """
    p = counts[:kept].astype(np.float64)
    first = np.arange(levels) * kept // levels
    sums, filled = np.add.reduceat(p, first), np.add.reduceat((p > 0).astype(np.float64), first)
    widths = np.diff(np.append(first, kept))
    q = np.repeat(sums / np.maximum(filled, 1), widths) * (p > 0)
    p[-1] += counts[kept:].sum()
    if not q.sum() or (p[q == 0] > 0).any():
        return np.inf
    p, q = p / p.sum(), q / q.sum()
    there = p > 0
    return float(np.sum(p[there] * np.log(p[there] / q[there])))


def as_images(data) -> torch.Tensor:
    """Calibration data as a tensor: ndarray or Tensor of shape (n, …), n at least 1, finite."""
    if data is None:
        raise ValueError("calibration needs data: give some of the training images, shape (n, ...)")
    data = torch.as_tensor(data)
    if data.ndim == 0 or len(data) == 0:
        raise ValueError(
            f"the calibration set is empty (shape {tuple(data.shape)}); give some training images"
        )
    if data.is_floating_point() and not torch.isfinite(data).all():
        raise ValueError(
            "the calibration data hold NaN or infinity; clean them first (coursekit.data.missing)"
        )
    return data


def observe(model: nn.Module, data, names=None, *, outputs: bool = False) -> dict[str, torch.Tensor]:
    """What goes into the named layers (or comes out of them) while the model sees the data.

    Parameters
    ----------
    model : nn.Module
        Evaluated in evaluation mode; each part's mode is put back.
    data : ndarray or Tensor, shape (n, …), n at least 1
        Calibration data, as the model takes them.
    names : iterable of str or None
        Layers, by their names in the model; None means all that have no parts.

    Returns
    -------
    dict of str to Tensor, float32, one-dimensional
        At most MOST numbers of each, evenly spaced, on the CPU. A layer that was not called is missing.
    """
    data, parts = as_images(data), dict(model.named_modules())
    names = (
        [name for name, part in parts.items() if not list(part.children())] if names is None else list(names)
    )
    seen: dict[str, list[torch.Tensor]] = {}

    def watch(name):
        def hook(_, given, made):
            value = (made if outputs else given[0]).detach().reshape(-1).float().cpu()
            seen.setdefault(name, []).append(value.clone())

        return parts[name].register_forward_hook(hook)

    training = {part: part.training for part in model.modules()}
    hooks = [watch(name) for name in names]
    try:
        model.eval()
        with torch.no_grad():
            for batch in data.split(256):
                model(batch)
    finally:
        for hook in hooks:
            hook.remove()
        for part, was in training.items():
            part.training = was
    return {name: thinned(torch.cat(values)) for name, values in seen.items()}


def thinned(values: torch.Tensor) -> torch.Tensor:
    """At most MOST evenly spaced numbers of a vector, and the least and the largest of all."""
    if len(values) <= MOST:
        return values
    return torch.cat([values[:: -(-len(values) // (MOST - 2))], values.min()[None], values.max()[None]])
