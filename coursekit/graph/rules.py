"""How slopes go back through each operation: one table.

``RULES[name](g, out, *inputs, **options)`` gives the slopes of the inputs, in their order: g is that of the result (of
several results a list, with None where nothing depends on one), and out the result itself. A slope that costs something
may be a function, which is called only where it is wanted. What was broadcast is summed by the caller.

The contract's operations go back by the contract's own gradients. The rules are written in the same functions that are
traced, so that a gradient is a graph like any other.
"""

from math import pi, sqrt

import numpy as np

from coursekit.graph import functions as f
from coursekit.graph.trace import apply
from coursekit.kernels.ops.linear import PANEL


def _gelu(g, out, x):
    density = f.exp(x * x * -0.5) / sqrt(2 * pi)
    return g * (0.5 * (1 + f.erf(x * sqrt(0.5))) + x * density)


def _silu(g, out, x):
    s = f.sigmoid(x)
    return g * (s * (1 + x * (1 - s)))


def _larger(g, mask):
    """Of two equal numbers each takes half."""
    return g * mask, g * (1 - mask)


ELEMENTWISE = {
    "add": lambda g, out, x, y: (g, g),
    "subtract": lambda g, out, x, y: (g, -g),
    "multiply": lambda g, out, x, y: (g * y, g * x),
    "divide": lambda g, out, x, y: (g / y, lambda: -g * out / y),
    "power": lambda g, out, x, y: (lambda: g * (y * x ** (y - 1)), lambda: g * out * f.log(x)),
    "negative": lambda g, out, x: -g,
    "absolute": lambda g, out, x: g * (f.greater(x, 0) - f.greater(0, x)),
    "sqrt": lambda g, out, x: g / (2 * out),
    "exp": lambda g, out, x: g * out,
    "log": lambda g, out, x: g / x,
    "tanh": lambda g, out, x: g * (1 - out * out),
    "erf": lambda g, out, x: g * (2 / sqrt(pi) * f.exp(-x * x)),
    "sigmoid": lambda g, out, x: g * (out * (1 - out)),
    "relu": lambda g, out, x: f.where(f.greater(out, 0), g, 0),
    "gelu": _gelu,
    "silu": _silu,
    "maximum": lambda g, out, x, y: _larger(g, f.greater(x, y) + 0.5 * f.equal(x, y)),
    "minimum": lambda g, out, x, y: _larger(g, f.greater(y, x) + 0.5 * f.equal(x, y)),
    "greater": lambda g, out, x, y: (None, None),
    "equal": lambda g, out, x, y: (None, None),
    "where": lambda g, out, c, x, y: (None, f.where(c, g, 0), f.where(c, 0, g)),
}


def _restored(x, shape, axes):
    """The dimensions that a reduction took away, as ones."""
    return f.reshape(x, tuple(1 if a in axes else n for a, n in enumerate(shape)))


def _sum(g, out, x, axes, keepdims=False):
    return f.broadcast_to(_restored(g, x.shape, axes), x.shape)


def _max(g, out, x, axes, keepdims=False):
    """Equal ones share the slope, as in torch.amax."""
    largest = f.equal(x, _restored(out, x.shape, axes))
    return _restored(g, x.shape, axes) * largest / f.sum(largest, axes, keepdims=True)


def _reduce(g, out, x, by):
    if by == "max":
        return _max(g, out, x, (x.ndim - 1,))
    return _sum(g if by == "sum" else g / x.shape[-1], out, x, (x.ndim - 1,))


def _transposed_back(g, out, x, axes):
    return f.transpose(g, sorted(range(len(axes)), key=axes.__getitem__))


ARRAYS = {
    "reshape": lambda g, out, x, shape: f.reshape(g, x.shape),
    "transpose": _transposed_back,
    "broadcast_to": lambda g, out, x, shape: g,
    "sum": _sum,
    "max": _max,
    "slice": lambda g, out, x, **part: apply("place", g, shape=x.shape, **part),
    "place": lambda g, out, x, shape, **part: apply("slice", g, **part),
    "add_rows": lambda g, out, indices, x, rows: (None, f.embedding(indices, g)),
    "cast": lambda g, out, x, dtype: f.cast(g, x.dtype),
}


def _matmul(g, out, a, b):
    return lambda: f.linear(g, b), lambda: a.T @ g  # linear(g, b) is g bᵀ, with b read as it lies


def _linear(g, out, x, weight, bias=None):
    return lambda: g @ weight, lambda: g.T @ x, lambda: f.sum(g, 0)


def _unpacked(panels, rows):
    """What pack_linear made panels of."""
    return f.reshape(f.transpose(panels, (0, 2, 1)), (panels.shape[0] * PANEL, panels.shape[1]))[:rows]


def _linear_packed(g, out, x, panels, bias):
    return (
        lambda: g @ _unpacked(panels, len(bias)),
        lambda: f.pack_linear(g.T @ x),
        lambda: f.sum(g, 0),
    )


