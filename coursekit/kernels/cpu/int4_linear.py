"""A linear layer whose weight has four bits for each number: as defined, then unpacked by lines, then in registers.

For one row a linear layer is bound by reading its weight. With four bits for a number, and a scale for each 32 of them,
there is 6.4 times less to read than in float32; what was saved must not be lost in unpacking.
"""

import numpy as np

from coursekit.kernels.cpu import simd
from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.rows import GRAIN, load_part, store_part
from coursekit.kernels.cpu.simd import broadcast, fma, load, load_one
from coursekit.kernels.cpu.simd_integers import load_bytes, to_floats
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.ops import OPS
from coursekit.kernels.ops.integer import GROUP, LARGEST
from coursekit.kernels.ops.linear import PANEL


@compiled
def _pack(weight, packed, scales):
    N, K = weight.shape
    packed[:] = 8 + 16 * 8
    scales[:] = 0
    for n in range(N):
        for g in range(scales.shape[1]):
            group = weight[n, g * GROUP : min(g * GROUP + GROUP, K)]
            panel = packed[n // PANEL, g * GROUP // 2 : (g + 1) * GROUP // 2]
            scales[n // PANEL, g, n % PANEL] = _pack_group(group, panel[:, n % PANEL])


@compiled
def _pack_group(group, numbers):
    """Rounded quotients, two to a byte, and their scale. They are divided in float64: no other rounding is before."""
    top = np.float32(0)
    for k in range(group.size):
        top = max(top, abs(group[k]))
    scale = np.float32(np.float64(top) / LARGEST)
    if scale > 0:
        for k in range(group.size):
            number = np.int64(np.rint(np.float64(group[k]) / np.float64(scale))) + 8
            shift = 4 * (k % 2)
            numbers[k // 2] = numbers[k // 2] & (240 >> shift) | number << shift
    return scale


@boundary(OPS["pack_int4"])
def pack_int4(weight, *, out=None):
    """A weight in integers of four bits, with a scale for each 32 neighbours of a row, as :func:`int4_linear` reads it.

    The scale maps the largest number of a group to 7, and the others are rounded: an error of at most half a scale.
    This is done once, and kept: it has one version.

    Args:
        weight: shape (N, K), float32, finite; NumPy array or torch tensor on the CPU.
        out: a tuple of two arrays shaped as below, filled and returned where given.

    Returns:
        The integers + 8, uint8 (⌈N/16⌉, 16⌈K/32⌉, 16), the even k in the low bits; the scales, (⌈N/16⌉, ⌈K/32⌉, 16).

    Raises:
        TypeError: weight is no array, or of another dtype.
        ValueError: weight has not two dimensions, a tensor is not on the CPU, or ``out`` cannot be written
            without harm.
    """
    _pack(weight, *out)


@compiled
def _textbook(x, packed, scales, bias, out):
    for m in range(out.shape[0]):
        for n in range(out.shape[1]):
            total = bias[n]
            for k in range(x.shape[1]):
                byte = np.int32(packed[n // PANEL, k // 2, n % PANEL])
                number = byte >> 4 if k % 2 else byte & 15
                total += x[m, k] * np.float32(number - 8) * scales[n // PANEL, k // GROUP, n % PANEL]
            out[m, n] = total


@boundary(OPS["int4_linear"])
def int4_linear_textbook(x, packed, scales, bias, *, out=None):
    """:func:`int4_linear` as it is defined, each number unpacked and scaled by itself."""
    _textbook(x, packed, scales, bias, out)


@compiled
def _panels(x, packed, scales, bias, out):
    N, K = bias.size, x.shape[1]
    total, sums = np.empty(PANEL, x.dtype), np.empty(PANEL, x.dtype)
    for p in range(packed.shape[0]):
        count = min(PANEL, N - p * PANEL)
        for m in range(x.shape[0]):
            total[:count] = bias[p * PANEL : p * PANEL + count]
            for g in range(scales.shape[1]):
                sums[:] = 0
                for k in range(g * GROUP, min(g * GROUP + GROUP, K), 2):
                    _add_line(sums, packed[p, k // 2], x[m, k], x[m, k + 1] if k + 1 < K else x.dtype.type(0))
                for c in range(PANEL):
                    total[c] += sums[c] * scales[p, g, c]
            out[m, p * PANEL : p * PANEL + count] = total[:count]


@compiled
def _add_line(sums, line, even, odd):
    for c in range(PANEL):
        byte = np.int32(line[c])
        sums[c] += even * np.float32((byte & 15) - 8) + odd * np.float32((byte >> 4) - 8)


@boundary(OPS["int4_linear"])
def int4_linear_panels(x, packed, scales, bias, *, out=None):
    """:func:`int4_linear` with all 16 sums of a panel side by side, in plain Python.

    The panel is read in the order in which it lies, each byte once for both of its numbers, and a line of bytes is
    unpacked at once. The scale comes to the sum of a group's products, not to each of them.
    """
    _panels(x, packed, scales, bias, out)


@compiled(inline=True)
def _add_pair(sums, packed, i, even, odd):
    """Add a byte's two numbers, each times its x, to two vectors of columns: apart, they do not wait for each other."""
    both, middle = load_bytes(packed, i), broadcast(np.int32(8))
    low = to_floats((both & broadcast(np.int32(15))) - middle)
    high = to_floats((both >> broadcast(np.int32(4))) - middle)
    return fma(even, low, sums[0]), fma(odd, high, sums[1])


@compiled
def _columns(x, i, packed, j, scales, s, groups, out, at, count):
    """Add to two vectors of a panel's columns, or to its only one, group after group."""
    n = simd.LANES
    second = n % PANEL  # where a panel is one vector, the second one does the same again
    a, b = load_part(out, at, count), load_part(out, at + second, count - second)
    zero = broadcast(np.float32(0))
    for _ in range(groups):
        c = d = (zero, zero)
        for k in range(i, i + GROUP, 2):
            even, odd = load_one(x, k), load_one(x, k + 1)
            c = _add_pair(c, packed, j, even, odd)
            d = _add_pair(d, packed, j + second, even, odd)
            j += PANEL
        a = fma(c[0] + c[1], load(scales, s), a)
        b = fma(d[0] + d[1], load(scales, s + second), b)
        s += PANEL
        i += GROUP
    store_part(out, at, a, count)
    if second:
        store_part(out, at + second, b, count - second)


@compiled
def _multiply(x, packed, scales, bias, out, start, stop):
    """Panels ``start`` to ``stop``, all rows of x, which are filled up to whole groups."""
    M, N = out.shape
    K = x.shape[1]
    rows, numbers, factors, write = x.reshape(-1), packed.reshape(-1), scales.reshape(-1), out.reshape(-1)
    for p in range(start, stop):
        for m in range(M):
            for c in range(p * PANEL, min(p * PANEL + PANEL, N), min(2 * simd.LANES, PANEL)):
                out[m, c : c + 2 * simd.LANES] = bias[c : c + 2 * simd.LANES]
                j, s = p * PANEL * K // 2 + c % PANEL, p * PANEL * K // GROUP + c % PANEL
                _columns(rows, m * K, numbers, j, factors, s, K // GROUP, write, m * N + c, N - c)


@boundary(OPS["int4_linear"])
def int4_linear(x, packed, scales, bias, *, out=None):
    """x · weightᵀ + bias, the weight being what :func:`pack_int4` gave; meant for one row, or a few.

    A register's worth of columns is unpacked by a mask, a shift and a conversion, for two k at a time, and multiplied
    at once; the scale comes to the sum of its 32 products. Numbers of four bits in groups that share a scale: Dettmers
    and Zettlemoyer, "The case for 4-bit precision", arXiv:2212.09720. Unpacking is nine instructions for two vectors of
    numbers, and is what bounds it in a cache. Against the same weight in float32 the error is at most
    (K/32 + 18) · 2⁻²⁴ · (Σ|x·weight| + |bias|).

    Args:
        x: shape (M, K), float32; NumPy array or torch tensor on the CPU.
        packed: shape (⌈N/16⌉, 16⌈K/32⌉, 16), uint8, of the same kind.
        scales: shape (⌈N/16⌉, ⌈K/32⌉, 16), float32, of the same kind.
        bias: shape (N,), float32, of the same kind.
        out: shape (M, N), filled and returned where given; it must not share memory with the others.

    Returns:
        Shape (M, N), float32, of the inputs' kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, a tensor is not on the CPU, or ``out`` cannot be written without harm.
    """
    M, K = x.shape
    P, G, _ = scales.shape
    whole = x
    if K % GROUP:
        whole = np.zeros((M, G * GROUP), x.dtype)
        whole[:, :K] = x
    grain = GRAIN // max(x.size * PANEL, 1) + 1
    split(lambda i, j: _multiply(whole, packed, scales, bias, out, i, j), P, grain)
