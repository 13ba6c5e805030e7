"""What nothing reads is not computed."""

from coursekit.graph.graph import Graph


def dead_code(graph: Graph) -> Graph:
    """Only the nodes that an output needs; inputs stay, since the caller gives them in their order."""
    needed = set(graph.outputs)
    for node in reversed(graph.nodes):
        if node in needed:
            needed.update(node.inputs)
    nodes = tuple(node for node in graph.nodes if node in needed or node.operation == "input")
    return Graph(nodes, graph.outputs, graph.single)
