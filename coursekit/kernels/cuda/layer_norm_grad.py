"""The gradients of layer norm: in three launches, with a block for each row, and with each number read once.

What is hard is that sums run in both directions: along a row for the gradient of x, and over all rows for those of
weight and bias. A block that has seen a row cannot finish the latter; it can add up its own share.
"""

from numba import cuda, float32

from coursekit.kernels.cuda.arrays import boundary
from coursekit.kernels.cuda.device import blocks, enough_blocks, launch
from coursekit.kernels.cuda.kernel import kernel
from coursekit.kernels.cuda.layer_norm import corrected
from coursekit.kernels.cuda.pointwise import flat, last
from coursekit.kernels.cuda.rows import THREADS, can_keep_rows, row_threads
from coursekit.kernels.cuda.vectors import load4, store4
from coursekit.kernels.cuda.warps import block_sum
from coursekit.kernels.ops import OPS

FACTS = 5
"""Numbers that are kept of each row: its mean in two parts, 1 / √(variance + eps), and the means of h and of h·z."""


@kernel("(float32[::1], float32[::1], float32[::1], float32, float32[::1])")
def _textbook(x, weight, g, eps, facts):
    m = cuda.grid(1)
    N = weight.size
    if m * N < x.size:
        T = x.dtype.type
        centre, rest, square, of_h, of_hz = T(0), T(0), T(0), T(0), T(0)
        for n in range(N):
            centre += x[m * N + n] / T(N)
        for n in range(N):
            distance = x[m * N + n] - centre
            rest += distance
            square += distance * distance
        rest, scale = corrected(rest, square, N, eps)
        for n in range(N):
            h = g[m * N + n] * weight[n]
            of_h += h
            of_hz += h * ((x[m * N + n] - centre - rest) * scale)
        facts[FACTS * m], facts[FACTS * m + 1], facts[FACTS * m + 2] = centre, rest, scale
        facts[FACTS * m + 3], facts[FACTS * m + 4] = of_h / T(N), of_hz / T(N)


