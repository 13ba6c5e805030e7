"""The gradient of a graph is a graph: the way ahead as it is, and behind it the way back."""

from collections.abc import Sequence

from coursekit.graph.backward import pull_back
from coursekit.graph.graph import Graph, Node
from coursekit.graph.rewrite import replay
from coursekit.graph.rules import RULES

Which = int | str


def gradient(graph: Graph, wrt: Which | Sequence[Which] | None = None, *, with_value: bool = False) -> Graph:
    """The graph that computes how one number changes with the inputs.

    Args:
        graph: has one output, of shape ().
        wrt: the inputs in question, by their numbers or names; by default all of float32 and float64.
        with_value: put the value itself before the gradients, which costs nothing.

    Returns:
        A graph of the same inputs. Its outputs have the shapes of the inputs in question; a single one where ``wrt``
        names a single one.

    Raises:
        ValueError: there is no such input, an output has more than one number, or an operation on the way has no rule.
        TypeError: an input in question holds no floating-point numbers.
    """
    if len(graph.outputs) != 1 or graph.outputs[0].result.size != 1 or graph.outputs[0].shape:
        shapes = ", ".join(str(node.shape) for node in graph.outputs)
        raise ValueError(
            f"gradient: the graph must have one output of shape (), such as a mean; got {shapes}"
        )
    wanted = [find(graph, which) for which in _listed(graph, wrt)]
    tape, new = replay(graph)
    last = new[graph.outputs[0]]
    found = pull_back(tape, {last.node: tape.lift(1, last.dtype)}, wanted, RULES)
    slopes = [_zeros(tape, node) if s is None else s for s, node in zip(found, wanted, strict=True)]
    outputs = [*([last] if with_value else []), *slopes]
    single = isinstance(wrt, Which) and not with_value
    return Graph(tuple(tape.nodes), tuple(tensor.node for tensor in outputs), single)


def find(graph: Graph, which: Which) -> Node:
    """An input by its number or name."""
    for number, node in enumerate(graph.inputs):
        if which in (number, node.name) and not isinstance(which, bool):
            if not node.dtype.startswith("float"):
                raise TypeError(f"gradient: {node.name} must hold floating-point numbers; got {node.dtype}")
            return node
    names = ", ".join(node.name for node in graph.inputs)
    raise ValueError(
        f"gradient: there is no input {which!r}; wanted a number below {len(graph.inputs)}, or of {names}"
    )


def _listed(graph, wrt):
    if wrt is None:
        return [i for i, node in enumerate(graph.inputs) if node.dtype in ("float32", "float64")]
    return [wrt] if isinstance(wrt, Which) else list(wrt)


def _zeros(tape, node):
    return tape.apply("broadcast_to", [tape.lift(0, node.dtype)], {"shape": node.shape})
