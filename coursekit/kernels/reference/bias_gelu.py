"""Bias and GELU, by torch: two passes over memory, as eager torch makes them."""

import torch
from torch.nn.functional import gelu

from coursekit.kernels.ops import OPS
from coursekit.kernels.reference.arrays import boundary


@boundary(OPS["bias_gelu"])
def bias_gelu(x, bias, *, approximate="none", out=None):
    """GELU(x + bias): Hendrycks and Gimpel, "Gaussian Error Linear Units", arXiv:1606.08415.

    Args:
        x: shape (..., N), float32 or float64; NumPy array or torch tensor.
        bias: shape (N,), of the same dtype and kind.
        approximate: ``"none"`` for v·Φ(v) by erf, ``"tanh"`` for the paper's approximation.
        out: shape of x, filled and returned where given; it may be x itself.

    Returns:
        The shape, dtype and kind of x.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, ``approximate`` is neither, or ``out`` cannot be written without harm.
    """
    torch.add(x, bias, out=out)
    gelu(out, approximate=approximate, out=out)
