"""The gradient of log-sum-exp, softmax times a number for each row: by its formula, fused, and on whole vectors."""

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.rows import as_rows, rows_and_grain
from coursekit.kernels.cpu.short_rows import are_short
from coursekit.kernels.cpu.softmax import softmax_of_row, softmax_of_short_rows
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.ops import OPS


@compiled
def _textbook(x, gradient, out):
    for m in range(x.shape[0]):
        top = -np.inf
        for n in range(x.shape[1]):
            top = max(top, x[m, n])
        total = 0.0
        for n in range(x.shape[1]):
            total += np.exp(x[m, n] - top)
        for n in range(x.shape[1]):
            out[m, n] = gradient[m] * np.exp(x[m, n] - top) / total


@boundary(OPS["log_sum_exp_grad"])
def log_sum_exp_grad_textbook(x, gradient, *, out=None):
    """:func:`log_sum_exp_grad` by its formula, with two exponentials for each number, in float64."""
    _textbook(as_rows(x), gradient.reshape(-1), as_rows(out))


@compiled
def _rows(x, gradient, out):
    number = x.dtype.type
    for m in range(x.shape[0]):
        top = number(-np.inf)
        for n in range(x.shape[1]):
            top = max(top, x[m, n])
        total = number(0)
        for n in range(x.shape[1]):
            power = np.exp(x[m, n] - top)
            out[m, n] = power
            total += power
        scale = gradient[m] / total
        for n in range(x.shape[1]):
            out[m, n] *= scale


@boundary(OPS["log_sum_exp_grad"])
def log_sum_exp_grad_rows(x, gradient, *, out=None):
    """:func:`log_sum_exp_grad` in its own precision, with one exponential for each number and a division for each row.

    ``out`` keeps the exponentials until their sum is known.
    """
    _rows(as_rows(x), gradient.reshape(-1), as_rows(out))


@compiled
def _vectors(x, gradient, out):
    read, write = x.reshape(-1), out.reshape(-1)
    for m in range(x.shape[0]):
        softmax_of_row(read, m * x.shape[1], x.shape[1], gradient[m], write)


@compiled
def _short_rows(x, gradient, out):
    softmax_of_short_rows(x, (), out)
    for m in range(x.shape[0]):
        for n in range(x.shape[1]):
            out[m, n] *= gradient[m]


def _kernel_for(x):
    if x.dtype != np.float32:
        return _rows
    return _short_rows if are_short(x.shape[1], x.dtype) else _vectors


@boundary(OPS["log_sum_exp_grad"])
def log_sum_exp_grad(x, gradient, *, out=None):
    """The gradient with respect to x, from that with respect to log Σ exp(x): Blanchard, Higham and Higham, "Accurately
    computing the log-sum-exp and softmax functions", IMA Journal of Numerical Analysis 41(4), 2021, equation 1.5.

    A row is a row of softmax whose last factor is multiplied by the gradient, so nothing is written twice. Its error is
    that of :func:`coursekit.kernels.cpu.softmax`, and one more rounding. float64 is done by
    :func:`log_sum_exp_grad_rows`.

    Args:
        x: shape (..., N), float32 or float64; NumPy array or torch tensor on the CPU.
        gradient: shape (...), of the same dtype and kind.
        out: shape of x, filled and returned where given; it may be x itself.

    Returns:
        The shape, dtype and kind of x. A row of nothing but -inf gives nan, as does one with +inf.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, a tensor is not on the CPU, or ``out`` cannot be written without harm.
    """
    x, out, gradient = as_rows(x), as_rows(out), gradient.reshape(-1)
    kernel = _kernel_for(x)
    split(lambda i, j: kernel(x[i:j], gradient[i:j], out[i:j]), *rows_and_grain(x))
