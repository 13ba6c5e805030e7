"""Forward mode, for contrast: along with each value goes how it changes when the inputs move in one direction.

One sweep ahead gives the change of all outputs for one direction; reverse mode gives that of one output for all
directions. So a loss of a million weights is differentiated backward, and a curve in time forward.
Griewank and Walther, "Evaluating Derivatives", 2nd ed., 2008, section 3.1.
"""

from coursekit.graph import functions as f
from coursekit.graph.elementwise import ELEMENTWISE
from coursekit.graph.graph import Graph
from coursekit.graph.rewrite import copy
from coursekit.graph.rules import RULES
from coursekit.graph.trace import Tape, Tensor, apply

LINEAR = {
    *("reshape", "transpose", "broadcast_to", "sum", "slice", "place", "cast"),
    *("matmul", "batched_matmul", "linear", "conv2d", "avg_pool2d", "pack_linear", "embedding"),
}
"""Linear in each input while the others stay: the change of a product is dx · y + x · dy."""


def jvp(graph: Graph) -> Graph:
    """The graph of a directional derivative (Jacobian-vector product).

    Its inputs are those of the graph, and behind them a direction for each, of the same shape and dtype (of integers
    none). Its outputs are those of the graph, and behind them how they change.

    Raises:
        ValueError: an operation is neither elementwise nor linear.
    """
    tape = Tape()
    new = {node: tape.add(node) for node in graph.inputs}
    change = {n: tape.input(n.result, f"d{n.name}") for n in graph.inputs if n.dtype.startswith("float")}
    for node in graph.nodes:
        if node not in new:
            inputs = [new[read] for read in node.inputs]
            new[node] = copy(tape, node, inputs)
            moving = [change.get(read) for read in node.inputs]
            if any(d is not None for d in moving):
                change[node] = _change(node, new[node], inputs, moving)
    values = [new[node] for node in graph.outputs]
    changes = [change[node] if node in change else new[node] * 0 for node in graph.outputs]
    return Graph(tuple(tape.nodes), tuple(tensor.node for tensor in [*values, *changes]))


def _change(node, out: Tensor, inputs, moving) -> Tensor:
    parts = [_part(node, out, inputs, i, d) for i, d in enumerate(moving) if d is not None]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total if total.shape == out.shape else f.broadcast_to(total, out.shape)


def _part(node, out, inputs, i, d) -> Tensor:
    """The change that the i-th input's change d makes."""
    if node.operation in ELEMENTWISE:  # numbers do not mix: what takes slopes back takes changes ahead
        found = RULES[node.operation](d, out, *inputs)
        found = found[i] if isinstance(found, tuple) else found
        return found() if callable(found) else d * 0 if found is None else found
    if node.operation not in LINEAR:
        raise ValueError(f"jvp: {node.operation} is neither elementwise nor linear; use gradient")
    if i == 2:  # a bias, of linear or conv2d
        return d if node.operation == "linear" else f.reshape(d, (-1, 1, 1))
    changed = [d if j == i else x for j, x in enumerate(inputs[:2])]
    return apply(node.operation, *changed, **node.options)
