"""The operations that a node can stand for: those of the contract, and a few that arrays need besides.

Each knows the shape and dtype of its results, its cost, and the kernel that computes it. The contract's are taken from
:data:`coursekit.kernels.ops.OPS` and :mod:`coursekit.kernels.cpu` as they stand there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import prod
from types import MappingProxyType

import numpy as np

from coursekit.graph import arrays
from coursekit.graph.elementwise import ELEMENTWISE, broadcast_shapes
from coursekit.graph.spec import Spec
from coursekit.kernels import checks
from coursekit.kernels.contract import EMPTY, Cost
from coursekit.kernels.contract import Operation as Contract
from coursekit.kernels.ops import OPS

__all__ = ["OPERATIONS", "Operation", "Spec"]


@dataclass(frozen=True)
class Operation:
    """What a graph has to know of an operation.

    Attributes:
        name: under which it stands in :data:`OPERATIONS`.
        infer: ``infer(specs, options)`` gives the results' specs, or raises as the kernel would.
        cost: ``cost(specs, results, options)``.
        run: ``run(*arrays, out=..., **options)`` fills ``out``, an array or a tuple of them; it checks its arguments
            where the kernel does.
        bind: ``bind(arrays, out, options)`` gives a call without arguments that does the same, for contiguous arrays
            that are known to be right: nothing is checked any more.
        defaults: the options, and what they are where not given.
        inplace: the numbers of inputs that ``out`` may be itself.
        view: the result is the first input's memory, seen otherwise: ``run`` returns it, and takes no ``out``.
        elementwise: each number of the result depends on one number of each input.
    """

    name: str
    infer: Callable[[Sequence[Spec], Mapping], tuple[Spec, ...]]
    cost: Callable[[Sequence[Spec], Sequence[Spec], Mapping], Cost]
    run: Callable
    bind: Callable[[Sequence, object, Mapping], Callable]
    defaults: Mapping = field(default_factory=lambda: EMPTY)
    inplace: tuple[int, ...] = ()
    view: bool = False
    elementwise: bool = False

    def settings(self, options: Mapping) -> Mapping:
        """All options, those given and the defaults of the others. TypeError for one that there is not."""
        for name in options:
            if name not in self.defaults:
                wanted = ", ".join(self.defaults) or "none"
                raise TypeError(f"{self.name}: there is no option {name!r}; wanted {wanted}")
        return MappingProxyType({**self.defaults, **options})


SMALL = 1024
"""Numbers up to which a sum or a product of two arrays is left to NumPy."""


def moved(specs: Sequence[Spec], results: Sequence[Spec]) -> int:
    """Bytes, with each input read once and each result written once."""
    return sum(spec.nbytes for spec in (*specs, *results))


def _of_contract(op: Contract) -> Operation:
    fewest = sum(not a.optional for a in op.inputs)

    def sizes_of(specs, options):
        if not fewest <= len(specs) <= len(op.inputs):
            raise TypeError(f"{op}: wanted {fewest} to {len(op.inputs)} arrays; got {len(specs)}")
        given = {a.name: spec for a, spec in zip(op.inputs, specs, strict=False)}
        dtype = checks.check_dtypes(op, given)
        shapes = {name: spec.shape for name, spec in given.items()}
        checks.check_options(op, options, shapes)
        return checks.check_shapes(op, shapes, options), dtype

    def infer(specs, options):
        sizes, dtype = sizes_of(specs, options)
        return tuple(Spec(a.dims(sizes), dtype if a.dtype == "T" else a.dtype) for a in op.outputs)

    def cost(specs, results, options):
        sizes, dtype = sizes_of(specs, options)
        return op.cost(sizes, dtype, **options)

    def run(*given, **others):
        return _kernel(op.name)(*given, **others)

    def bind(arrays, out, options):
        return partial(_kernel(op.name).__wrapped__, *arrays, **options, out=out)

    names = [a.name for a in op.inputs]
    return Operation(
        op.name, infer, cost, run, bind, op.settings(), tuple(names.index(name) for name in op.inplace)
    )


def _kernel(name: str) -> Callable:
    from coursekit.kernels import cpu  # here, since Numba takes a second to load

    return getattr(cpu, name)


def _of_elements(name: str) -> Operation:
    entry = ELEMENTWISE[name]

    def infer(specs, options):
        if len(specs) != entry.arity:
            raise TypeError(f"{name}: wanted {entry.arity} arrays; got {len(specs)}")
        for spec in specs:
            if spec.dtype not in ("float32", "float64"):
                raise TypeError(f"{name}: arrays must be float32 or float64; got {spec}")
            if spec.dtype != specs[0].dtype:
                raise TypeError(f"{name}: arrays must be {specs[0].dtype} like the first; got {spec}")
        return (Spec(broadcast_shapes(name, [spec.shape for spec in specs]), specs[0].dtype),)

    def cost(specs, results, options):
        return Cost(entry.flops * prod(results[0].shape), moved(specs, results))

    def run(*given, out):
        return (_kernel(name) if alike(given, out) else entry.numpy)(*given, out=out)

    def bind(arrays, out, options):
        kernel = _kernel(name).__wrapped__ if alike(arrays, out) else entry.numpy
        return partial(kernel, *arrays, out=out)

    def alike(given, out):
        """Whether the contract's kernel does it: it repeats no argument, and takes 3 µs more than NumPy to start."""
        worth = out.size >= SMALL or entry.numpy not in (np.add, np.multiply)
        return name in OPS and worth and all(array.shape == out.shape for array in given)

    return Operation(name, infer, cost, run, bind, inplace=tuple(range(entry.arity)), elementwise=True)


def _of_arrays(entry: arrays.Rearrangement) -> Operation:
    def cost(specs, results, options):
        if entry.view:
            return Cost(0, 0)
        return Cost(entry.flops * specs[0].size, moved(specs, results))

    infer = partial(_checked, entry)
    bind = entry.bind or (lambda given, out, options: partial(entry.run, *given, out=out, **options))
    return Operation(entry.name, infer, cost, entry.run, bind, entry.defaults, view=entry.view)


def _checked(entry, specs, options):
    if len(specs) != entry.arity:
        raise TypeError(f"{entry.name}: wanted {entry.arity} arrays; got {len(specs)}")
    return (entry.infer(*specs, **options),)


def _fused_cost(specs, results, options):
    return Cost(options["body"].flops * prod(options["shape"]), moved(specs, results))


def _fused_run(*given, **others):
    from coursekit.graph import fused

    return fused.run(*given, **others)


def _fused_bind(given, out, options):
    from coursekit.graph import fused

    return fused.bind(given, out, **options)


def _never(specs, options):
    raise ValueError("fused: such nodes are made by coursekit.graph.fuse")


FUSED = Operation("fused", _never, _fused_cost, _fused_run, _fused_bind, inplace=tuple(range(64)))

OPERATIONS: dict[str, Operation] = {
    **{name: _of_contract(op) for name, op in OPS.items()},
    **{name: _of_elements(name) for name in ELEMENTWISE},
    **{entry.name: _of_arrays(entry) for entry in arrays.REARRANGEMENTS},
    "fused": FUSED,
}
"""By name. ``item``, which takes one of several results, is known to the graph itself."""
