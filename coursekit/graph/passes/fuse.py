"""Chains of elementwise operations become one kernel, which keeps what is between them in registers.

Each operation by itself reads its arguments from memory and writes its result there. Fused, a chain reads what comes
in and writes what goes out: that is what bounds such operations, as lesson 09 measures.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import prod

from coursekit.graph.elementwise import ELEMENTWISE
from coursekit.graph.fused import Body, lie
from coursekit.graph.graph import Graph, Node
from coursekit.graph.passes.dead_code import dead_code

LONGEST_SUM = 2**14
"""Longer rows are left to ``reduce``, which adds them up in parts."""


def fuse(graph: Graph) -> Graph:
    """Each group of elementwise nodes with one result becomes one node ``fused``, whose option ``body`` has its source.

    A group has one shape, and ends in one node, which may be a sum along the last axes. A node joins it where all who
    read its value belong to the group: then nobody misses it in memory. So nothing is computed twice, and no circle
    arises, since all that leaves the group leaves it from its last node. Arguments may be repeated over the rows or
    within them; constants of one number become part of the source.
    """
    last: dict[Node, list[Node]] = {}
    taken: set[Node] = set()
    for node in reversed(graph.nodes):
        if node not in taken and (shape := _shape(node)) is not None:
            group = _group(graph, node, shape, taken)
            if len(group) > 1:
                last[node] = group
                taken.update(group)
    new: dict[Node, Node] = {}
    for node in graph.nodes:
        if node in last:
            new[node] = _fused(last[node], new)
        elif node not in taken:
            new[node] = _with_inputs(node, tuple(new[read] for read in node.inputs))
    fused = Graph(tuple(new.values()), tuple(new[node] for node in graph.outputs), graph.single)
    return dead_code(fused)  # constants that became part of a source are read by nobody any more


def _shape(node: Node) -> tuple[int, ...] | None:
    """The shape that a group ending here would have, or None where there can be none."""
    if _joins(node, node.results[0].shape):
        return node.shape
    if node.operation == "sum" and node.inputs[0].result.size:
        shape, axes = node.inputs[0].shape, node.options["axes"]
        if axes and axes == tuple(range(len(shape) - len(axes), len(shape))) and len(axes) < len(shape):
            row = prod(shape[a] for a in axes)
            return shape if row <= LONGEST_SUM else None
    return None


def _joins(node: Node, shape) -> bool:
    """Whether a kernel can be made of it, for a group of this shape."""
    entry = ELEMENTWISE.get(node.operation)
    if entry is None or node.shape != shape:
        return False
    words = entry.vector if node.dtype == "float32" else entry.number
    return bool(words) and all(lie(read.shape, shape) for read in node.inputs)


def _group(graph, end: Node, shape, taken) -> list[Node]:
    """All that can be computed with the last one, in order. A sum of rows wants its arguments to lie in rows."""
    group = {end}
    for node in reversed(graph.nodes[: graph.nodes.index(end)]):
        users = graph.users[node]
        missed = not users or not group.issuperset(users) or node in graph.outputs
        if not missed and node not in taken and _joins(node, shape) and _fits(end, node, shape):
            group.add(node)
    return [node for node in graph.nodes if node in group]


def _fits(end, node, shape) -> bool:
    """Of a sum over several axes, a row is what is added up: arguments of the last axis alone do not lie in it."""
    if end.operation != "sum" or len(end.options["axes"]) == 1:
        return True
    return all(lie(read.shape, shape) in ("full", "scalar") for read in node.inputs)


def _fused(group: Sequence[Node], new) -> Node:
    end = group[-1]
    is_sum = end.operation == "sum"
    steps = group[:-1] if is_sum else group
    shape = steps[-1].shape
    reads = dict.fromkeys(read for node in steps for read in node.inputs if read not in group)
    arguments = [read for read in reads if not _is_number(read)]
    numbers = {node: i for i, node in enumerate([*arguments, *(r for r in reads if _is_number(r)), *steps])}
    body = Body(
        dtype=end.dtype,
        lies=tuple(lie(read.shape, shape) for read in arguments),
        constants=tuple(float(read.value.reshape(())) for read in reads if _is_number(read)),
        steps=tuple((node.operation, tuple(numbers[read] for read in node.inputs)) for node in steps),
        sums=len(end.options["axes"]) if is_sum else 0,
    )
    options = {"body": body, "shape": shape}
    return Node("fused", tuple(new[read] for read in arguments), end.results, options)


def _is_number(node) -> bool:
    return node.operation == "constant" and node.result.size == 1


def _with_inputs(node, inputs):
    return node if inputs == node.inputs else replace(node, inputs=inputs)
