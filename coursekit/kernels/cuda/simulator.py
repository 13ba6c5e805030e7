"""What has to be mended in Numba's simulator: calls of device functions in other files, and shared arrays.

The simulator replaces the global ``cuda`` of a function's file by its own, while the function runs. For a device
function it does so at each call, in each of the block's threads: the first thread that returns puts the true module
back, and the others, still within the function, find no ``shared`` and no ``syncthreads`` there. Here the replacement
stays until the kernel has ended.

And each thread that asks for a shared array makes it where it is not there yet. Two threads that ask at
the same moment get an array each, and one of them writes where nobody reads. Here they ask one at a time.
"""

import contextlib
import sys
import threading

import numpy as np
from numba import cuda, types
from numba.np import numpy_support

_replaced: dict[int, tuple[dict, list[str]]] = {}


@contextlib.contextmanager
def _replaced_until_the_kernel_ends(function, stand_in):
    """In place of ``swapped_cuda_module``. The first to come is the kernel, and it goes last."""
    first = not _replaced
    names = [name for name, value in function.__globals__.items() if value is cuda]
    if names:
        _replaced.setdefault(id(function.__globals__), (function.__globals__, names))
        function.__globals__.update(dict.fromkeys(names, stand_in))
    try:
        yield
    finally:
        if first:
            for variables, known in _replaced.values():
                variables.update(dict.fromkeys(known, cuda))
            _replaced.clear()


_one_at_a_time = threading.Lock()


def _shared_array(self, shape, dtype):
    """In place of ``FakeCUDAShared.array``, with the same key, the file and line of the caller."""
    if shape == 0:
        return _as_it_was(self, shape, dtype)
    if isinstance(dtype, types.Type):
        dtype = numpy_support.as_dtype(dtype)
    caller = sys._getframe(1)
    place = caller.f_code.co_filename, caller.f_lineno
    with _one_at_a_time:
        if place not in self._allocations:
            self._allocations[place] = np.empty(shape, dtype)
        return self._allocations[place]


def mend() -> None:
    """Make calls of device functions and shared arrays safe among threads."""
    global _as_it_was
    from numba.cuda.simulator import kernel, kernelapi

    kernel.swapped_cuda_module = _replaced_until_the_kernel_ends
    _as_it_was = kernelapi.FakeCUDAShared.array
    kernelapi.FakeCUDAShared.array = _shared_array
