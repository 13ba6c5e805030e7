"""RMS norm, by torch. Its function has no ``out``, so the result is copied."""

from torch.nn.functional import rms_norm as norm_of

from coursekit.kernels.ops import OPS
from coursekit.kernels.reference.arrays import boundary


@boundary(OPS["rms_norm"])
def rms_norm(x, weight, *, eps=1e-6, out=None):
    """x / √(mean x² + eps) · weight along the last axis.

    Args:
        x: shape (..., N), float32 or float64; NumPy or torch.
        weight: shape (N,), of the same dtype and kind.
        eps: added to the mean square.
        out: shape of x, filled and returned where given; it may be x itself.

    Returns:
        The result, of the shape, dtype and kind of x.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; ``eps`` is no number.
        ValueError: shapes do not fit, ``eps`` is below 0, or ``out`` cannot be written without harm.
    """
    out.copy_(norm_of(x, weight.shape, weight, float(eps)) if x.numel() else x)
