"""The words in which :mod:`coursekit.kernels.ops` describes an operation."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from types import MappingProxyType

import numpy as np

EMPTY: Mapping = MappingProxyType({})


@dataclass(frozen=True)
class Array:
    """An argument or a result: its name, its shape in symbols, and its dtype.

    ``"..."`` in a shape stands for any number of dimensions. The dtype ``"T"`` is the operation's
    floating type, one of its ``dtypes``; any other is meant literally, e.g. ``"int8"``.
    """

    name: str
    shape: tuple[str, ...]
    dtype: str = "T"
    optional: bool = False

    def dims(self, sizes: Mapping) -> tuple[int, ...]:
        """The shape in numbers, e.g. (M, K) with M = 4, K = 5 is (4, 5)."""
        parts = (sizes[s] if s == "..." else (sizes[s],) for s in self.shape)
        return tuple(n for part in parts for n in part)

    def __str__(self) -> str:
        return f"({self.shape[0]},)" if len(self.shape) == 1 else f"({', '.join(self.shape)})"


@dataclass(frozen=True)
class Option:
    """A keyword argument that is no array: its default, and what it may be.

    ``wanted(value, shapes)`` says in words what the value should have been, or ``""`` where it is
    fine; ``shapes`` maps the names of the arrays to their shapes.
    """

    default: object
    wanted: Callable[[object, Mapping], str] = lambda value, shapes: ""


def one_of(*values) -> Option:
    """An option with a short list of values, the first being the default."""
    words = " or ".join(map(repr, values))
    return Option(values[0], lambda value, shapes: "" if value in values else words)


def axis_of(name: str, default: int = -1) -> Option:
    """An option that names a dimension of the array ``name``, counted from either end."""

    def wanted(axis, shapes):
        ndim = len(shapes[name])
        if -ndim <= axis < ndim:
            return ""
        span = f"from {-ndim} to {ndim - 1}" if ndim else "one of its dimensions, and it has none,"
        return f"{span} for {name} of shape {shapes[name]}"

    return Option(default, wanted)


@dataclass(frozen=True)
class Case:
    """Concrete sizes and options. ``use`` is ``benchmark``, ``test``, or ``tiny`` (CUDA simulator)."""

    name: str
    use: str
    sizes: Mapping
    options: Mapping = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Tolerance:
    """|got - wanted| <= atol + rtol·|wanted|, element by element."""

    rtol: float
    atol: float


@dataclass(frozen=True)
class Cost:
    """Arithmetic operations, and the bytes that any implementation has to move."""

    flops: int
    bytes: int

    @property
    def intensity(self) -> float:
        """FLOPs per byte, the horizontal axis of the roofline."""
        return self.flops / self.bytes if self.bytes else 0.0


def standard_normal(rng: np.random.Generator, op: "Operation", sizes: Mapping, dtype: str) -> tuple:
    """Inputs with independent normal entries; integer inputs span their whole range."""
    return tuple(_random(rng, a.dims(sizes), dtype if a.dtype == "T" else a.dtype) for a in op.inputs)


def _random(rng, shape, dtype):
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    return rng.standard_normal(shape).astype(dtype)


@dataclass(frozen=True)
class Operation:
    """Everything the course knows about one operation.

    Attributes:
        name: the function's name in every backend.
        formula: what it computes, in one line.
        inputs, outputs: the arrays, in order. A function with several outputs returns a tuple,
            and takes one as ``out``.
        reference: ``reference(*arrays, **options)`` in float64 NumPy, independent of the backends.
        count: ``count(sizes, options)`` gives the FLOPs; the convention stands in ``ops``.
        tolerance: for each dtype in which the operation runs.
        cases: sizes for benchmarks, for tests and for the CUDA simulator.
        options: keyword arguments that are no arrays.
        inplace: the inputs that may be ``out`` itself; all other overlap is refused.
        derive: ``derive(sizes, options)`` gives sizes that follow from others (a convolution's height).
        traffic: ``traffic(sizes, options, dtype)`` gives the bytes where not every element is moved once.
        sample: draws the inputs: ``sample(rng, op, sizes, dtype)``.
    """

    name: str
    formula: str
    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]
    reference: Callable
    count: Callable[[Mapping, Mapping], int]
    tolerance: Mapping[str, Tolerance]
    cases: tuple[Case, ...]
    options: Mapping[str, Option] = field(default_factory=dict)
    inplace: tuple[str, ...] = ()
    derive: Callable[[Mapping, Mapping], Mapping] = lambda sizes, options: {}
    traffic: Callable[[Mapping, Mapping, str], int] | None = None
    sample: Callable = standard_normal

    @property
    def dtypes(self) -> tuple[str, ...]:
        """What the dtype ``"T"`` may be."""
        return tuple(self.tolerance)

    @property
    def signature(self) -> inspect.Signature:
        """The Python signature that each backend's function has."""
        parameter = inspect.Parameter
        arrays = [
            parameter(
                a.name, parameter.POSITIONAL_OR_KEYWORD, default=None if a.optional else parameter.empty
            )
            for a in self.inputs
        ]
        options = [parameter(n, parameter.KEYWORD_ONLY, default=o.default) for n, o in self.options.items()]
        return inspect.Signature([*arrays, *options, parameter("out", parameter.KEYWORD_ONLY, default=None)])

    def __str__(self) -> str:
        inputs = ", ".join(f"{a.name}: {a}" for a in self.inputs)
        outputs = ", ".join(map(str, self.outputs))
        return f"{self.name}({inputs}) -> {outputs}"

    def settings(self, options: Mapping = EMPTY) -> dict:
        """All options, those given and the defaults of the others."""
        return {name: options.get(name, option.default) for name, option in self.options.items()}

    def sizes(self, sizes: Mapping, options: Mapping = EMPTY) -> dict:
        """The sizes given and those that follow from them."""
        return {**sizes, **self.derive(sizes, self.settings(options))}

    def cost(self, sizes: Mapping, dtype: str = "float32", **options) -> Cost:
        """FLOPs and bytes at these sizes: each input read once, each output written once."""
        sizes, options = self.sizes(sizes, options), self.settings(options)
        if self.traffic:
            return Cost(self.count(sizes, options), self.traffic(sizes, options, dtype))
        moved = sum(
            prod(a.dims(sizes)) * np.dtype(dtype if a.dtype == "T" else a.dtype).itemsize
            for a in (*self.inputs, *self.outputs)
        )
        return Cost(self.count(sizes, options), moved)

    def draw(self, rng: np.random.Generator, sizes: Mapping, dtype: str = "float32", **options) -> tuple:
        """Random inputs of these sizes."""
        return self.sample(rng, self, self.sizes(sizes, options), dtype)

    def cases_for(self, use: str) -> tuple[Case, ...]:
        """The cases meant for ``benchmark``, ``test`` or ``tiny``."""
        return tuple(case for case in self.cases if case.use == use)
