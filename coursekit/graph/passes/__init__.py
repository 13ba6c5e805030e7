"""Passes: functions from a graph to a graph that computes the same, with less work or less memory."""

from coursekit.graph.graph import Graph
from coursekit.graph.passes.common import common_subexpressions
from coursekit.graph.passes.constants import fold_constants
from coursekit.graph.passes.dead_code import dead_code
from coursekit.graph.passes.fuse import fuse
from coursekit.graph.passes.recompute import cheap, recompute
from coursekit.graph.passes.simplify import simplify

PASSES = (simplify, fold_constants, common_subexpressions, dead_code)
"""Each may make work for the others, so they are repeated."""


def optimise(graph: Graph, exact: bool = True) -> Graph:
    """All passes: those of :data:`PASSES` until none finds anything more, and then :func:`fuse`.

    ``exact`` as in :func:`simplify`.
    """
    sizes = []
    while sizes[-2:-1] != sizes[-1:] or len(sizes) < 2:
        graph = dead_code(common_subexpressions(fold_constants(simplify(graph, exact))))
        sizes.append([node.operation for node in graph.nodes])
    return fuse(graph)


__all__ = [
    "PASSES",
    "cheap",
    "common_subexpressions",
    "dead_code",
    "fold_constants",
    "fuse",
    "optimise",
    "recompute",
    "simplify",
]
