"""Computation graphs: traced from NumPy-like code, differentiated, made smaller and faster, run, and drawn.

from coursekit import graph

def layer(x, weight, bias):
    return graph.relu(graph.linear(x, weight, bias))

traced = graph.trace(layer, x, weight, bias)
traced(x, weight, bias)
"""

from coursekit.graph import functions
from coursekit.graph.draw import Drawing, draw
from coursekit.graph.forward import jvp
from coursekit.graph.functions import *  # noqa: F403
from coursekit.graph.gradient import gradient
from coursekit.graph.graph import Graph, Node
from coursekit.graph.operations import OPERATIONS, Spec
from coursekit.graph.passes import (
    PASSES,
    cheap,
    common_subexpressions,
    dead_code,
    fold_constants,
    fuse,
    optimise,
    recompute,
    simplify,
)
from coursekit.graph.plan import Plan, plan
from coursekit.graph.program import Program
from coursekit.graph.trace import Tensor, trace
from coursekit.graph.train import Trainer, cross_entropy, perceptron

__all__ = ["OPERATIONS", "PASSES", "Drawing", "Graph", "Node", "Plan", "Program", "Spec", "Tensor", "Trainer"]
__all__ += [
    "cheap",
    "common_subexpressions",
    "cross_entropy",
    "dead_code",
    "draw",
    "fold_constants",
    "fuse",
    "gradient",
    "jvp",
    "optimise",
]
__all__ += ["perceptron", "plan", "recompute", "simplify", "trace"]
__all__ += functions.__all__
