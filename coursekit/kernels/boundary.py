"""The edge of a backend: check the arguments, carry them in, run the kernel, carry the result out.

A backend says what kinds of array it takes (:class:`Kind`), and decorates its functions with
:class:`Boundary`. A decorated function fills ``out`` and returns nothing; all the rest is done here, so
that a kernel's file holds the kernel.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from coursekit.kernels import checks
from coursekit.kernels.contract import Operation

MOST_PLANS = 10_000  # a caller with ever new shapes does not fill the memory


class Kind:
    """A kind of array that a backend takes, and gives back."""

    label = ""

    @property
    def has_problems(self) -> bool:
        """Whether an array of this kind may be one that cannot be used."""
        return type(self).problem is not Kind.problem

    def owns(self, array) -> bool:
        """Whether ``array`` is of this kind."""
        raise NotImplementedError

    def problem(self, array) -> str:
        """Why the backend cannot use this one (a wrong device, say), or nothing."""
        return ""

    def memory(self, array) -> np.ndarray:
        """A NumPy array over the same addresses, to find overlaps; its elements are never read."""
        raise NotImplementedError

    def new(self, shape: tuple, dtype: str, like):
        """A fresh array for the caller, on the device of ``like``."""
        raise NotImplementedError

    def enter(self, array, memory: np.ndarray):
        """What the kernel reads: the same memory where it can, a copy otherwise."""
        raise NotImplementedError

    def target(self, out, memory: np.ndarray):
        """What the kernel fills: the memory of ``out`` where it can, a buffer otherwise."""
        raise NotImplementedError

    def leave(self, target, out, memory: np.ndarray) -> None:
        """Copy ``target`` to ``out`` where they are not the same memory."""
        raise NotImplementedError


class NumPyKind(Kind):
    """What every backend knows of NumPy arrays; how they enter and leave is its own affair."""

    label = "a NumPy array"

    def owns(self, array) -> bool:
        return type(array) in (np.ndarray, np.memmap)

    def memory(self, array) -> np.ndarray:
        return array

    def new(self, shape, dtype, like):
        return np.empty(shape, dtype)


class Boundary:
    """The decorator ``@boundary(OPS["matmul"])``, and the list of what it decorated.

    Args:
        kinds: the kinds of array the backend takes; all arrays of a call are of one kind.
        ready: called first; raises where the backend cannot run here.
    """

    def __init__(self, *kinds: Kind, ready: Callable[[], None] = lambda: None):
        self.kinds = kinds
        self.ready = ready
        self._rungs: dict[str, dict[str, Callable]] = {}
        self._plans: dict[tuple, Plan] = {}

    def __call__(self, op: Operation):
        def decorate(kernel):
            signature = inspect.signature(kernel)
            parameters = signature.parameters.values()
            names = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
            every = frozenset(p.name for p in parameters)
            wanted = frozenset(p.name for p in parameters if p.default is p.empty)

            @functools.wraps(kernel)
            def call(*args, **kwargs):
                arguments = dict(zip(names, args, strict=False)) | kwargs
                known = wanted <= arguments.keys() <= every
                if not known or len(arguments) != len(args) + len(kwargs):
                    _explain(op, signature, args, kwargs)
                return self._run(op, kernel, arguments)

            self._rungs.setdefault(op.name, {})[kernel.__name__] = call
            return call

        return decorate

    def rungs(self, name: str) -> dict[str, Callable]:
        """The versions of an operation by name, the textbook version first, the public one last."""
        return dict(self._rungs.get(name, {}))

    def _run(self, op, kernel, arguments):
        self.ready()
        arrays = {}
        for spec in op.inputs:
            array = arguments.get(spec.name)
            if array is not None or not spec.optional:
                arrays[spec.name] = array
        plan = self._plan(op, arrays, op.settings(arguments))
        kind, given = plan.kind, arguments.get("out")
        if kind.has_problems:
            for name, array in arrays.items():
                checks.check_usable(op, name, array, kind)
        seen = {name: kind.memory(array) for name, array in arrays.items()}
        outs, rooms = self._outs(op, plan, arrays, seen, given)
        targets = tuple(map(kind.target, outs, rooms))
        entered = [kind.enter(arrays[a.name], seen[a.name]) if a.name in arrays else None for a in op.inputs]
        kernel(*entered, **plan.options, out=targets[0] if len(targets) == 1 else targets)
        for target, out, room in zip(targets, outs, rooms, strict=True):
            kind.leave(target, out, room)
        if len(outs) == 1:
            return outs[0]
        return tuple(outs) if given is None else given

    def _plan(self, op, arrays, options) -> "Plan":
        """What follows from types, dtypes, shapes and options, checked once for each combination of them."""
        try:
            key = (op.name, *map(_look, arrays.values()), *arrays, *map(_typed, options.values()))
            plan = self._plans.get(key)
        except (
            AttributeError,
            TypeError,
        ):  # no array, or an option that is not hashable: the check will say so
            return self._check(op, arrays, options)
        if plan is None:
            plan = self._check(op, arrays, options)
            if len(self._plans) == MOST_PLANS:
                self._plans.clear()
            self._plans[key] = plan
        return plan

    def _check(self, op, arrays, options) -> "Plan":
        (first, like), *others = arrays.items()
        kind = checks.check_kind(op, first, like, self.kinds)
        for name, array in others:
            checks.check_kind(op, name, array, self.kinds)
            checks.check_same_kind(op, name, array, kind, first, like)
        dtype = checks.check_dtypes(op, arrays)
        shapes = {name: tuple(array.shape) for name, array in arrays.items()}
        checks.check_options(op, options, shapes)
        sizes = checks.check_shapes(op, shapes, options)
        results = tuple((a.dims(sizes), dtype if a.dtype == "T" else a.dtype) for a in op.outputs)
        return Plan(kind, dtype, sizes, options, results)

    def _outs(self, op, plan, arrays, seen, out):
        first, like = next(iter(arrays.items()))
        if out is None:
            outs = [plan.kind.new(shape, dtype, like) for shape, dtype in plan.results]
            return outs, list(map(plan.kind.memory, outs))
        outs = [out] if len(op.outputs) == 1 else _tuple_of(op, out)
        inputs = dict(seen)
        for spec, (shape, dtype), array in zip(op.outputs, plan.results, outs, strict=True):
            checks.check_same_kind(op, spec.name, array, plan.kind, first, like)
            if array.shape != shape or checks.dtype_name(array) != dtype:
                checks.check_out(op, spec, array, plan.dtype, plan.sizes)
            memory = plan.kind.memory(array)
            checks.check_memory(op, spec.name, memory, inputs)
            inputs[spec.name] = memory
        return outs, [inputs[spec.name] for spec in op.outputs]


@dataclass(frozen=True)
class Plan:
    """A call that was found right: the arrays' kind and floating type, all sizes and options, and what comes out.

    ``results`` holds the shape and dtype of each output.
    """

    kind: Kind
    dtype: str
    sizes: Mapping
    options: Mapping
    results: tuple[tuple[tuple[int, ...], str], ...]


def _look(array) -> tuple:
    return type(array), array.dtype, array.shape, getattr(array, "device", None)


def _typed(value) -> tuple:
    """True is 1 to a dictionary, and no axis."""
    return type(value), value


def _explain(op, signature, args, kwargs) -> None:
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{op.name}: {error}") from None


def _tuple_of(op, out):
    if not isinstance(out, tuple) or len(out) != len(op.outputs):
        names = ", ".join(a.name for a in op.outputs)
        raise TypeError(f"{op.name}: out must be a tuple ({names}); got {checks.type_name(out)}")
    return list(out)
