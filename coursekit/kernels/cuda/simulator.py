"""What has to be mended in Numba's simulator, so that kernels can call device functions of other files.

The simulator replaces the global ``cuda`` of a function's file by its own, while the function runs. For a device
function it does so at each call, in each of the block's threads: the first thread that returns puts the true module
back, and the others, still within the function, find no ``shared`` and no ``syncthreads`` there. Here the replacement
stays until the kernel has ended.
"""

import contextlib

from numba import cuda

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


def mend() -> None:
    """Make calls of device functions safe among threads."""
    from numba.cuda.simulator import kernel

    kernel.swapped_cuda_module = _replaced_until_the_kernel_ends
