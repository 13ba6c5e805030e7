"""The GPU that kernels are launched on: its size, and the stream that work is queued on."""

import contextlib
import sys
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache

from numba import cuda

from coursekit.kernels.cuda.kernel import SIMULATED


@dataclass(frozen=True)
class Device:
    """What a launch has to know of a GPU.

    Attributes:
        name: as its maker calls it.
        multiprocessors: how many blocks can run at the same time, at least.
        threads: how many a block can have.
        shared: bytes of shared memory that a block can have without asking.
    """

    name: str
    multiprocessors: int
    threads: int
    shared: int


SIMULATOR = Device("Numba's simulator", 4, 1024, 48 * 1024)
"""Few multiprocessors, so that grids which are made to fit them stay small, and their loops go round."""


def current_device() -> Device:
    """The GPU of the current context, or the simulator."""
    return SIMULATOR if SIMULATED else _properties(cuda.get_current_device().id)


@cache
def _properties(number: int) -> Device:
    device = cuda.get_current_device()
    name = device.name.decode() if isinstance(device.name, bytes) else device.name
    return Device(
        name, device.MULTIPROCESSOR_COUNT, device.MAX_THREADS_PER_BLOCK, device.MAX_SHARED_MEMORY_PER_BLOCK
    )


_stream: ContextVar = ContextVar("stream", default=None)


@contextlib.contextmanager
def stream(queue):
    """Within ``with stream(queue):`` work goes to this Numba stream, in place of torch's current or the default one."""
    token = _stream.set(queue)
    try:
        yield queue
    finally:
        _stream.reset(token)


def current_stream():
    """Where work is queued: the stream asked for, torch's current one where torch uses the GPU, or the default."""
    if (asked := _stream.get()) is not None:
        return asked
    torch = sys.modules.get("torch")
    if not SIMULATED and torch is not None and torch.cuda.is_initialized():
        return cuda.external_stream(torch.cuda.current_stream().cuda_stream)
    return 0


def blocks(things: int, per_block: int) -> int:
    """How many blocks cover so many things."""
    return -(-things // per_block)


def enough_blocks(things: int, per_block: int, each: int = 8) -> int:
    """Blocks for a kernel whose threads go on until all is done: no more than ``each`` for each multiprocessor."""
    return max(1, min(blocks(things, per_block), each * current_device().multiprocessors))


def launch(kernel, grid, threads, *arguments, shared: int = 0) -> None:
    """Queue a kernel on the current stream.

    Args:
        kernel: as ``@kernel`` gives it.
        grid: blocks; an int, or a tuple of up to three.
        threads: in a block, alike.
        arguments: for the kernel.
        shared: bytes of shared memory whose size is known at the launch only.
    """
    kernel[grid, threads, current_stream(), shared](*arguments)
