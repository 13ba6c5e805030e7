"""What a computation graph is: nodes that say what is computed of what, in an order in which it can be.

A node never changes, and knows only the nodes that it reads. So a graph is rewritten by making another one, and two
graphs may share nodes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from coursekit.graph.operations import OPERATIONS, Spec
from coursekit.kernels.contract import EMPTY, Cost
from coursekit.measure.text import binary, si, text_table


@dataclass(frozen=True, eq=False, repr=False)
class Node:
    """One operation, with the nodes that it reads.

    Attributes:
        operation: a name of :data:`OPERATIONS`, or ``"input"`` or ``"constant"``.
        inputs: the nodes it reads, in the order of the operation's arguments.
        results: shape and dtype of each result; all operations but a few have one.
        options: the operation's other arguments.
        value: of a constant, a read-only array.
        name: of an input, that of the traced function's parameter.
    """

    operation: str
    inputs: tuple["Node", ...]
    results: tuple[Spec, ...]
    options: Mapping = field(default_factory=lambda: EMPTY)
    value: np.ndarray | None = None
    name: str = ""

    @property
    def result(self) -> Spec:
        """The only result. ValueError where there are several."""
        if len(self.results) != 1:
            raise ValueError(f"{self.operation} has {len(self.results)} results; take one of them first")
        return self.results[0]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.result.shape

    @property
    def dtype(self) -> str:
        return self.result.dtype

    @property
    def computes(self) -> bool:
        """Whether there is anything to do: not for inputs and constants."""
        return self.operation not in ("input", "constant")

    @property
    def nbytes(self) -> int:
        """Bytes of all results."""
        return sum(spec.nbytes for spec in self.results)

    @cached_property
    def cost(self) -> Cost:
        """FLOPs, and bytes that have to move, as the contract counts them; a node read twice counts once."""
        if not self.computes or self.operation == "item":
            return Cost(0, 0)
        specs = [node.result for node in self.inputs]
        cost = OPERATIONS[self.operation].cost(specs, self.results, self.options)
        again = sum(spec.nbytes for spec in specs) - sum(node.nbytes for node in set(self.inputs))
        return Cost(cost.flops, max(cost.bytes - again, 0))

    def __repr__(self) -> str:
        shapes = ", ".join(str(spec) for spec in self.results)
        return f"{self.name or self.operation}: {shapes}"


def constant(value) -> Node:
    """A node for an array that is known."""
    value = np.array(value, order="C")
    value.flags.writeable = False
    return Node("constant", (), (Spec(value.shape, value.dtype.name),), value=value)


def make(operation: str, inputs: tuple[Node, ...], options: Mapping = EMPTY) -> Node:
    """A node for an operation, whose shapes and dtypes are checked.

    Raises:
        TypeError, ValueError: as the operation itself would, naming it, what was got and what was wanted.
    """
    if operation == "item":
        return Node("item", inputs, (inputs[0].results[options["index"]],), options)
    specs = [node.result for node in inputs]
    options = OPERATIONS[operation].settings(options)
    return Node(operation, inputs, OPERATIONS[operation].infer(specs, options), options)


@dataclass(frozen=True, eq=False, repr=False)
class Graph:
    """Nodes in an order in which they can be computed, and those whose values are wanted.

    ``graph(*arrays)`` computes them, one kernel after the other. ``single`` says that the traced function gave one
    value and no tuple.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[Node, ...]
    single: bool = False

    def __post_init__(self):
        known = set()
        for node in self.nodes:
            if not known.issuperset(node.inputs):
                raise ValueError(f"graph: {node!r} stands before what it reads")
            known.add(node)
        if not known.issuperset(self.outputs):
            raise ValueError("graph: an output is not among the nodes")

    @property
    def inputs(self) -> tuple[Node, ...]:
        """What has to be given, in this order."""
        return tuple(node for node in self.nodes if node.operation == "input")

    @cached_property
    def users(self) -> dict[Node, tuple[Node, ...]]:
        """For each node those that read it, in order; one that reads it twice is there twice."""
        found = {node: [] for node in self.nodes}
        for node in self.nodes:
            for read in node.inputs:
                found[read].append(node)
        return {node: tuple(readers) for node, readers in found.items()}

    @property
    def cost(self) -> Cost:
        """FLOPs and bytes of all nodes together."""
        costs = [node.cost for node in self.nodes]
        return Cost(sum(c.flops for c in costs), sum(c.bytes for c in costs))

    @property
    def kernels(self) -> int:
        """How many nodes call a kernel: those that are no input, no constant and no other view of memory."""
        return sum(node.computes and not is_view(node) for node in self.nodes)

    def __call__(self, *arrays):
        """The values of the outputs for these NumPy arrays, by the kernels of the CPU, one after the other.

        Called with tensors, in a function that is being traced, it writes its nodes into that trace.

        Raises:
            TypeError, ValueError: an array does not fit its input; the message says what was wanted.
        """
        from coursekit.graph.rewrite import inline
        from coursekit.graph.run import interpret
        from coursekit.graph.trace import Tensor

        if any(isinstance(array, Tensor) for array in arrays):
            return inline(self, arrays)
        return interpret(self, arrays)

    def __repr__(self) -> str:
        numbers = {node: str(i) for i, node in enumerate(self.nodes)}
        header = ["", "operation", "of", "result", "FLOP", "bytes"]
        rows = [
            [
                numbers[node], _label(node), " ".join(numbers[read] for read in node.inputs),
                ", ".join(map(str, node.results)), si(node.cost.flops), binary(node.cost.bytes),
            ]
            for node in self.nodes
        ]  # fmt: skip
        wanted = ", ".join(numbers[node] for node in self.outputs)
        return f"{text_table(header, rows)}\noutputs: {wanted}"

    def _repr_svg_(self) -> str:
        from coursekit.graph.draw import draw

        return draw(self).svg


def is_view(node: Node) -> bool:
    """Whether the result is memory of the first input, seen otherwise."""
    return node.operation == "item" or (node.computes and OPERATIONS[node.operation].view)


def _label(node: Node) -> str:
    options = ", ".join(f"{name}={value}" for name, value in node.options.items())
    return f"{node.name or node.operation}{f'({options})' if options else ''}"