def _half_matmul(g, out, a, b):
    half = f.cast(g, "float16")
    return (
        lambda: f.cast(f.half_matmul(half, b.T), "float16"),
        lambda: f.cast(f.half_matmul(a.T, half), "float16"),
    )


def _conv2d(g, out, x, weight, bias=None, **geometry):
    return (
        lambda: f.conv2d_grad_input(g, weight, size=x.shape[2:], **geometry),
        lambda: f.conv2d_grad_weight(g, x, size=weight.shape[2:], **geometry),
        lambda: f.sum(g, (0, 2, 3)),
    )


def _conv2d_grad_input(g, out, grad, weight, size, **geometry):
    return (
        lambda: f.conv2d(g, weight, **geometry),
        lambda: f.conv2d_grad_weight(grad, g, size=weight.shape[2:], **geometry),
    )


def _conv2d_grad_weight(g, out, grad, x, size, **geometry):
    return (
        lambda: f.conv2d(x, g, **geometry),
        lambda: f.conv2d_grad_input(grad, g, size=x.shape[2:], **geometry),
    )


def _sparse(places, values, x, g):
    """``places`` are the rows and columns of the values: out[row] = Σ value · x[column]."""
    rows, columns = places
    flat = f.reshape(values, (-1, 1)) if values.size else f.reshape(values, (0, 1))
    return (
        lambda: f.reshape(f.sum(f.embedding(rows, g) * f.embedding(columns, x), 1), values.shape),
        lambda: f.add_rows(columns, flat * f.embedding(rows, g), x.shape[0]),
    )


def _csr(g, out, values, columns, starts, x):
    of_values, of_x = _sparse(apply("csr_places", columns, starts), values, x, g)
    return of_values, None, None, of_x


def _blocks(g, out, blocks, columns, starts, x):
    of_values, of_x = _sparse(apply("block_places", columns, starts), blocks, x, g)
    return of_values, None, None, of_x


def _two_four(g, out, values, positions, x):
    of_values, of_x = _sparse(apply("two_four_places", positions), values, x, g)
    return of_values, None, of_x


def _softmax_grad(g, out, y, u, axis):
    def of_probabilities():
        axes = axis % y.ndim
        return g * (u - f.sum(y * u, axes, keepdims=True)) - u * f.sum(y * g, axes, keepdims=True)

    return of_probabilities, lambda: f.softmax_grad(y, g, axis=axis)


def _log_sum_exp_grad(g, out, x, u):
    p = f.softmax(x)
    return lambda: f.softmax_grad(p, g * _restored(u, x.shape, (x.ndim - 1,))), lambda: f.sum(g * p, -1)


def _add_layer_norm(g, out, x, residual, weight, bias, eps):
    if g[1] is None:
        return g[0], g[0]
    dx, dw, db = f.layer_norm_grad(out[0], weight, g[1], eps=eps)
    total = dx if g[0] is None else dx + g[0]
    return total, total, dw, db


def _chain(g, out, x, scale, shift, gain, offset, limit):
    """Back through the clipping, the second scaling, GELU with its bias, and the first scaling."""
    scaled = x * scale
    v = f.bias_gelu(scaled, shift, approximate="tanh")
    slope = f.where(f.greater(limit, abs(v * gain + offset)), g, 0)
    of_scaled, of_shift = f.bias_gelu_grad(scaled, shift, slope * gain, approximate="tanh")
    return of_scaled * scale, of_scaled * x, of_shift, slope * v, slope


def _bias_relu_grad(g, out, x, bias, grad):
    """It is linear in ``grad``, and constant nearly everywhere in the others."""
    both = [part for part in g if part is not None]
    total = f.broadcast_to(both[0] if len(both) == 1 else both[0] + both[1], grad.shape)
    return None, None, f.bias_relu_grad(x, bias, total)[0]


def _of_all_steps(g, x):
    """The slope of ``out`` with that of the last state in it, which is its last step."""
    N, T, _ = x.shape
    if g[1] is None:
        return g[0]
    H = g[1].shape[1]
    part = {"start": (0, T - 1, 0), "stop": (N, T, H), "step": (1, 1, 1)}
    last = apply("place", f.reshape(g[1], (N, 1, H)), shape=(N, T, H), **part)
    return last if g[0] is None else g[0] + last


def _zeros(like, shape):
    return f.broadcast_to(like.tape.lift(0, like.dtype), shape)


def _recurrent(gradient):
    def rule(g, out, x, *others):
        N, T, _ = x.shape
        if not T:  # no step: the states go through
            return (None, None, None, None, None, *g[1:])
        weights, states, grad = others[:4], others[4:], _of_all_steps(g, x)
        H = weights[1].shape[1]
        if len(g) == 3 and g[2] is not None:  # an LSTM's last cell
            none = _zeros(x, (N, H))
            states = *(*states, none, none)[:2], g[2]
            grad = _zeros(x, (N, T, H)) if grad is None else grad
        return [None] * 7 if grad is None else gradient(x, *weights, grad, *states)

    return rule


