"""A graph made ready to run again and again: memory is planned and taken once, and a run is a list of bound calls."""

from collections.abc import Mapping

import numpy as np

from coursekit.graph.graph import Graph, Node, is_view
from coursekit.graph.operations import OPERATIONS
from coursekit.graph.plan import ALIGNED, Plan, plan
from coursekit.graph.run import check


class Program:
    """``Program(graph)(*arrays)`` gives what ``graph(*arrays)`` gives, without taking memory and without checks.

    ``inputs`` and ``outputs`` are the arrays that a run reads and writes: who fills the inputs in place may call
    :meth:`run` and read the outputs, and nothing is copied. A program belongs to one thread at a time.

    Args:
        graph: what to run.
        given: arrays that stand for inputs and outputs, by their nodes: writable, contiguous, of the node's shape and
            dtype. None of them may share memory with another.
        reuse: use memory again, as the plan says; False gives each value its own.

    Raises:
        ValueError, TypeError: an array in ``given`` does not fit.
    """

    def __init__(self, graph: Graph, given: Mapping[Node, np.ndarray] | None = None, *, reuse: bool = True):
        self.graph = graph
        self._values: dict[Node, object] = {}
        given = dict(given or {})
        for node, array in given.items():
            _check_given(graph, node, array)
        outside = frozenset(node for node in given if node.computes)
        self.plan: Plan = plan(graph, reuse=reuse, outside=outside)
        self._memory = memory = _block(self.plan.peak)
        self._calls = []
        for node in graph.nodes:
            self._place(node, given, memory)
        self.inputs = tuple(self._values[node] for node in graph.inputs)
        self.outputs = tuple(self._values[node] for node in graph.outputs)

    def _place(self, node, given, memory):
        """Give a node its arrays, and bind its call."""
        if node.operation == "constant":
            self._values[node] = node.value
        elif node.operation == "input":
            self._values[node] = given[node] if node in given else np.empty(node.shape, node.dtype)
        elif node.operation == "item":
            self._values[node] = self._values[node.inputs[0]][node.options["index"]]
        elif is_view(node):
            self._values[node] = OPERATIONS[node.operation].run(self._values[node.inputs[0]], **node.options)
        else:
            outs = (given[node],) if node in given else self._arrays(node, memory)
            self._values[node] = out = outs[0] if len(outs) == 1 else outs
            arrays = [self._values[read] for read in node.inputs]
            self._calls.append(OPERATIONS[node.operation].bind(arrays, out, node.options))

    def _arrays(self, node, memory) -> tuple[np.ndarray, ...]:
        places = [self.plan.places[self.plan.rooms[node, i]] for i in range(len(node.results))]
        return tuple(
            memory[at : at + spec.nbytes].view(spec.dtype).reshape(spec.shape)
            for at, spec in zip(places, node.results, strict=True)
        )

    def run(self) -> None:
        """Compute the outputs of what the inputs hold now."""
        for call in self._calls:
            call()

    def __call__(self, *arrays):
        """The outputs for these arrays, as new arrays. Raises as the graph does."""
        check(self.graph, arrays)
        for mine, array in zip(self.inputs, arrays, strict=True):
            if mine is not array:
                np.copyto(mine, array)
        self.run()
        results = tuple(np.array(out) for out in self.outputs)
        return results[0] if self.graph.single else results

    @property
    def calls(self) -> int:
        """How many kernels a run calls."""
        return len(self._calls)

    def __repr__(self) -> str:
        return f"Program({self.calls} calls, {self.plan!r})"


def _block(nbytes: int) -> np.ndarray:
    """So many bytes, from the beginning of a cache line on."""
    whole = np.zeros(nbytes + ALIGNED, np.uint8)
    start = -whole.ctypes.data % ALIGNED
    return whole[start : start + nbytes]


def may_be_given(graph: Graph, node: Node) -> bool:
    """Whether the caller may say where this value lies: it is an input, or an output that is no view."""
    owns = node.computes and not is_view(node) and len(node.results) == 1
    return node in graph.inputs or (owns and node in graph.outputs)


def _check_given(graph, node, array):
    if not may_be_given(graph, node):
        raise ValueError(f"program: {node!r} is neither an input nor an output with memory of its own")
    if (array.shape, array.dtype.name) != (node.shape, node.dtype):
        raise ValueError(f"program: the array given for {node!r} is {array.dtype.name} {array.shape}")
    if not array.flags.carray:
        raise ValueError(f"program: the array given for {node!r} must be contiguous and writable")
