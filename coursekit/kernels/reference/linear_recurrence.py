"""A linear recurrence by torch, which has no operation for it: doubling, in as many passes as T has binary digits."""

import torch

from coursekit.kernels.ops import OPS
from coursekit.kernels.reference.arrays import boundary


@boundary(OPS["linear_recurrence"])
def linear_recurrence(a, b, h0=None, *, out=None):
    """h ← a[t] h + b[t] for all steps: Hillis and Steele, "Data parallel algorithms", CACM 29(12), 1986.

    Args:
        a, b: shape (N, T), float32 or float64; NumPy array or torch tensor.
        h0: shape (N,), of the same dtype and kind; zeros where left out.
        out: shape (N, T), filled and returned where given.

    Returns:
        The states of all steps, (N, T), of the inputs' dtype and kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, or ``out`` cannot be written without harm.
    """
    states = b.clone()
    if h0 is not None:
        states[:, :1] += a[:, :1] * h0[:, None]
    reach = 1
    while reach < a.shape[1]:
        earlier = torch.nn.functional.pad(states, (reach, 0))[:, : a.shape[1]]
        factors = torch.nn.functional.pad(a, (reach, 0), value=1.0)[:, : a.shape[1]]
        states, a, reach = states + a * earlier, a * factors, 2 * reach
    out.copy_(states)
