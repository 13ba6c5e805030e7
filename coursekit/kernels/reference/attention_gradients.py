"""The gradients of attention, by torch.autograd through its fused kernel."""

from math import sqrt

import torch
from torch.nn.functional import scaled_dot_product_attention

from coursekit.kernels.ops import OPS
from coursekit.kernels.reference.arrays import boundary


@boundary(OPS["attention_grad"])
def attention_grad(q, k, v, grad, *, causal=False, out=None):
    """The gradients of softmax(q·kᵀ / √D) · v with respect to q, k and v.

    Args:
        q: shape (..., M, D), float32 or float64; NumPy array or torch tensor.
        k: shape (..., N, D), of the same dtype and kind.
        v: shape (..., N, E), of the same dtype and kind.
        grad: shape (..., M, E), the gradient of the result, of the same dtype and kind.
        causal: whether query m sees the keys 0 to m only.
        out: a tuple of arrays of the shapes of q, k and v, filled and returned where given.

    Returns:
        The three gradients, of the inputs' dtype and kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; ``causal`` is no bool.
        ValueError: shapes do not fit, or ``out`` cannot be written without harm.
    """
    if not (grad.numel() and v.numel()):
        for target in out:
            target.zero_()
        return
    scale = 1 / sqrt(max(q.shape[-1], 1))
    with torch.enable_grad():
        leaves = [a.detach().requires_grad_() for a in (q, k, v)]
        result = scaled_dot_product_attention(*leaves, is_causal=causal, scale=scale)
        found = torch.autograd.grad(result, leaves, grad)
    for target, gradient in zip(out, found, strict=True):
        target.copy_(gradient)
