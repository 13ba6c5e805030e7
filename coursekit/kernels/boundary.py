"""The edge of a backend: check the arguments, carry them in, run the kernel, carry the result out.

A backend says what kinds of array it takes (:class:`Kind`), and decorates its functions with
:class:`Boundary`. A decorated function fills ``out`` and returns nothing; all the rest is done here, so
that a kernel's file holds the kernel.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import repeat

import numpy as np

from coursekit.kernels import checks
from coursekit.kernels.contract import Operation

MOST_PLANS = 10_000  # a caller with ever new shapes does not fill the memory


class Kind:
    """A kind of array that a backend takes, and gives back."""

    label = ""
    refuses = False
    """Whether ``memory`` itself raises for an array that cannot be used, so that nobody has to ask before."""

    @functools.cached_property
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

    def __call__(self, op: Operation):
        def decorate(kernel):
            run = _Version(op, kernel, self).run

            @functools.wraps(kernel)
            def call(*args, **kwargs):
                return run(args, kwargs)

            self._rungs.setdefault(op.name, {})[kernel.__name__] = call
            return call

        return decorate

    def rungs(self, name: str) -> dict[str, Callable]:
        """The versions of an operation by name, the textbook version first, the public one last."""
        return dict(self._rungs.get(name, {}))


class _Version:
    """One version of an operation, and the calls of it that were found right."""

    def __init__(self, op, kernel, boundary):
        self.op, self.kernel, self.boundary = op, kernel, boundary
        self.signature = inspect.signature(kernel)
        self.inputs = frozenset(a.name for a in op.inputs)
        self.plans: dict[tuple, Plan] = {}

    def run(self, args, kwargs):
        self.boundary.ready()
        given = kwargs.pop("out", None)
        plan = self._plan(args, kwargs, given)
        kind, arrays = plan.kind, args
        if plan.places is not None:
            values = (*args, *kwargs.values())
            arrays = [values[i] for i in plan.places]
        seen = self._memories(plan, plan.names, arrays)
        if given is None:
            outs = [kind.new(shape, dtype, arrays[0]) for shape, dtype in plan.results]
            rooms = list(map(kind.memory, outs))
        else:
            outs = given if isinstance(given, tuple) else (given,)
            rooms = self._memories(plan, plan.outputs, outs)
            self._check_rooms(plan, rooms, seen)
        targets = list(map(kind.target, outs, rooms))
        entered = list(map(kind.enter, arrays, seen))
        for i in plan.absent:
            entered.insert(i, None)
        if len(targets) == 1:
            self.kernel(*entered, **plan.options, out=targets[0])
            kind.leave(targets[0], outs[0], rooms[0])
            return outs[0]
        self.kernel(*entered, **plan.options, out=tuple(targets))
        for target, out, room in zip(targets, outs, rooms, strict=True):
            kind.leave(target, out, room)
        return tuple(outs) if given is None else given

    def _plan(self, args, kwargs, out) -> "Plan":
        """What follows from types, dtypes, shapes and options, checked once for each combination of them."""
        try:
            key = tuple(map(_look, args))
            if kwargs:
                key += tuple((n, (_look if n in self.inputs else _typed)(v)) for n, v in kwargs.items())
            if out is not None:
                key += ("out", *map(_look, out if isinstance(out, tuple) else (out,)))
            plan = self.plans.get(key)
        except (AttributeError, TypeError):  # no array, or an option without a hash: the check will say so
            return self._check(args, kwargs, out)
        if plan is None:
            plan = self._check(args, kwargs, out)
            if len(self.plans) == MOST_PLANS:
                self.plans.clear()
            self.plans[key] = plan
        return plan

    def _check(self, args, kwargs, out) -> "Plan":
        op = self.op
        try:
            arguments = self.signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise TypeError(f"{op.name}: {error}") from None
        arrays = {
            a.name: arguments.get(a.name)
            for a in op.inputs
            if not a.optional or arguments.get(a.name) is not None
        }
        options = op.settings(arguments)
        (first, like), *others = arrays.items()
        kind = checks.check_kind(op, first, like, self.boundary.kinds)
        for name, array in others:
            checks.check_kind(op, name, array, self.boundary.kinds)
            checks.check_same_kind(op, name, array, kind, first, like)
        dtype = checks.check_dtypes(op, arrays)
        shapes = {name: tuple(array.shape) for name, array in arrays.items()}
        checks.check_options(op, options, shapes)
        sizes = checks.check_shapes(op, shapes, options)
        if out is not None:
            for spec, array in zip(op.outputs, _each_of(op, out), strict=True):
                checks.check_same_kind(op, spec.name, array, kind, first, like)
                checks.check_out(op, spec, array, dtype, sizes)
        results = tuple((a.dims(sizes), dtype if a.dtype == "T" else a.dtype) for a in op.outputs)
        where = (*list(self.signature.parameters)[: len(args)], *kwargs)
        places = tuple(map(where.index, arrays))
        return Plan(
            kind=kind,
            options=options,
            results=results,
            names=tuple(arrays),
            places=None if places == tuple(range(len(args))) else places,
            absent=tuple(i for i, a in enumerate(op.inputs) if a.name not in arrays),
            outputs=tuple(a.name for a in op.outputs),
        )

    def _memories(self, plan, names, arrays) -> list[np.ndarray]:
        kind = plan.kind
        if kind.refuses:
            try:
                return list(map(kind.memory, arrays))
            except (RuntimeError, TypeError, ValueError):
                self._check_usable(kind, names, arrays)
                raise
        if kind.has_problems:
            self._check_usable(kind, names, arrays)
        return list(map(kind.memory, arrays))

    def _check_usable(self, kind, names, arrays) -> None:
        for name, array in zip(names, arrays, strict=True):
            checks.check_usable(self.op, name, array, kind)

    def _check_rooms(self, plan, rooms, seen) -> None:
        plain = len(rooms) == 1 and rooms[0].flags.carray
        if plain and not any(map(np.may_share_memory, seen, repeat(rooms[0]))):  # most calls
            return
        taken = dict(zip(plan.names, seen, strict=True))
        for name, room in zip(plan.outputs, rooms, strict=True):
            checks.check_memory(self.op, name, room, taken)
            taken[name] = room


@dataclass(frozen=True, slots=True)
class Plan:
    """A call that was found right: the kind of its arrays, all options, and what comes out.

    ``results`` holds the shape and dtype of each output, ``names`` the inputs that are given, ``places`` where they
    stand among the arguments (None where they are the positional ones), ``absent`` the numbers of the other inputs.
    """

    kind: Kind
    options: Mapping
    results: tuple[tuple[tuple[int, ...], str], ...]
    names: tuple[str, ...]
    places: tuple[int, ...] | None
    absent: tuple[int, ...]
    outputs: tuple[str, ...]


def _look(array) -> tuple | None:
    return array if array is None else (type(array), array.dtype, array.shape, getattr(array, "device", None))


def _typed(value) -> tuple:
    """True is 1 to a dictionary, and no axis."""
    return type(value), value


def _each_of(op, out) -> tuple:
    if len(op.outputs) == 1:
        return (out,)
    if not isinstance(out, tuple) or len(out) != len(op.outputs):
        names = ", ".join(a.name for a in op.outputs)
        raise TypeError(f"{op.name}: out must be a tuple ({names}); got {checks.type_name(out)}")
    return out
