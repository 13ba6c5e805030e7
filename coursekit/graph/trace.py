"""From a function to its graph: the function is run once, on stand-ins that write down what is done to them.

Nothing is computed. A tensor knows the shape and dtype that its array will have, so what would fail later fails here,
in the line that is wrong. What Python itself decides on the way, in loops and ifs, is decided once and for all: a graph
has none of them.
"""

import inspect
from collections.abc import Callable, Mapping

import numpy as np

from coursekit.graph.graph import Graph, Node, constant, make
from coursekit.graph.operations import OPERATIONS
from coursekit.graph.spec import Spec
from coursekit.kernels.contract import EMPTY

NUMBERS = (int, float, np.number)


class Tape:
    """The nodes of a graph while it is made, in the order in which they came."""

    def __init__(self):
        self.nodes: list[Node] = []

    def input(self, spec: Spec, name: str = "") -> "Tensor":
        return self.add(Node("input", (), (spec,), name=name))

    def constant(self, value) -> "Tensor":
        return self.add(constant(value))

    def add(self, node: Node) -> "Tensor":
        self.nodes.append(node)
        return Tensor(self, node)

    def apply(self, operation: str, tensors, options: Mapping = EMPTY):
        """The result of an operation, or a tuple of them."""
        node = make(operation, tuple(t.node for t in tensors), options)
        whole = self.add(node)
        return whole if len(node.results) == 1 else self.items(node)

    def items(self, node: Node) -> tuple["Tensor", ...]:
        """Each of several results."""
        return tuple(self.add(make("item", (node,), {"index": i})) for i in range(len(node.results)))

    def lift(self, value, dtype: str) -> "Tensor":
        """A tensor of this trace; arrays and numbers become constants, numbers of the dtype given."""
        if isinstance(value, Tensor):
            if value.tape is not self:
                raise ValueError(
                    f"{value!r} belongs to another trace; pass its array to the function instead"
                )
            return value
        if isinstance(value, NUMBERS) and not isinstance(value, bool | np.bool):
            return self.constant(np.asarray(value, dtype))
        if isinstance(value, np.ndarray):
            return self.constant(value)
        raise TypeError(f"wanted a tensor, a NumPy array or a number; got {type(value).__name__}")


class Tensor:
    """What a traced function gets in place of an array: shape and dtype, and the operators of arrays."""

    def __init__(self, tape: Tape, node: Node):
        self.tape, self.node = tape, node

    @property
    def shape(self) -> tuple[int, ...]:
        return self.node.shape

    @property
    def dtype(self) -> str:
        return self.node.dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return self.node.result.size

    def __repr__(self) -> str:
        return f"Tensor({self.node!r})"

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a tensor without dimensions has no length")
        return self.shape[0]

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __bool__(self):
        raise TypeError(
            f"the truth of {self!r} is not known while tracing: a graph has no if and no while that depend on values; "
            "write graph.where(graph.greater(x, y), a, b)"
        )

    def _has_no_value(self, *others):
        raise TypeError(
            f"{self!r} has no value while tracing, so it cannot become a number or an array; call the graph for that"
        )

    __float__ = __int__ = __index__ = __array__ = __complex__ = _has_no_value

    def _cannot_compare(self, other):
        raise TypeError(
            f"tensors cannot be compared while tracing; got {self!r}: write graph.greater(x, y) or graph.equal(x, y)"
        )

    __lt__ = __le__ = __gt__ = __ge__ = __eq__ = __ne__ = _cannot_compare
    __hash__ = object.__hash__

    def __array_ufunc__(self, ufunc, method, *arguments, **options):
        """NumPy's functions of tensors: np.exp(x), or an array + x."""
        if method != "__call__" or options or ufunc.__name__ not in OPERATIONS:
            if ufunc.__name__ == "matmul" and method == "__call__" and not options:
                return apply("matmul", *arguments)
            if np.bool in (np.dtype(t[-1]) for t in ufunc.types):
                self._cannot_compare(None)
            raise TypeError(
                f"a graph knows no np.{ufunc.__name__} of this kind; see coursekit.graph.OPERATIONS"
            )
        return _call(ufunc.__name__, *arguments)

    def sum(self, axis=None, keepdims=False):
        return _call("sum", self, axis=axis, keepdims=keepdims)

    def mean(self, axis=None, keepdims=False):
        return _call("mean", self, axis=axis, keepdims=keepdims)

    def max(self, axis=None, keepdims=False):
        return _call("max", self, axis=axis, keepdims=keepdims)

    def reshape(self, *shape):
        return _call("reshape", self, shape[0] if isinstance(shape[0], tuple | list) else shape)

    def transpose(self, *axes):
        return _call("transpose", self, axes or None)

    @property
    def T(self):
        return _call("transpose", self)

    def __getitem__(self, key):
        return _call("take", self, key)