@kernel("(float32[::1], float32[::1], float32[::1], float32[::1], float32[::1])")
def _columns(x, g, facts, dw, db):
    n = cuda.grid(1)
    N = dw.size
    if n < N:
        of_weight = of_bias = x.dtype.type(0)
        for m in range(x.size // N):
            slope = g[m * N + n]
            of_weight += slope * (
                (x[m * N + n] - facts[FACTS * m] - facts[FACTS * m + 1]) * facts[FACTS * m + 2]
            )
            of_bias += slope
        dw[n], db[n] = of_weight, of_bias


@kernel("(float32[::1], float32[::1], float32[::1], float32[::1], float32[::1])")
def _numbers(x, weight, g, facts, dx):
    i = cuda.grid(1)
    if i < x.size:
        m, n = divmod(i, weight.size)
        scale = facts[FACTS * m + 2]
        z = (x[i] - facts[FACTS * m] - facts[FACTS * m + 1]) * scale
        dx[i] = scale * (g[i] * weight[n] - facts[FACTS * m + 3] - z * facts[FACTS * m + 4])


def _three_launches(kernel, grid, threads, x, weight, g, eps, dx, dw, db):
    """The first kernel finds the facts of each row. dx comes last: it may be x or g."""
    facts = cuda.device_array(FACTS * (x.size // weight.size), x.dtype)
    x, g, dx = flat(x, g, dx)
    launch(kernel, grid, threads, x, weight, g, x.dtype.type(eps), facts)
    launch(_columns, blocks(weight.size, THREADS), THREADS, x, g, facts, dw, db)
    launch(_numbers, blocks(x.size, THREADS), THREADS, x, weight, g, facts, dx)


@boundary(OPS["layer_norm_grad"])
def layer_norm_grad_textbook(x, weight, gradient, *, eps=1e-5, out=None):
    """:func:`layer_norm_grad` with one thread for each row, then one for each column, then one for each number.

    The launches hand on five numbers for each row in memory. In the first, each read of a warp is 32 transactions, and
    x and the gradient are read in all three.
    """
    if x.size:
        grid = blocks(x.size // last(x), THREADS)
        _three_launches(_textbook, grid, THREADS, x, weight, gradient, eps, *out)
    else:
        clear(*out[1:])


@kernel("(float32[::1], float32[::1], float32[::1], float32, float32[::1])")
def _blocks(x, weight, g, eps, facts):
    scratch = cuda.shared.array(THREADS, dtype=x.dtype)
    m, t, N, step = cuda.blockIdx.x, cuda.threadIdx.x, weight.size, cuda.blockDim.x
    T = x.dtype.type
    total, rest, square, of_h, of_hz = T(0), T(0), T(0), T(0), T(0)
    for n in range(t, N, step):
        total += x[m * N + n]
    centre = block_sum(total, scratch) / T(N)
    for n in range(t, N, step):
        distance = x[m * N + n] - centre
        rest += distance
        square += distance * distance
    rest, scale = corrected(block_sum(rest, scratch), block_sum(square, scratch), N, eps)
    for n in range(t, N, step):
        h = g[m * N + n] * weight[n]
        of_h += h
        of_hz += h * ((x[m * N + n] - centre - rest) * scale)
    of_h, of_hz = block_sum(of_h, scratch), block_sum(of_hz, scratch)
    if t == 0:
        facts[FACTS * m], facts[FACTS * m + 1], facts[FACTS * m + 2] = centre, rest, scale
        facts[FACTS * m + 3], facts[FACTS * m + 4] = of_h / T(N), of_hz / T(N)


def _run_blocks(x, weight, gradient, eps, dx, dw, db):
    N = last(x)
    _three_launches(_blocks, x.size // N, row_threads(N), x, weight, gradient, eps, dx, dw, db)


@boundary(OPS["layer_norm_grad"])
def layer_norm_grad_blocks(x, weight, gradient, *, eps=1e-5, out=None):
    """:func:`layer_norm_grad` with a block for each row in the first launch, so that neighbours read neighbouring
    numbers in all three. Columns are still added up by one thread each, over all rows."""
    if x.size:
        _run_blocks(x, weight, gradient, eps, *out)
    else:
        clear(*out[1:])


@kernel("(float32[::1], int64, float32[::1])")
def _sum_columns(parts, count, out):
    n = cuda.grid(1)
    if n < out.size:
        total = parts.dtype.type(0)
        for p in range(count):
            total += parts[p * out.size + n]
        out[n] = total


def sum_columns(parts, count, out) -> None:
    """Add up the columns of a matrix of so many rows, given in one dimension; of no rows the sum is 0."""
    launch(_sum_columns, blocks(out.size, THREADS), THREADS, parts, count, out)


def clear(*arrays) -> None:
    """Fill with 0 what has no rows to be added up."""
    for array in arrays:
        if array.size:
            sum_columns(array, 0, array)


@kernel(
    "(float32[::1], float32[::1], float32[::1], float32, float32[::1], float32[::1], float32[::1])",
    tuned=True,
    expects=("LDG.E.128", "STG.E.128", "LDS.128", "SHFL"),
)
def _rows(x, weight, g, eps, dx, parts_w, parts_b):
    """Shared memory holds a row of x, or what becomes of it, one of g, and the shares of this block in dw and db."""
    rows = cuda.shared.array(0, dtype=float32)
    scratch = cuda.shared.array(THREADS, dtype=float32)
    N, t, step = weight.size, 4 * cuda.threadIdx.x, 4 * cuda.blockDim.x
    zero = float32(0)
    for n in range(2 * N + t, 3 * N, step):
        store4(rows, n, zero, zero, zero, zero)
        store4(rows, N + n, zero, zero, zero, zero)
    for start in range(cuda.blockIdx.x * N, x.size, cuda.gridDim.x * N):
        total, rest, square, of_h, of_hz = zero, zero, zero, zero, zero
        for n in range(t, N, step):
            a, b, c, d = load4(x, start + n)
            store4(rows, n, a, b, c, d)
            total += (a + b) + (c + d)
            a, b, c, d = load4(g, start + n)
            store4(rows, N + n, a, b, c, d)
        centre = block_sum(total, scratch) / float32(N)
        for n in range(t, N, step):
            a, b, c, d = load4(rows, n)
            a, b, c, d = a - centre, b - centre, c - centre, d - centre
            rest += (a + b) + (c + d)
            square += (a * a + b * b) + (c * c + d * d)
        rest, scale = corrected(block_sum(rest, scratch), block_sum(square, scratch), N, eps)
        for n in range(t, N, step):
            a, b, c, d = load4(rows, n)
            a, b = (a - centre - rest) * scale, (b - centre - rest) * scale
            c, d = (c - centre - rest) * scale, (d - centre - rest) * scale
            store4(rows, n, a, b, c, d)
            p, q, r, s = load4(rows, N + n)
            e, f, i, j = load4(rows, 2 * N + n)
            store4(rows, 2 * N + n, e + p * a, f + q * b, i + r * c, j + s * d)
            e, f, i, j = load4(rows, 3 * N + n)
            store4(rows, 3 * N + n, e + p, f + q, i + r, j + s)
            e, f, i, j = load4(weight, n)
            p, q, r, s = p * e, q * f, r * i, s * j
            store4(rows, N + n, p, q, r, s)
            of_h += (p + q) + (r + s)
            of_hz += (p * a + q * b) + (r * c + s * d)
        of_h = block_sum(of_h, scratch) / float32(N)
        of_hz = block_sum(of_hz, scratch) / float32(N)
        for n in range(t, N, step):
            a, b, c, d = load4(rows, n)
            p, q, r, s = load4(rows, N + n)
            a, b = scale * (p - of_h - a * of_hz), scale * (q - of_h - b * of_hz)
            c, d = scale * (r - of_h - c * of_hz), scale * (s - of_h - d * of_hz)
            store4(dx, start + n, a, b, c, d)
    for n in range(t, N, step):
        a, b, c, d = load4(rows, 2 * N + n)
        store4(parts_w, cuda.blockIdx.x * N + n, a, b, c, d)
        a, b, c, d = load4(rows, 3 * N + n)
        store4(parts_b, cuda.blockIdx.x * N + n, a, b, c, d)


@boundary(OPS["layer_norm_grad"])
def layer_norm_grad(x, weight, gradient, *, eps=1e-5, out=None):
    """The gradients with respect to x, weight and bias, from that with respect to the result of the layer norm: Ba,
    Kiros and Hinton, arXiv:1607.06450; the two means are what is left of the derivatives of mean and variance.

    A block goes from row to row, reads each once, 128 bits at a time, and keeps in shared memory its share in the
    gradients of weight and bias: 12 bytes move for each number of float32, and as few shares are added up in a second
    launch as there are blocks, two for each multiprocessor. A thread meets only its own columns, so no barrier is
    needed but those of the sums, and the bits are the same in each run on the same GPU. float64, rows of which shared
    memory does not hold four, those whose length is no multiple of four, and arrays that begin at no multiple of 16
    bytes are done by :func:`layer_norm_grad_blocks`. The error of a mean of N terms is about (N/512 + 20) · 2⁻²⁴ of
    the mean of their sizes; shares and their sum are added up one after the other.

    Args:
        x, gradient: shape (..., N), float32 or float64; NumPy arrays, device arrays, or torch tensors on the GPU.
        weight: shape (N,), of the same dtype and kind.
        eps: added to the variance.
        out: a tuple of arrays of the shapes of x, weight and weight, filled and returned where given; the first may be
            x or gradient.

    Returns:
        The three gradients, of the dtype and kind of x.

    Raises:
        RuntimeError: there is no GPU, and the simulator is off.
        TypeError: an argument is no array, or of another kind or dtype; ``eps`` is no number.
        ValueError: shapes do not fit, ``eps`` is below 0, a tensor is not on the GPU, or ``out`` cannot be written
            without harm.
    """
    dx, dw, db = out
    N = last(x)
    if not x.size:
        clear(dw, db)
    elif not can_keep_rows(N, x, weight, gradient, dx, arrays=4):
        _run_blocks(x, weight, gradient, eps, dx, dw, db)
    else:
        count = enough_blocks(x.size // N, 1, each=2)
        shares = [cuda.device_array(count * N, x.dtype) for _ in range(2)]
        arguments = (*flat(x), weight, *flat(gradient), x.dtype.type(eps), *flat(dx), *shares)
        launch(_rows, count, row_threads(N, 4), *arguments, shared=16 * N)
        sum_columns(shares[0], count, dw)
        sum_columns(shares[1], count, db)
