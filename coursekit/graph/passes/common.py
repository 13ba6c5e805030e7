"""The same operation of the same inputs is computed once."""

from dataclasses import replace

from coursekit.graph.graph import Graph, Node

COMMUTATIVE = ("add", "multiply", "equal")
"""Operations whose arguments may change places without changing a bit of the result."""


def common_subexpressions(graph: Graph) -> Graph:
    """Nodes that compute the same become one: local value numbering (Aho, Lam, Sethi and Ullman, "Compilers", 2nd ed.,
    section 8.5), for a program that is one block.

    In the order of the nodes, what a node reads has been made one already; so it is enough to compare the nodes read.
    """
    first: dict[tuple, Node] = {}
    new: dict[Node, Node] = {}
    for node in graph.nodes:
        inputs = tuple(new[read] for read in node.inputs)
        same = node if inputs == node.inputs else replace(node, inputs=inputs)
        new[node] = first.setdefault(_key(same), same)
    return Graph(tuple(first.values()), tuple(new[node] for node in graph.outputs), graph.single)


def _key(node: Node) -> tuple:
    """Equal for nodes that compute the same."""
    if node.operation == "input":
        return (node,)
    if node.operation == "constant":
        return "constant", node.results, node.value.tobytes()
    inputs = sorted(node.inputs, key=id) if node.operation in COMMUTATIVE else node.inputs
    return node.operation, tuple(inputs), repr(sorted(node.options.items()))