def _call(name, *arguments, **options):
    from coursekit.graph import functions

    return getattr(functions, name)(*arguments, **options)


def _operator(name: str, turned: bool = False):
    def method(self, other):
        return _call(name, other, self) if turned else _call(name, self, other)

    return method


for _symbol, _name in {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "divide",
    "pow": "power",
    "matmul": "matmul",
}.items():
    setattr(Tensor, f"__{_symbol}__", _operator(_name))
    setattr(Tensor, f"__r{_symbol}__", _operator(_name, turned=True))
Tensor.__neg__ = lambda self: _call("negative", self)
Tensor.__abs__ = lambda self: _call("absolute", self)


def apply(operation: str, *arguments, **options):
    """An operation of tensors, arrays and numbers: a node in their trace, or, of arrays alone, its value."""
    given = [a for a in arguments if a is not None]
    tensors = [a for a in given if isinstance(a, Tensor)]
    if not tensors:
        return _compute(operation, given, options)
    tape, dtype = tensors[0].tape, _float_type(given)
    return tape.apply(operation, [tape.lift(a, dtype) for a in given], options)


def _float_type(values) -> str:
    """The first floating dtype, which numbers take."""
    names = [str(v.dtype) for v in values if hasattr(v, "dtype") and not isinstance(v, np.number)]
    return next((name for name in names if name.startswith("float")), "float64")


def _compute(operation: str, arrays, options):
    """The value, now: a graph of this one operation, of arrays as they are."""
    dtype = _float_type(arrays)
    arrays = [np.asarray(a, dtype if isinstance(a, NUMBERS) else None) for a in arrays]
    return trace(lambda *tensors: apply(operation, *tensors, **options), *arrays)(*arrays)


def trace(function: Callable, *arrays) -> Graph:
    """The graph of a function.

    Args:
        function: takes as many tensors as there are arrays, and gives a tensor, or a tuple or list of them. NumPy
            arrays and numbers that it meets on the way become constants.
        arrays: examples of what the graph will be called with. Only shapes and dtypes are looked at, so
            :class:`Spec` will do, too.

    Raises:
        TypeError: an operation was given something it cannot take, or Python wanted to know a value.
        ValueError: shapes do not fit.
    """
    tape, names = Tape(), _parameters(function, len(arrays))
    tensors = [tape.input(_spec(array), name) for array, name in zip(arrays, names, strict=True)]
    result = function(*tensors)
    several = isinstance(result, tuple | list)
    dtype = _float_type(arrays)
    outputs = tuple(tape.lift(r, dtype).node for r in (result if several else (result,)))
    return Graph(tuple(tape.nodes), outputs, single=not several)


def _spec(array) -> Spec:
    if isinstance(array, Spec):
        return array
    if not isinstance(array, np.ndarray | np.number):
        raise TypeError(f"trace: wanted NumPy arrays as examples; got {type(array).__name__}")
    return Spec(tuple(array.shape), array.dtype.name)


def _parameters(function, count: int) -> list[str]:
    """The names of its parameters, as far as they have any."""
    try:
        names = [
            p.name
            for p in inspect.signature(function).parameters.values()
            if p.kind <= p.POSITIONAL_OR_KEYWORD
        ]
    except (TypeError, ValueError):
        names = []
    return [*names[:count], *(f"x{i}" for i in range(len(names), count))]
