"""What training needs beside the layers, by torch."""

import torch
from torch.nn import functional

from coursekit.kernels.ops import OPS
from coursekit.kernels.reference.arrays import boundary


@boundary(OPS["adam_step"])
def adam_step(
    parameter, gradient, first, second, *, rate=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, step=1, out=None
):
    """One step of Adam, by torch's fused one: Kingma and Ba, arXiv:1412.6980, algorithm 1.

    Args:
        parameter, gradient: any shape, float32 or float64; NumPy arrays or torch tensors.
        first, second: the moments before the step, of the same shape; the second is nowhere negative.
        rate: the learning rate.
        beta1, beta2: what is kept of the moments.
        eps: added to the root of the second moment.
        step: the number of this step, from 1.
        out: a tuple of three arrays for parameter, first and second; each may be the old one itself.

    Returns:
        The new parameter and moments, of the shape, dtype and kind of the old.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; an option is no number.
        ValueError: shapes do not fit, an option is out of range, or ``out`` cannot be written without harm.
    """
    old = (parameter, first, second)
    fresh = [
        a
        if a.data_ptr() == b.data_ptr() and a.is_contiguous()
        else b.clone(memory_format=torch.contiguous_format)
        for a, b in zip(out, old, strict=True)
    ]
    torch._fused_adam_(
        [fresh[0]],
        [gradient.contiguous()],
        [fresh[1]],
        [fresh[2]],
        [],
        [torch.tensor(float(step), device=parameter.device)],
        lr=float(rate),
        beta1=float(beta1),
        beta2=float(beta2),
        weight_decay=0.0,
        eps=float(eps),
        amsgrad=False,
        maximize=False,
    )
    for a, b in zip(out, fresh, strict=True):
        if a is not b:
            a.copy_(b)


@boundary(OPS["embedding"])
def embedding(indices, weight, *, out=None):
    """The rows of ``weight`` with these numbers.

    Args:
        indices: shape (...), int64; NumPy array or torch tensor.
        weight: shape (V, D), float32 or float64, of the same kind.
        out: shape (..., D), filled and returned where given; it must not share memory with weight or indices.

    Returns:
        Shape (..., D), of the dtype and kind of weight.

    Raises:
        IndexError: a number is below 0, or not below V.
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, or ``out`` cannot be written without harm.
    """
    if indices.numel():
        out.copy_(functional.embedding(indices, weight))


@boundary(OPS["softmax_grad"])
def softmax_grad(probabilities, gradient, *, axis=-1, out=None):
    """The gradient with respect to the argument of softmax, from its result and the gradient with respect to that.

    Args:
        probabilities: what softmax gave, any shape of one dimension or more, float32 or float64; NumPy or torch.
        gradient: of the same shape, dtype and kind.
        axis: the axis of the softmax.
        out: of the same shape, filled and returned where given; it may be either of the two.

    Returns:
        The shape, dtype and kind of the probabilities.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; ``axis`` is no int.
        ValueError: shapes do not fit, ``axis`` is out of range, or ``out`` cannot be written without harm.
    """
    out.copy_(torch._softmax_backward_data(gradient, probabilities, axis, probabilities.dtype))


@boundary(OPS["layer_norm_grad"])
def layer_norm_grad(x, weight, gradient, *, eps=1e-5, out=None):
    """The gradients with respect to x, weight and bias, from that with respect to the result of the layer norm.

    Args:
        x, gradient: shape (..., N), float32 or float64; NumPy arrays or torch tensors.
        weight: shape (N,), of the same dtype and kind.
        eps: added to the variance.
        out: a tuple of arrays of the shapes of x, weight and weight; the first may be x or gradient.

    Returns:
        The three gradients, of the dtype and kind of x.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; ``eps`` is no number.
        ValueError: shapes do not fit, ``eps`` is below 0, or ``out`` cannot be written without harm.
    """
    if not x.numel():
        for a in out:
            a.zero_()
        return
    _, mean, scale = torch.native_layer_norm(x, weight.shape, weight, None, float(eps))
    results = torch.ops.aten.native_layer_norm_backward(
        gradient, x, weight.shape, mean, scale, weight, weight, [True] * 3
    )
    for a, b in zip(out, results, strict=True):
        a.copy_(b)


@boundary(OPS["rms_norm_grad"])
def rms_norm_grad(x, weight, gradient, *, eps=1e-6, out=None):
    """The gradients with respect to x and weight, from that with respect to the result of the RMS norm, by autograd.

    Args:
        x, gradient: shape (..., N), float32 or float64; NumPy arrays or torch tensors.
        weight: shape (N,), of the same dtype and kind.
        eps: added to the mean square.
        out: a tuple of arrays of the shapes of x and weight; the first may be x or gradient.

    Returns:
        The two gradients, of the dtype and kind of x.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; ``eps`` is no number.
        ValueError: shapes do not fit, ``eps`` is below 0, or ``out`` cannot be written without harm.
    """
    if not x.numel():
        for a in out:
            a.zero_()
        return
    leaves = [a.detach().requires_grad_() for a in (x, weight)]
    with torch.enable_grad():
        y = functional.rms_norm(leaves[0], weight.shape, leaves[1], float(eps))
    for a, b in zip(out, torch.autograd.grad(y, leaves, gradient), strict=True):
        a.copy_(b)


@boundary(OPS["log_sum_exp_grad"])
def log_sum_exp_grad(x, gradient, *, out=None):
    """The gradient with respect to x, from that with respect to log Σ exp(x) along the last axis.

    Args:
        x: shape (..., N), float32 or float64; NumPy array or torch tensor.
        gradient: shape (...), of the same dtype and kind.
        out: shape of x, filled and returned where given; it may be x itself.

    Returns:
        The shape, dtype and kind of x. A row of nothing but -inf gives nan, as does one with +inf.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, or ``out`` cannot be written without harm.
    """
    torch.mul(torch.softmax(x, -1), gradient.unsqueeze(-1), out=out)
