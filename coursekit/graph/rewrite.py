"""A graph from a graph: the old one's nodes are gone through in order, and each is kept or replaced."""

from collections.abc import Callable
from dataclasses import replace

from coursekit.graph.graph import Graph, Node
from coursekit.graph.trace import Tape, Tensor

Rule = Callable[[Node, list[Tensor]], Tensor | None]
"""``rule(node, inputs)`` gives what stands for the node, made of what now stands for its inputs; None keeps it."""


def keep(node: Node, inputs: list[Tensor]) -> None:
    """The rule that changes nothing."""


def replay(graph: Graph, rule: Rule = keep) -> tuple[Tape, dict[Node, Tensor]]:
    """A tape on which the graph is written anew, and what stands there for each of its nodes."""
    tape, new = Tape(), {}
    for node in graph.nodes:
        inputs = [new[read] for read in node.inputs]
        made = rule(node, inputs) if inputs else None
        new[node] = copy(tape, node, inputs) if made is None else made
    return tape, new


def copy(tape: Tape, node: Node, inputs: list[Tensor]) -> Tensor:
    """The same operation of other inputs; where they are the same ones, the same node."""
    reads = tuple(tensor.node for tensor in inputs)
    return tape.add(node if reads == node.inputs else replace(node, inputs=reads))


def inline(graph: Graph, arguments):
    """The outputs as tensors of a trace in which the graph is called; it may be called with arrays and numbers, too."""
    tape = next(a.tape for a in arguments if isinstance(a, Tensor))
    new = {}
    for node, argument in zip(graph.inputs, arguments, strict=True):
        new[node] = tape.lift(argument, node.dtype)
        if new[node].node.result != node.result:
            raise ValueError(f"graph: {node.name} must be {node.result}; got {new[node].node.result}")
    for node in graph.nodes:
        if node not in new:
            new[node] = copy(tape, node, [new[read] for read in node.inputs])
    results = tuple(new[node] for node in graph.outputs)
    return results[0] if graph.single else results


def rewrite(graph: Graph, rule: Rule) -> Graph:
    """The graph in which each node is replaced by what the rule says."""
    tape, new = replay(graph, rule)
    return Graph(tuple(tape.nodes), tuple(new[node].node for node in graph.outputs), graph.single)
