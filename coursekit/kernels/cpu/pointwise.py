"""Convolutions of one tap that moves one pixel: the matrix product of the filters with the pixels as they lie."""

from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.matmul import multiply_tiles
from coursekit.kernels.cpu.simd import broadcast, load, load_first, store, store_first, width

GRAIN = 96
"""Planes of results that are worth a thread: each packs the pixels of their image anew."""


@compiled
def multiply_planes(filters, x, bias, first, stop, out):
    """The planes of results from ``first`` to ``stop``, counted over all images.

    ``filters`` are (groups, K/groups, C/groups), of any strides; x is (B·groups, C/groups, H·W), out (B·K, H·W).
    """
    groups, each, _ = filters.shape
    while first < stop:
        which = first // each
        last = min(stop, (which + 1) * each)
        k = first - which * each
        multiply_tiles(filters[which % groups, k : k + last - first], x[which], out[first:last])
        shift = which % groups * each + k
        _add_bias(out[first:last], bias[shift : shift + last - first])
        first = last


@compiled
def _add_bias(out, bias):
    n = width(out)
    K, count = out.shape
    flat = out.reshape(-1)
    for k in range(K):
        b, start = broadcast(bias[k]), k * count
        for i in range(start, start + count - n + 1, n):
            store(flat, i, load(flat, i) + b)
        rest = count % n
        last = start + count - rest
        store_first(flat, last, load_first(flat, last, rest, b) + b, rest)
