"""How a kernel for the GPU is declared: what it is compiled for, and what its machine code is meant to have."""

from collections.abc import Callable
from dataclasses import dataclass

from numba import config, cuda

from coursekit.kernels.cuda.simulator import mend

SIMULATED = bool(config.ENABLE_CUDASIM)
"""Whether kernels run in Numba's simulator, which knows no warps: see :mod:`coursekit.kernels.cuda.warps`."""

if SIMULATED:
    mend()


@dataclass(frozen=True)
class Kernel:
    """A kernel as it was declared.

    Attributes:
        function: in Python.
        signatures: of the arguments, as Numba writes types, e.g. ``"(float32[:, ::1], float32[::1])"``.
        tuned: that no register may be spilled to memory.
        expects: starts of machine instructions that have to be in its code, e.g. ``LDG.E.128``.
        options: for ``cuda.jit``.
    """

    function: Callable
    signatures: tuple[str, ...]
    tuned: bool
    expects: tuple[str, ...]
    options: dict

    @property
    def name(self) -> str:
        """The file and the function, e.g. ``softmax._textbook``."""
        return f"{self.function.__module__.rpartition('.')[2]}.{self.function.__name__.strip('_')}"


KERNELS: list[Kernel] = []
"""All kernels, in the order in which their files are imported."""


def kernel(*signatures: str, tuned: bool = False, expects: tuple[str, ...] = (), **options):
    """The decorator ``@kernel("(float32[::1], float32[::1])")``: a kernel that is launched as Numba's are.

    Args:
        signatures: those that it is compiled for where there is no GPU; a launch may bring others.
        tuned: its registers have to suffice.
        expects: starts of machine instructions that it has to use.
        options: for ``cuda.jit``.
    """

    def decorate(function):
        KERNELS.append(Kernel(function, signatures, tuned, expects, options))
        return cuda.jit(**options)(function)

    return decorate


def threads(many: int) -> int:
    """Threads of a block: so many, or 64 in the simulator, where each is a thread of Python's."""
    return min(many, 64) if SIMULATED else many
