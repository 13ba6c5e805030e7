"""The operations of the course: one contract, and the same functions in every backend.

``from coursekit.kernels import cpu, cuda, reference, ops``: then ``cpu.matmul(a, b)``,
``cuda.matmul(a, b)`` and ``reference.matmul(a, b)`` take the same arguments and agree within the
tolerance that :mod:`coursekit.kernels.ops` gives. A backend is imported when first asked for, so
importing this package loads neither torch nor Numba.
"""

from importlib import import_module

_PARTS = (
    "bfloat16",
    "boundary",
    "checks",
    "contract",
    "cook_toom",
    "cpu",
    "cuda",
    "formats",
    "ops",
    "reference",
)

__all__ = list(_PARTS)


def __getattr__(name: str):
    if name in _PARTS:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(_PARTS)}")


def __dir__() -> list[str]:
    return sorted(__all__)
