"""The gradients of pooling: window by window, a row of windows at a time, and a vector of windows at a time."""

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.pooling import planes, reach
from coursekit.kernels.cpu.rows import load_part, rows_and_grain, store_part
from coursekit.kernels.cpu.simd import broadcast, evens, load, select, store, width
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.ops import OPS


@compiled
def _max_textbook(grad, x, kernel_size, stride, padding, out):
    out[:] = 0
    for c in range(grad.shape[0]):
        for p in range(grad.shape[1]):
            top, bottom = reach(p, kernel_size, stride, padding, x.shape[1])
            for q in range(grad.shape[2]):
                left, right = reach(q, kernel_size, stride, padding, x.shape[2])
                i, j = top, left
                for h in range(top, bottom):
                    for w in range(left, right):
                        if x[c, h, w] > x[c, i, j] or np.isnan(x[c, h, w]):
                            i, j = h, w
                out[c, i, j] += grad[c, p, q]


@boundary(OPS["max_pool2d_grad"])
def max_pool2d_grad_textbook(grad, x, *, kernel_size=2, stride=2, padding=0, out=None):
    """:func:`max_pool2d_grad` by its definition: look for the largest pixel of each window, and give to it.

    Where the largest stands cannot be foreseen, and a processor that guesses wrong starts again, ten to twenty cycles
    later.
    """
    _max_textbook(planes(grad), planes(x), kernel_size, stride, padding, planes(out))


@compiled
def _avg_textbook(grad, kernel_size, stride, padding, out):
    out[:] = 0
    for c in range(grad.shape[0]):
        for p in range(grad.shape[1]):
            top, bottom = reach(p, kernel_size, stride, padding, out.shape[1])
            for q in range(grad.shape[2]):
                left, right = reach(q, kernel_size, stride, padding, out.shape[2])
                share = grad[c, p, q] / grad.dtype.type(kernel_size * kernel_size)
                for h in range(top, bottom):
                    for w in range(left, right):
                        out[c, h, w] += share


@boundary(OPS["avg_pool2d_grad"])
def avg_pool2d_grad_textbook(grad, *, size=(), kernel_size=2, stride=2, padding=0, out=None):
    """:func:`avg_pool2d_grad` by its definition: each window gives to all of its pixels, which are read and written
    once for each window that they lie in."""
    _avg_textbook(planes(grad), kernel_size, stride, padding, planes(out))


@compiled
def _max_rows(grad, x, kernel_size, stride, padding, out):
    (C, P, Q), (_, H, W) = grad.shape, x.shape
    padded, seen = np.full(W + 2 * padding, -np.inf, x.dtype), np.empty(Q, x.dtype)
    best, where = np.empty(Q, x.dtype), np.empty(Q, np.int64)
    out[:] = 0
    for c in range(C):
        given = out[c].reshape(-1)
        for p in range(P):
            top, bottom = reach(p, kernel_size, stride, padding, H)
            best[:], where[:] = -np.inf, -1
            for h in range(top, bottom):
                padded[padding : padding + W] = x[c, h]
                for s in range(kernel_size):
                    for q in range(Q):
                        seen[q] = padded[q * stride + s]
                    _keep_better(seen, h * W + s, best, where)
            for q in range(Q):
                left = q * stride - padding
                at = left + where[q] if where[q] >= 0 else max(left, 0) + top * W
                given[at] += grad[c, p, q]


@compiled
def _keep_better(seen, tap, best, where):
    """Compare each window's pixel with its best so far; with ``|`` for ``or`` nothing here is a branch."""
    for q in range(seen.size):
        better = (seen[q] > best[q]) | (seen[q] != seen[q])
        best[q] = seen[q] if better else best[q]
        where[q] = tap if better else where[q]


@boundary(OPS["max_pool2d_grad"])
def max_pool2d_grad_rows(grad, x, *, kernel_size=2, stride=2, padding=0, out=None):
    """:func:`max_pool2d_grad` a row of windows at a time, in plain Python: the first pixel of all of them, then the
    second.

    What the windows see is laid side by side, and compared for many windows at once: which of two numbers is kept is a
    choice between values, so the processor has nothing to guess. Only the gift itself, one for each window, is made
    number by number, since neighbours may give to the same pixel.
    """
    _give(_max_rows, grad, x, kernel_size, stride, padding, out)


