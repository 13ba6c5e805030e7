"""Sums and maxima over the threads of a block, by shuffles within warps.

A warp is 32 threads that run together, and one can read a register of another: a shuffle. So 32 numbers are one after
five steps, without memory and without waiting. The simulator has no warps. There a tree in shared memory does the same,
with a barrier after each step; that is the twin, which on the GPU is a rung of :func:`reduce` and nothing else.
"""

from numba import cuda

from coursekit.kernels.cuda.kernel import SIMULATED

WARP = 32
ALL = 0xFFFFFFFF
"""The mask of a shuffle in which every thread of the warp takes part."""


def block_reduction(combine, identity):
    """A device function ``reduce(value, scratch)``: all values of a block combined, for every thread.

    The block has one dimension, of a power of two and at least 32 threads; ``scratch`` is shared memory with a place
    for each. The order is the same in each run. It ends with a barrier, so ``scratch`` may be used again at once.
    """
    return by_tree(combine) if SIMULATED else _by_shuffles(combine, identity)


def by_tree(combine):
    """As :func:`block_reduction`, in shared memory: half as many threads add in each step, with a barrier after it."""

    @cuda.jit(device=True)
    def reduce(value, scratch):
        t, half = cuda.threadIdx.x, cuda.blockDim.x // 2
        scratch[t] = value
        cuda.syncthreads()
        while half > 0:
            if t < half:
                scratch[t] = combine(scratch[t], scratch[t + half])
            cuda.syncthreads()
            half //= 2
        value = scratch[0]
        cuda.syncthreads()
        return value

    return reduce


def _by_shuffles(combine, identity):
    @cuda.jit(device=True)
    def within_warp(value):
        offset = WARP // 2
        while offset > 0:
            value = combine(value, cuda.shfl_xor_sync(ALL, value, offset))
            offset //= 2
        return value

    @cuda.jit(device=True)
    def reduce(value, scratch):
        warp, lane = divmod(cuda.threadIdx.x, WARP)
        value = within_warp(value)
        if lane == 0:
            scratch[warp] = value
        cuda.syncthreads()
        value = within_warp(scratch[lane] if lane < cuda.blockDim.x // WARP else scratch.dtype.type(identity))
        cuda.syncthreads()
        return value

    return reduce


@cuda.jit(device=True)
def larger(a, b):
    """As ``max``, but nan wins, as in NumPy and torch."""
    return a if a > b or a != a else b


@cuda.jit(device=True)
def add(a, b):
    return a + b


block_sum = block_reduction(add, 0.0)
block_max = block_reduction(larger, float("-inf"))
