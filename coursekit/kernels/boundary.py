"""The edge of a backend: check the arguments, carry them in, run the kernel, carry the result out.

A backend says what kinds of array it takes (:class:`Kind`), and decorates its functions with
:class:`Boundary`. A decorated function fills ``out`` and returns nothing; all the rest is done here, so
that a kernel's file holds the kernel.
"""

import functools
import inspect
from collections.abc import Callable

import numpy as np

from coursekit.kernels import checks
from coursekit.kernels.contract import Operation


class Kind:
    """A kind of array that a backend takes, and gives back."""

    label = ""

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

    def enter(self, array):
        """What the kernel reads: the same memory where it can, a copy otherwise."""
        raise NotImplementedError

    def target(self, out):
        """What the kernel fills: the memory of ``out`` where it can, a buffer otherwise."""
        raise NotImplementedError

    def leave(self, target, out) -> None:
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
            signature = inspect.signature(kernel)

            @functools.wraps(kernel)
            def call(*args, **kwargs):
                try:
                    bound = signature.bind(*args, **kwargs)
                except TypeError as error:
                    raise TypeError(f"{op.name}: {error}") from None
                return self._run(op, kernel, bound.arguments)

            self._rungs.setdefault(op.name, {})[kernel.__name__] = call
            return call

        return decorate

    def rungs(self, name: str) -> dict[str, Callable]:
        """The versions of an operation by name, the textbook version first, the public one last."""
        return dict(self._rungs.get(name, {}))

    def _run(self, op, kernel, arguments):
        self.ready()
        arrays = {a.name: arguments[a.name] for a in op.inputs if not _left_out(a, arguments)}
        kind, dtype, sizes, options = self._check(op, arrays, op.settings(arguments))
        outs = self._outs(op, kind, arrays, arguments.get("out"), dtype, sizes)
        targets = [kind.target(out) for out in outs]
        entered = (kind.enter(arrays[a.name]) if a.name in arrays else None for a in op.inputs)
        kernel(*entered, **options, out=targets[0] if len(targets) == 1 else tuple(targets))
        for target, out in zip(targets, outs, strict=True):
            kind.leave(target, out)
        return outs[0] if len(outs) == 1 else tuple(outs)

    def _check(self, op, arrays, options):
        (first, like), *others = arrays.items()
        kind = checks.check_kind(op, first, like, self.kinds)
        for name, array in others:
            checks.check_kind(op, name, array, self.kinds)
            checks.check_same_kind(op, name, array, kind, first, like)
        dtype = checks.check_dtypes(op, arrays)
        shapes = {name: tuple(array.shape) for name, array in arrays.items()}
        checks.check_options(op, options, shapes)
        return kind, dtype, checks.check_shapes(op, shapes, options), options

    def _outs(self, op, kind, arrays, out, dtype, sizes):
        first, like = next(iter(arrays.items()))
        if out is None:
            return [kind.new(a.dims(sizes), dtype if a.dtype == "T" else a.dtype, like) for a in op.outputs]
        outs = [out] if len(op.outputs) == 1 else _tuple_of(op, out)
        inputs = {name: kind.memory(array) for name, array in arrays.items()}
        for spec, array in zip(op.outputs, outs, strict=True):
            checks.check_same_kind(op, spec.name, array, kind, first, like)
            checks.check_out(op, spec, array, dtype, sizes)
            checks.check_memory(op, spec.name, kind.memory(array), inputs)
            inputs[spec.name] = kind.memory(array)
        return outs


def _left_out(array, arguments):
    return array.optional and arguments.get(array.name) is None


def _tuple_of(op, out):
    if not isinstance(out, tuple) or len(out) != len(op.outputs):
        names = ", ".join(a.name for a in op.outputs)
        raise TypeError(f"{op.name}: out must be a tuple ({names}); got {checks.type_name(out)}")
    return list(out)
