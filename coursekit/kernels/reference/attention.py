"""Attention, by torch: its fused kernel where it has one for the sizes."""

from math import sqrt

from torch.nn.functional import scaled_dot_product_attention

from coursekit.kernels.ops import OPS
from coursekit.kernels.reference.arrays import boundary


@boundary(OPS["attention"])
def attention(q, k, v, *, causal=False, out=None):
    """softmax(q·kᵀ / √D) · v: Vaswani et al., "Attention is all you need", 2017, section 3.2.1.

    Args:
        q: shape (..., M, D), float32 or float64; NumPy array or torch tensor.
        k: shape (..., N, D), of the same dtype and kind.
        v: shape (..., N, E), of the same dtype and kind.
        causal: whether query m sees the keys 0 to m only.
        out: shape (..., M, E), filled and returned where given; it must not share memory with the inputs.

    Returns:
        Shape (..., M, E), of the inputs' dtype and kind. Without any key it is 0.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; ``causal`` is no bool.
        ValueError: shapes do not fit, or ``out`` cannot be written without harm.
    """
    scale = 1 / sqrt(max(q.shape[-1], 1))
    out.copy_(scaled_dot_product_attention(q, k, v, is_causal=causal, scale=scale))