def _linear_recurrence(g, out, a, b, h0=None):
    """Backwards in time it is a linear recurrence, too: s[t] = g[t] + a[t + 1] s[t + 1]."""
    N, T = a.shape
    if not T:
        return None, None, None
    slope = _turned(f.linear_recurrence(_later(_turned(a)), _turned(g)))

    def of_factors():
        before = _later(out)
        if h0 is None:
            return slope * before
        first = {"start": (0, 0), "stop": (N, 1), "step": (1, 1)}
        return slope * (before + apply("place", f.reshape(h0, (N, 1)), shape=(N, T), **first))

    return of_factors, slope, lambda: a[:, 0] * slope[:, 0]


def _turned(x):
    """The last column first."""
    return f.embedding(np.arange(x.shape[1])[::-1], x.T).T


def _later(x):
    """Each column one further to the right, behind a column of zeros."""
    N, T = x.shape
    if T == 1:
        return _zeros(x, x.shape)
    return apply("place", x[:, : T - 1], shape=(N, T), start=(0, 1), stop=(N, T), step=(1, 1))


CONTRACT = {
    "matmul": _matmul,
    "batched_matmul": lambda g, out, a, b: (lambda: g @ f.swap(b), lambda: f.swap(a) @ g),
    "linear": _linear,
    "pack_linear": lambda g, out, weight: _unpacked(g, len(weight)),
    "linear_packed": _linear_packed,
    "half_matmul": _half_matmul,
    "conv2d": _conv2d,
    "conv2d_grad_input": _conv2d_grad_input,
    "conv2d_grad_weight": _conv2d_grad_weight,
    "attention": lambda g, out, q, k, v, causal: f.attention_grad(q, k, v, g, causal=causal),
    "rnn": _recurrent(f.rnn_grad),
    "lstm": _recurrent(f.lstm_grad),
    "gru": _recurrent(f.gru_grad),
    "linear_recurrence": _linear_recurrence,
    "softmax": lambda g, out, x, axis: f.softmax_grad(out, g, axis=axis),
    "softmax_grad": _softmax_grad,
    "layer_norm": lambda g, out, x, weight, bias, eps: f.layer_norm_grad(x, weight, g, eps=eps),
    "add_layer_norm": _add_layer_norm,
    "rms_norm": lambda g, out, x, weight, eps: f.rms_norm_grad(x, weight, g, eps=eps),
    "bias_gelu": lambda g, out, x, bias, approximate: f.bias_gelu_grad(x, bias, g, approximate=approximate),
    "bias_relu": lambda g, out, x, bias: f.bias_relu_grad(x, bias, g),
    "bias_relu_grad": _bias_relu_grad,
    "bias_silu": lambda g, out, x, bias: f.bias_silu_grad(x, bias, g),
    "scale_shift_gelu_scale_shift_clip": _chain,
    "log_sum_exp": lambda g, out, x: f.log_sum_exp_grad(x, g),
    "log_sum_exp_grad": _log_sum_exp_grad,
    "reduce": _reduce,
    "embedding": lambda g, out, indices, weight: (None, lambda: f.add_rows(indices, g, weight.shape[0])),
    "csr_matmul": _csr,
    "block_sparse_matmul": _blocks,
    "two_four_matmul": _two_four,
    "max_pool2d": lambda g, out, x, **window: f.max_pool2d_grad(g, x, **window),
    "avg_pool2d": lambda g, out, x, **window: f.avg_pool2d_grad(g, size=x.shape[2:], **window),
    "avg_pool2d_grad": lambda g, out, grad, size, **window: f.avg_pool2d(g, **window),
}

RULES = {**ELEMENTWISE, **ARRAYS, **CONTRACT}

_INTEGERS = "its numbers are integers, which have no slope; train with rounding imitated in floating point"
_SECOND = (
    "a second derivative, for which the contract has no kernel; write the function in elementwise operations"
)
_STEPS = "its result changes in steps, so that its slope is 0 nearly everywhere"
_PLACES = "its result is made of whole numbers"
NONE = {
    **dict.fromkeys(
        (
            *("int8_matmul", "pack_int8", "int8_matmul_packed", "pack_int4", "int4_linear"),
            *("quantize_int8", "requantize", "int8_linear", "pack_int8_filters"),
            *("int8_conv2d", "int8_max_pool2d"),
        ),
        _INTEGERS,
    ),
    **dict.fromkeys(("pack_signs", "binary_matmul"), _STEPS),
    **dict.fromkeys(("histogram", "csr_places", "block_places", "two_four_places"), _PLACES),
    "bfloat16_matmul": "its arrays hold bits, as integers, for want of a dtype; cast to float16 and use half_matmul",
    "fused": "fuse makes it, which comes after the gradient",
    "kmeans_step": "a step of an algorithm with a choice in it, of which nobody wants the slope",
    "adam_step": "a step of training: differentiating through it is another field (meta-learning)",
    **dict.fromkeys(
        (
            *("rnn_grad", "lstm_grad", "gru_grad", "attention_grad", "layer_norm_grad", "rms_norm_grad"),
            *("bias_gelu_grad", "bias_silu_grad", "max_pool2d_grad"),
        ),
        _SECOND,
    ),
}
"""The operations without a rule, and why."""
