"""Bias and GELU, fused: one thread for each element."""

import math

from numba import cuda

from coursekit.kernels.cuda.arrays import boundary
from coursekit.kernels.cuda.device import blocks, launch
from coursekit.kernels.cuda.kernel import kernel
from coursekit.kernels.ops import OPS

THREADS = 128
SQRT_HALF = math.sqrt(0.5)
SQRT_2_OVER_PI = math.sqrt(2 / math.pi)


@kernel("(float32[::1], float32[::1], float32[::1])")
def _erf_form(x, bias, out):
    i = cuda.grid(1)
    if i < x.size:
        # Constants of x's dtype: a float64 among float32 numbers would send all of it to the few
        # float64 units of a GPU.
        T = x.dtype.type
        v = x[i] + bias[i % bias.size]
        out[i] = T(0.5) * v * (T(1) + math.erf(T(SQRT_HALF) * v))


@kernel("(float32[::1], float32[::1], float32[::1])")
def _tanh_form(x, bias, out):
    i = cuda.grid(1)
    if i < x.size:
        T = x.dtype.type
        v = x[i] + bias[i % bias.size]
        out[i] = T(0.5) * v * (T(1) + math.tanh(T(SQRT_2_OVER_PI) * (v + T(0.044715) * v * v * v)))


@boundary(OPS["bias_gelu"])
def bias_gelu(x, bias, *, approximate="none", out=None):
    """GELU(x + bias) in one pass: Hendrycks and Gimpel, "Gaussian Error Linear Units", arXiv:1606.08415.

    Args:
        x: shape (..., N), float32 or float64; NumPy array, device array, or torch tensor on the GPU.
        bias: shape (N,), of the same dtype and kind.
        approximate: ``"none"`` for v·Φ(v) by erf, ``"tanh"`` for the paper's approximation.
        out: shape of x, filled and returned where given; it may be x itself.

    Returns:
        The shape, dtype and kind of x.

    Raises:
        RuntimeError: there is no GPU, and the simulator is off.
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, ``approximate`` is neither, a tensor is not on the GPU, or ``out``
            cannot be written without harm.
    """
    if out.size:
        form = _tanh_form if approximate == "tanh" else _erf_form
        launch(form, blocks(out.size, THREADS), THREADS, x.reshape(x.size), bias, out.reshape(out.size))
