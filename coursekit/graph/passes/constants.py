"""What depends on no input is computed now."""

from dataclasses import replace

from coursekit.graph.graph import Graph, Node, constant
from coursekit.graph.run import compute


def fold_constants(graph: Graph) -> Graph:
    """Nodes of constants become constants, where that takes no more memory than what they are made of."""
    values, new, nodes = {}, {}, []

    def now(node: Node) -> Node:
        """What stands for a node in the new graph; a value that is needed becomes a constant."""
        if node not in new:
            new[node] = node if node.operation == "constant" else constant(values[node])
            nodes.append(new[node])
        return new[node]

    for node in graph.nodes:
        if node.operation == "constant":
            values[node] = node.value
        elif node.computes and _folds(node, values):
            values[node] = compute(node, [values[read] for read in node.inputs])
        else:
            inputs = tuple(map(now, node.inputs))
            new[node] = node if inputs == node.inputs else replace(node, inputs=inputs)
            nodes.append(new[node])
    outputs = tuple(map(now, graph.outputs))
    return Graph(tuple(nodes), outputs, graph.single)


def _folds(node, values) -> bool:
    known = all(read in values for read in node.inputs)
    return known and node.nbytes <= max(sum(read.nbytes for read in node.inputs), 8)
