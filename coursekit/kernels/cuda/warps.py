"""Sums and maxima over the threads of a block, by shuffles within warps.

A warp is 32 threads that run together, and one can read a register of another: a shuffle. So 32 numbers are one after
five steps, without memory and without waiting. The simulator has no warps. There twins in shared memory do the same,
with barriers: ``by_tree``, which on the GPU is a rung of :func:`reduce` and nothing else, and ``_by_places``.
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


def team_reduction(combine, size):
    """A device function ``reduce(value, scratch)``: the values of ``size`` neighbours combined, for each of them.

    ``size`` is a power of two up to 32, and the first of the neighbours is a multiple of it. All threads of the block
    take part. The GPU does it by shuffles alone; the simulator needs ``scratch``, with a place for each thread.
    """
    return _by_places(combine, size) if SIMULATED else _by_near_shuffles(combine, size)


def _by_places(combine, size):
    @cuda.jit(device=True)
    def reduce(value, scratch):
        t = cuda.threadIdx.x
        scratch[t] = value
        cuda.syncthreads()
        value = scratch[t - t % size]
        for i in range(1, size):
            value = combine(value, scratch[t - t % size + i])
        cuda.syncthreads()
        return value

    return reduce


def _by_near_shuffles(combine, size):
    @cuda.jit(device=True)
    def reduce(value, scratch):
        offset = size // 2
        while offset > 0:
            value = combine(value, cuda.shfl_xor_sync(ALL, value, offset))
            offset //= 2
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


def team_sum(size):
    """The sum over each ``size`` neighbouring threads: :func:`team_reduction`."""
    return team_reduction(add, size)


def team_max(size):
    """The maximum over each ``size`` neighbouring threads: :func:`team_reduction`."""
    return team_reduction(larger, size)
