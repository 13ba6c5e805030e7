"""Six operations as six launches, fused into one, and with four columns for each thread."""

from numba import cuda

from coursekit.kernels.cuda import pointwise
from coursekit.kernels.cuda.arrays import boundary
from coursekit.kernels.cuda.bias_gelu import gelu_by_tanh
from coursekit.kernels.cuda.bias_relu import add_bias
from coursekit.kernels.cuda.kernel import kernel
from coursekit.kernels.cuda.vectors import load4, store4
from coursekit.kernels.ops import OPS


@cuda.jit(device=True)
def _times(x, factor):
    return x * factor


@cuda.jit(device=True)
def _within(v, limit):
    """v cut off at ±limit; nan stays nan, since no comparison with it holds."""
    v = -limit if v < -limit else v
    return limit if v > limit else v


multiply = pointwise.of_columns(__name__, "multiply", _times)
_activate = pointwise.of_numbers(__name__, "activate", gelu_by_tanh)


@kernel("(float32[::1], float32, float32[::1])")
def _clip(x, limit, out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = _within(x[i], limit)


@boundary(OPS["scale_shift_gelu_scale_shift_clip"])
def scale_shift_gelu_scale_shift_clip_textbook(x, scale, shift, gain, offset, *, limit=6.0, out=None):
    """The six operations one after the other, as six launches: 48 bytes move for each number where 8 have to."""
    pointwise.run_numbers(multiply, x, scale, out=out)
    pointwise.run_numbers(add_bias, out, shift, out=out)
    pointwise.run_numbers(_activate, out, out=out)
    pointwise.run_numbers(multiply, out, gain, out=out)
    pointwise.run_numbers(add_bias, out, offset, out=out)
    pointwise.run_numbers(_clip, out, scalars=(x.dtype.type(limit),), out=out)


@cuda.jit(device=True)
def _of_one(x, scale, shift, gain, offset, limit):
    return _within(gelu_by_tanh(x * scale + shift) * gain + offset, limit)


@kernel("(float32[::1], float32[::1], float32[::1], float32[::1], float32[::1], float32, float32[::1])")
def _fused(x, scale, shift, gain, offset, limit, out):
    i = cuda.grid(1)
    if i < out.size:
        n = i % scale.size
        out[i] = _of_one(x[i], scale[n], shift[n], gain[n], offset[n], limit)


def _run_fused(x, columns, limit, out):
    pointwise.run_numbers(_fused, x, *columns, scalars=(limit,), out=out)


@boundary(OPS["scale_shift_gelu_scale_shift_clip"])
def scale_shift_gelu_scale_shift_clip_fused(x, scale, shift, gain, offset, *, limit=6.0, out=None):
    """The six operations on each number while it is in a register: x is read once, and ``out`` written once.

    But beside each number a thread loads four others, those of its column. They come from the cache, and still take
    four load instructions of the five.
    """
    _run_fused(x, (scale, shift, gain, offset), x.dtype.type(limit), out)


@kernel(
    "(float32[::1], float32[::1], float32[::1], float32[::1], float32[::1], float32, float32[::1])",
    **pointwise.FOURS,
)
def _fours(x, scale, shift, gain, offset, limit, out):
    N = scale.size
    n, m = cuda.grid(2)
    if 4 * n < N:
        s0, s1, s2, s3 = load4(scale, 4 * n)
        t0, t1, t2, t3 = load4(shift, 4 * n)
        g0, g1, g2, g3 = load4(gain, 4 * n)
        o0, o1, o2, o3 = load4(offset, 4 * n)
        for i in range(m * N + 4 * n, out.size, cuda.gridDim.y * cuda.blockDim.y * N):
            a, b, c, d = load4(x, i)
            a, b = _of_one(a, s0, t0, g0, o0, limit), _of_one(b, s1, t1, g1, o1, limit)
            c, d = _of_one(c, s2, t2, g2, o2, limit), _of_one(d, s3, t3, g3, o3, limit)
            store4(out, i, a, b, c, d)


@boundary(OPS["scale_shift_gelu_scale_shift_clip"])
def scale_shift_gelu_scale_shift_clip(x, scale, shift, gain, offset, *, limit=6.0, out=None):
    """GELU between two scalings, cut off at ±limit, in one pass: what is left of batch norm, activation, batch norm and
    the clipping before quantisation (Ioffe and Szegedy, arXiv:1502.03167; Krishnamoorthi, arXiv:1806.08342).

    A thread keeps to four columns and goes down the rows. The 16 numbers of its columns are loaded once and stay in
    registers, so what it does for each further row is one load and one store of 128 bits, the traffic of a copy.
    float64, rows whose length is no multiple of four, and arrays that begin at no multiple of 16 bytes are done by
    :func:`scale_shift_gelu_scale_shift_clip_fused`. GELU is in its form by tanh.

    Args:
        x: shape (..., N), float32 or float64; NumPy array, device array, or torch tensor on the GPU.
        scale, shift, gain, offset: shape (N,), of the same dtype and kind.
        limit: results lie between -limit and limit.
        out: shape of x, filled and returned where given; it may be x itself.

    Returns:
        The shape, dtype and kind of x; nan where that is the result.

    Raises:
        RuntimeError: there is no GPU, and the simulator is off.
        TypeError: an argument is no array, or of another kind or dtype; ``limit`` is no number.
        ValueError: shapes do not fit, ``limit`` is below 0, a tensor is not on the GPU, or ``out`` cannot be written
            without harm.
    """
    columns, limit = (scale, shift, gain, offset), x.dtype.type(limit)
    if out.size and pointwise.can_use_columns_of_fours(x, *columns, out):
        pointwise.run_columns(_fours, x, *columns, limit, out=out)
    else:
        _run_fused(x, columns, limit, out)