@compiled(inline=True)
def _take_rows(plane, start, padding, rows):
    """The window's rows between the padding, as far as they exist; -inf where not."""
    H, W = plane.shape
    for r in range(rows.shape[0]):
        row = rows[r, padding : padding + W]
        if 0 <= start + r < H:
            row[:] = plane[start + r]
        else:
            row[:] = -np.inf


@compiled
def _tops(rows, at, kernel_size, stride, W):
    """Where in each of a vector's windows the first of the largest stands: row · W + column, -1 if all are -inf."""
    n, wide = width(rows), rows.size // kernel_size
    best, where = broadcast(np.float32(-np.inf)), broadcast(np.int32(-1))
    for r in range(kernel_size):
        for s in range(kernel_size):
            i = r * wide + at * stride + s
            v = load(rows, i)
            if stride == 2:
                v = evens(v, load(rows, i + n))
            better = (v > best) | (v != v)
            best = select(better, v, best)
            where = select(better, broadcast(np.int32(r * W + s)), where)
    return where


@compiled
def _max_vectors(grad, x, kernel_size, stride, padding, out):
    """For strides of 1 and 2, a vector of windows at a time, without a branch; what is left is to give, one by one."""
    C, P, Q = grad.shape
    _, H, W = x.shape
    n = width(x)
    rows = np.full((kernel_size, W + 2 * padding + 3 * n + kernel_size), -np.inf, x.dtype)
    found = np.empty(Q + n, np.int32)
    out[:] = 0
    flat, write = rows.reshape(-1), out.reshape(-1)
    for c in range(C):
        for p in range(P):
            start = p * stride - padding
            _take_rows(x[c], start, padding, rows)
            for q in range(0, Q, n):
                store(found, q, _tops(flat, q, kernel_size, stride, W))
            corner = (c * H + start) * W - padding
            for q in range(Q):
                at = corner + q * stride + found[q]
                if found[q] < 0:
                    at = (c * H + max(start, 0)) * W + max(q * stride - padding, 0)
                write[at] += grad[c, p, q]


@boundary(OPS["max_pool2d_grad"])
def max_pool2d_grad(grad, x, *, kernel_size=2, stride=2, padding=0, out=None):
    """What a small change of each pixel does to a loss, given the gradient of the result of max_pool2d: Ranzato et al.,
    "Unsupervised learning of invariant feature hierarchies", CVPR 2007.

    The gradient of a window goes to its largest pixel; to the first where several are equal, and to the last nan where
    there is one, as in torch. Where the largest stands is found for a vector of windows at once, with ``select`` in the
    place of a branch. It is found anew from x, which costs less than keeping eight bytes for each window. Each pixel
    adds up the windows it has won, so the error is at most k² · 2⁻²⁴ · Σ|grad| in float32. Strides above 2, and
    float64, are done by :func:`max_pool2d_grad_rows`.

    Args:
        grad: shape (B, C, P, Q), the gradient of the result, float32 or float64; NumPy array or torch tensor on the
            CPU.
        x: shape (B, C, H, W), what max_pool2d was given, of the same dtype and kind.
        kernel_size, stride, padding: as max_pool2d was given them.
        out: shape (B, C, H, W), filled and returned where given; it must not share memory with the inputs.

    Returns:
        Shape (B, C, H, W), of the inputs' dtype and kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; an option is no int.
        ValueError: shapes do not fit, an option is out of range, a tensor is not on the CPU, or ``out`` cannot be
            written without harm.
    """
    kernel = _max_vectors if x.dtype == np.float32 and stride <= 2 else _max_rows
    _give(kernel, grad, x, kernel_size, stride, padding, out)


def _give(kernel, grad, x, kernel_size, stride, padding, out):
    grad, x, out = planes(grad), planes(x), planes(out)
    size, step, edge = int(kernel_size), int(stride), int(padding)
    split(lambda i, j: kernel(grad[i:j], x[i:j], size, step, edge, out[i:j]), *rows_and_grain(x))


