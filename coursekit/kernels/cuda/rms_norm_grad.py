"""The gradients of RMS norm: in three launches, with a block for each row, and with each number read once."""

import math

from numba import cuda, float32

from coursekit.kernels.cuda.arrays import boundary
from coursekit.kernels.cuda.device import blocks, enough_blocks, launch
from coursekit.kernels.cuda.kernel import kernel
from coursekit.kernels.cuda.layer_norm_grad import clear, sum_columns
from coursekit.kernels.cuda.pointwise import flat, last
from coursekit.kernels.cuda.rms_norm import scale_of_row
from coursekit.kernels.cuda.rows import THREADS, can_keep_rows, row_threads
from coursekit.kernels.cuda.vectors import load4, store4
from coursekit.kernels.cuda.warps import block_sum
from coursekit.kernels.ops import OPS


@kernel("(float32[::1], float32[::1], float32[::1], float32, float32[::1])")
def _textbook(x, weight, g, eps, facts):
    """Two numbers of each row: r = 1 / √(mean x² + eps), and mean(h·x) · r²."""
    m = cuda.grid(1)
    N = weight.size
    if m * N < x.size:
        T = x.dtype.type
        square, of_hx = T(0), T(0)
        for n in range(N):
            v = x[m * N + n]
            square += v * v
            of_hx += g[m * N + n] * weight[n] * v
        scale = T(1) / math.sqrt(square / T(N) + eps)
        facts[2 * m], facts[2 * m + 1] = scale, of_hx / T(N) * scale * scale


