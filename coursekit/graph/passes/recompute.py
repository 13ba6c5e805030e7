"""Memory for work: what the way back needs late is not kept, but computed again.

Chen, Xu, Zhang and Guestrin, "Training deep nets with sublinear memory cost", arXiv:1604.06174.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

from coursekit.graph.graph import Graph, Node, is_view
from coursekit.graph.operations import OPERATIONS
from coursekit.graph.plan import plan


def cheap(node: Node) -> bool:
    """Whether a node costs little to compute again for the memory that it takes: no product, no convolution."""
    return node.operation == "fused" or (
        node.operation in OPERATIONS and OPERATIONS[node.operation].elementwise
    )


def recompute(graph: Graph, chosen: Callable[[Node], bool] | None = None) -> Graph:
    """The graph in which the chosen nodes are computed twice: for their early readers, and again for the late ones.

    A node's readers are early up to the longest stretch in which nobody reads it: in a graph with its gradient that is
    the one from the way ahead to the way back. The second time comes right before the first late reader; where what it
    needs was chosen too, that is computed again as well. Run it last: :func:`common_subexpressions` would undo it.

    Args:
        chosen: which nodes not to keep. Of nodes with several results, inputs and constants none is. By default, of
            the :func:`cheap` ones those that lower the most bytes alive at a time: one does not where what it is made
            of has to be kept instead.
    """
    return _twice(graph, _that_help(graph).__contains__ if chosen is None else chosen)


def _that_help(graph: Graph) -> set[Node]:
    """Nodes that are worth it, the largest first; each is tried, and kept where it lowers the bound of the plan."""
    found: set[Node] = set()
    least = plan(graph).bound
    for node in sorted(filter(cheap, graph.nodes), key=lambda node: -node.nbytes):
        bound = plan(_twice(graph, {*found, node}.__contains__)).bound
        if bound < least:
            found, least = {*found, node}, bound
    return found


def _twice(graph: Graph, chosen: Callable[[Node], bool]) -> Graph:
    limits = _limits(graph, chosen)
    first: dict[Node, Node] = {}
    again: dict[Node, Node] = {}
    nodes: list[Node] = []

    def read(node: Node, place: int) -> Node:
        """What a reader at this place of the old graph gets."""
        if place <= limits.get(node, place):
            return first[node]
        if node not in again:
            again[node] = replace(node, inputs=tuple(read(other, place) for other in node.inputs))
            nodes.append(again[node])
        return again[node]

    for place, node in enumerate(graph.nodes):
        inputs = tuple(read(other, place) for other in node.inputs)
        first[node] = node if inputs == node.inputs else replace(node, inputs=inputs)
        nodes.append(first[node])
    return Graph(tuple(nodes), tuple(first[node] for node in graph.outputs), graph.single)


def _limits(graph, chosen) -> dict[Node, int]:
    """For each node that is computed twice the place of its last early reader. Views cost nothing, and go along."""
    places = {node: i for i, node in enumerate(graph.nodes)}
    found = {}
    for node, readers in graph.users.items():
        single = node.computes and len(node.results) == 1 and node.operation != "item"
        if single and node not in graph.outputs and (is_view(node) or chosen(node)):
            at = sorted({places[reader] for reader in readers})
            gaps = [(later - early, early) for early, later in pairwise(at)]
            if gaps and max(gaps)[0] > 1:
                found[node] = max(gaps)[1]
            elif is_view(node):
                found[node] = places[node]
    return found
