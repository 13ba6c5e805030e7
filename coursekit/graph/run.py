"""Running a graph, node by node, by the kernels of :mod:`coursekit.kernels.cpu`."""

from collections.abc import Sequence

import numpy as np

from coursekit.graph.graph import Graph, Node
from coursekit.graph.operations import OPERATIONS


def interpret(graph: Graph, arrays: Sequence[np.ndarray]):
    """The values of the outputs: each node's arrays are made anew, and kept to the end.

    Raises:
        TypeError: an array is none, or of a dtype other than its input's.
        ValueError: there are too few or too many arrays, or one has another shape.
    """
    check(graph, arrays)
    values = dict(zip(graph.inputs, arrays, strict=True))
    for node in graph.nodes:
        if node.operation == "constant":
            values[node] = node.value
        elif node.computes:
            values[node] = compute(node, [values[read] for read in node.inputs])
    results = tuple(values[node] for node in graph.outputs)
    return results[0] if graph.single else results


def compute(node: Node, arrays: Sequence):
    """The value of one node, or a tuple of them."""
    if node.operation == "item":
        return arrays[0][node.options["index"]]
    operation = OPERATIONS[node.operation]
    if operation.view:
        return operation.run(*arrays, **node.options)
    outs = tuple(np.empty(spec.shape, spec.dtype) for spec in node.results)
    out = outs[0] if len(outs) == 1 else outs
    operation.run(*arrays, out=out, **node.options)
    return out


def check(graph: Graph, arrays: Sequence[np.ndarray]) -> None:
    """Raises where these arrays are not what the graph was traced for."""
    if len(arrays) != len(graph.inputs):
        names = ", ".join(node.name for node in graph.inputs)
        raise ValueError(f"graph: wanted {len(graph.inputs)} arrays ({names}); got {len(arrays)}")
    for node, array in zip(graph.inputs, arrays, strict=True):
        if not isinstance(array, np.ndarray | np.number):
            raise TypeError(f"graph: {node.name} must be a NumPy array; got {type(array).__name__}")
        if array.dtype.name != node.dtype:
            raise TypeError(f"graph: {node.name} must be {node.dtype}; got {array.dtype.name}")
        if array.shape != node.shape:
            raise ValueError(
                f"graph: {node.name} must have shape {node.shape}, for which it was traced; got {array.shape}"
            )