@compiled
def _avg_rows(grad, kernel_size, stride, padding, out):
    (C, P, Q), (_, H, W) = grad.shape, out.shape
    scale = grad.dtype.type(1 / (kernel_size * kernel_size))
    shares = np.empty(max((Q - 1) * stride + kernel_size, W + 2 * padding), grad.dtype)
    inner = shares[padding : padding + W]
    out[:] = 0
    for c in range(C):
        for p in range(P):
            shares[:] = 0
            for s in range(kernel_size):
                for q in range(Q):
                    shares[q * stride + s] += grad[c, p, q] * scale
            top, bottom = reach(p, kernel_size, stride, padding, H)
            for h in range(top, bottom):
                pixels = out[c, h]
                for w in range(W):
                    pixels[w] += inner[w]


@boundary(OPS["avg_pool2d_grad"])
def avg_pool2d_grad_rows(grad, *, size=(), kernel_size=2, stride=2, padding=0, out=None):
    """:func:`avg_pool2d_grad` a row of windows at a time, in plain Python.

    What a row of windows gives is the same for all k rows of pixels under it. So it is made once, in k steps along the
    row, and added k times: 2k steps for a window in place of k², and of whole rows, many numbers at once. Nothing is
    divided; 1/k² is known before the loops.
    """
    _average(_avg_rows, grad, kernel_size, stride, padding, out)


@compiled
def _avg_vectors(grad, kernel_size, stride, padding, out):
    """Sums down the columns of ``grad``, moved apart by the stride, and then over k neighbours."""
    C, P, Q = grad.shape
    _, H, W = out.shape
    n, read, write = width(grad), grad.reshape(-1), out.reshape(-1)
    scale = broadcast(grad.dtype.type(1 / (kernel_size * kernel_size)))
    sums = np.zeros(Q + n, grad.dtype)
    apart = np.zeros(W + 2 * padding + 2 * kernel_size + n, grad.dtype)
    for c in range(C):
        before = -1
        for h in range(H):
            # The places p with p · stride ≤ h + padding < p · stride + k.
            first = max((h + padding - kernel_size + stride) // stride, 0)
            stop = min((h + padding) // stride + 1, P)
            at = (c * H + h) * W
            if first * (P + 1) + stop == before:
                out[c, h] = out[c, h - 1]
                continue
            before = first * (P + 1) + stop
            for q in range(0, Q, n):
                v = broadcast(grad.dtype.type(0))
                for p in range(first, stop):
                    v += load_part(read, (c * P + p) * Q + q, Q - q)
                store(sums, q, v * scale)
            for q in range(Q):
                apart[kernel_size - 1 + q * stride] = sums[q]
            for w in range(0, W, n):
                v = load(apart, w + padding)
                for i in range(w + padding + 1, w + padding + kernel_size):
                    v += load(apart, i)
                store_part(write, at + w, v, W - w)


@boundary(OPS["avg_pool2d_grad"])
def avg_pool2d_grad(grad, *, size=(), kernel_size=2, stride=2, padding=0, out=None):
    """What a small change of each pixel does to a loss, given the gradient of the result of avg_pool2d.

    A pixel asks which windows it lies in, so that it is written once: the sums go down the columns of ``grad`` and then
    along a row in which they lie as far apart as the windows do, on whole vectors. Rows of pixels that lie in the same
    windows are equal and are copied. The error is at most (2k + 1) · 2⁻²⁴ · Σ|grad| / k² in float32.

    Args:
        grad: shape (B, C, P, Q), the gradient of the result, float32 or float64; NumPy array or torch tensor on the
            CPU.
        size: (H, W) of the images; () for the smallest that fits.
        kernel_size, stride, padding: as avg_pool2d was given them.
        out: shape (B, C, H, W), filled and returned where given; it must not share memory with ``grad``.

    Returns:
        Shape (B, C, H, W), of the dtype and kind of ``grad``.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; an option is of another type.
        ValueError: ``size`` does not fit, an option is out of range, a tensor is not on the CPU, or ``out`` cannot be
            written without harm.
    """
    _average(_avg_vectors, grad, kernel_size, stride, padding, out)


def _average(kernel, grad, kernel_size, stride, padding, out):
    grad, out = planes(grad), planes(out)
    size, step, edge = int(kernel_size), int(stride), int(padding)
    split(lambda i, j: kernel(grad[i:j], size, step, edge, out[i:j]), *rows_and_grain(out))
