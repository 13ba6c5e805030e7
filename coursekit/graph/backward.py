"""Reverse mode: from the slopes of what was computed last to those of what it was computed from.

The slope of a node is the gradient of the one number in question with respect to the node's value, and has its shape. A
rule says how the slope of an operation's result becomes those of its inputs; where a value is used twice, both count.
Griewank and Walther, "Evaluating Derivatives", 2nd ed., 2008, section 3.2.
"""

from collections.abc import Callable, Mapping, Sequence

from coursekit.graph import functions
from coursekit.graph.graph import Node
from coursekit.graph.trace import Tape, Tensor


def pull_back(
    tape: Tape, slopes: Mapping[Node, Tensor], wanted: Sequence[Node], rules: Mapping[str, Callable]
) -> list[Tensor | None]:
    """Write the way back onto the tape.

    Args:
        slopes: those of the results.
        wanted: the nodes whose slopes are wanted. The way ends there.

    Returns:
        The slopes of ``wanted``, or None where the results do not depend on it.
    """
    slopes, ahead = dict(slopes), list(tape.nodes)
    depends = dependent(ahead, wanted)
    for node in reversed(ahead):
        if node not in slopes or node not in depends or node in wanted:
            continue
        for read, slope in zip(node.inputs, _slopes(tape, node, slopes[node], depends, rules), strict=False):
            if slope is not None:
                _add(slopes, node, read, slope)
    return [slopes.get(node) for node in wanted]


def dependent(nodes: Sequence[Node], sources: Sequence[Node]) -> set[Node]:
    """Those whose value changes with that of a source, the sources among them."""
    found = set(sources)
    for node in nodes:
        if not found.isdisjoint(node.inputs):
            found.add(node)
    return found


def _add(slopes, node, read, slope):
    """Add to the slope of what a node read; of several results, to that of the one that the node takes."""
    if node.operation == "item":
        parts = slopes.setdefault(read, [None] * len(read.results))
        parts[node.options["index"]] = slope
    else:
        slopes[read] = slopes[read] + slope if read in slopes else slope


def _slopes(tape, node, slope, depends, rules) -> list[Tensor | None]:
    """Those of a node's inputs, as far as they depend on anything wanted."""
    if node.operation == "item":
        return [slope]
    if node.operation not in rules:
        from coursekit.graph.rules import NONE

        raise ValueError(
            f"gradient: {node.operation} has no rule: {NONE.get(node.operation, 'nobody wrote one')}"
        )
    inputs = [Tensor(tape, read) for read in node.inputs]
    found = rules[node.operation](slope, _result(tape, node), *inputs, **node.options)
    found = found if isinstance(found, tuple | list) else (found,)
    return [_made(s, read) if read in depends else None for s, read in zip(found, node.inputs, strict=False)]


def _result(tape, node):
    """The value of a node, or a tuple of them, which stand on the tape behind it."""
    if len(node.results) == 1:
        return Tensor(tape, node)
    return tuple(Tensor(tape, n) for n in tape.nodes if n.operation == "item" and n.inputs == (node,))


def _made(slope, read: Node) -> Tensor | None:
    """A slope that was put off until it is wanted is made; and what was broadcast is summed up again."""
    slope = slope() if callable(slope) else slope
    return slope if slope is None or slope.shape == read.shape else _summed(slope, read.shape)


def _summed(slope: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The sum over the dimensions along which an array of this shape was repeated."""
    extra = slope.ndim - len(shape)
    axes = [a for a in range(slope.ndim) if a < extra or (shape[a - extra] == 1 and slope.shape[a] != 1)]
    return functions.reshape(functions.sum(slope, tuple(axes)), shape)