@kernel("(float32[::1], float32[::1], float32[::1], float32[::1])")
def _columns(x, g, facts, dw):
    n = cuda.grid(1)
    N = dw.size
    if n < N:
        total = x.dtype.type(0)
        for m in range(x.size // N):
            total += g[m * N + n] * (x[m * N + n] * facts[2 * m])
        dw[n] = total


@kernel("(float32[::1], float32[::1], float32[::1], float32[::1], float32[::1])")
def _numbers(x, weight, g, facts, dx):
    i = cuda.grid(1)
    if i < x.size:
        m, n = divmod(i, weight.size)
        dx[i] = facts[2 * m] * (g[i] * weight[n] - x[i] * facts[2 * m + 1])


def _three_launches(kernel, grid, threads, x, weight, g, eps, dx, dw):
    """The first kernel finds the facts of each row. dx comes last: it may be x or g."""
    facts = cuda.device_array(2 * (x.size // weight.size), x.dtype)
    x, g, dx = flat(x, g, dx)
    launch(kernel, grid, threads, x, weight, g, x.dtype.type(eps), facts)
    launch(_columns, blocks(weight.size, THREADS), THREADS, x, g, facts, dw)
    launch(_numbers, blocks(x.size, THREADS), THREADS, x, weight, g, facts, dx)


@boundary(OPS["rms_norm_grad"])
def rms_norm_grad_textbook(x, weight, gradient, *, eps=1e-6, out=None):
    """:func:`rms_norm_grad` with one thread for each row, then one for each column, then one for each number.

    The launches hand on two numbers for each row in memory. In the first, each read of a warp is 32 transactions, and
    x and the gradient are read in all three.
    """
    if x.size:
        grid = blocks(x.size // last(x), THREADS)
        _three_launches(_textbook, grid, THREADS, x, weight, gradient, eps, *out)
    else:
        clear(out[1])


@kernel("(float32[::1], float32[::1], float32[::1], float32, float32[::1])")
def _blocks(x, weight, g, eps, facts):
    scratch = cuda.shared.array(THREADS, dtype=x.dtype)
    m, t, N = cuda.blockIdx.x, cuda.threadIdx.x, weight.size
    T = x.dtype.type
    square, of_hx = T(0), T(0)
    for n in range(t, N, cuda.blockDim.x):
        v = x[m * N + n]
        square += v * v
        of_hx += g[m * N + n] * weight[n] * v
    scale = scale_of_row(square, N, eps, scratch)
    of_hx = block_sum(of_hx, scratch)
    if t == 0:
        facts[2 * m], facts[2 * m + 1] = scale, of_hx / T(N) * scale * scale


def _run_blocks(x, weight, gradient, eps, dx, dw):
    N = last(x)
    _three_launches(_blocks, x.size // N, row_threads(N), x, weight, gradient, eps, dx, dw)


@boundary(OPS["rms_norm_grad"])
def rms_norm_grad_blocks(x, weight, gradient, *, eps=1e-6, out=None):
    """:func:`rms_norm_grad` with a block for each row in the first launch, so that neighbours read neighbouring numbers
    in all three. Columns are still added up by one thread each, over all rows."""
    if x.size:
        _run_blocks(x, weight, gradient, eps, *out)
    else:
        clear(out[1])


@kernel(
    "(float32[::1], float32[::1], float32[::1], float32, float32[::1], float32[::1])",
    tuned=True,
    expects=("LDG.E.128", "STG.E.128", "LDS.128", "SHFL"),
)
def _rows(x, weight, g, eps, dx, parts):
    """Shared memory holds a row of x, one of g, and the share of this block in dw."""
    rows = cuda.shared.array(0, dtype=float32)
    scratch = cuda.shared.array(THREADS, dtype=float32)
    N, t, step = weight.size, 4 * cuda.threadIdx.x, 4 * cuda.blockDim.x
    zero = float32(0)
    for n in range(t, N, step):
        store4(rows, 2 * N + n, zero, zero, zero, zero)
    for start in range(cuda.blockIdx.x * N, x.size, cuda.gridDim.x * N):
        square, of_hx = zero, zero
        for n in range(t, N, step):
            a, b, c, d = load4(x, start + n)
            store4(rows, n, a, b, c, d)
            square += (a * a + b * b) + (c * c + d * d)
            p, q, r, s = load4(g, start + n)
            store4(rows, N + n, p, q, r, s)
            e, f, i, j = load4(weight, n)
            of_hx += (p * e * a + q * f * b) + (r * i * c + s * j * d)
        scale = scale_of_row(square, N, eps, scratch)
        mean = block_sum(of_hx, scratch) / float32(N) * scale * scale
        for n in range(t, N, step):
            a, b, c, d = load4(rows, n)
            p, q, r, s = load4(rows, N + n)
            e, f, i, j = load4(rows, 2 * N + n)
            e, f, i, j = e + p * (a * scale), f + q * (b * scale), i + r * (c * scale), j + s * (d * scale)
            store4(rows, 2 * N + n, e, f, i, j)
            e, f, i, j = load4(weight, n)
            a, b = scale * (p * e - a * mean), scale * (q * f - b * mean)
            c, d = scale * (r * i - c * mean), scale * (s * j - d * mean)
            store4(dx, start + n, a, b, c, d)
    for n in range(t, N, step):
        a, b, c, d = load4(rows, 2 * N + n)
        store4(parts, cuda.blockIdx.x * N + n, a, b, c, d)


@boundary(OPS["rms_norm_grad"])
def rms_norm_grad(x, weight, gradient, *, eps=1e-6, out=None):
    """The gradients with respect to x and weight, from that with respect to the result of the RMS norm: Zhang and
    Sennrich, "Root mean square layer normalization", NeurIPS 2019, section 4.2.

    As in :func:`layer_norm_grad`, a block goes from row to row, reads each once, 128 bits at a time, and keeps in
    shared memory its share in the gradient of the weight: 12 bytes move for each number of float32. The shares, two
    for each multiprocessor, are added up in a second launch; the bits are the same in each run on the same GPU.
    float64, rows of which shared memory does not hold three, those whose length is no multiple of four, and arrays that
    begin at no multiple of 16 bytes are done by :func:`rms_norm_grad_blocks`. The error of a mean of N terms is about
    (N/512 + 20) · 2⁻²⁴ of the mean of their sizes; shares and their sum are added up one after the other.

    Args:
        x, gradient: shape (..., N), float32 or float64; NumPy arrays, device arrays, or torch tensors on the GPU.
        weight: shape (N,), of the same dtype and kind.
        eps: added to the mean square.
        out: a tuple of arrays of the shapes of x and weight, filled and returned where given; the first may be x or
            gradient.

    Returns:
        The two gradients, of the dtype and kind of x.

    Raises:
        RuntimeError: there is no GPU, and the simulator is off.
        TypeError: an argument is no array, or of another kind or dtype; ``eps`` is no number.
        ValueError: shapes do not fit, ``eps`` is below 0, a tensor is not on the GPU, or ``out`` cannot be written
            without harm.
    """
    dx, dw = out
    N = last(x)
    if not x.size:
        clear(dw)
    elif not can_keep_rows(N, x, weight, gradient, dx, arrays=3):
        _run_blocks(x, weight, gradient, eps, dx, dw)
    else:
        count = enough_blocks(x.size // N, 1, each=2)
        shares = cuda.device_array(count * N, x.dtype)
        arguments = (*flat(x), weight, *flat(gradient), x.dtype.type(eps), *flat(dx), shares)
        launch(_rows, count, row_threads(N, 4), *arguments, shared=12 * N)
        sum_columns(shares, count, dw)
