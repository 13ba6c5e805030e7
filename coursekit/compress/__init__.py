"""Models made smaller and faster: pruning, quantisation, distillation and low rank, on ordinary torch modules.

Each technique takes a model, leaves it as it was and returns another one, an ordinary module that is saved, loaded and
composed with the others in any order. ``report(model)`` says what was done, layer by layer.

=================  ==================================================================================
module             what it holds
=================  ==================================================================================
``report``         the table of what was done; ``layers``: what all techniques share; ``files``: save, load
``prune``          which weights go; ``shrink``: channels and neurons taken out; ``sparse``: kernels for zeros
``quantize``       integers in place of floats, and the integer layers that compute with them
``distill``        a small model taught by a large one
``low_rank``       one layer as a product of smaller ones; ``factors``: how; ``designs``: blocks thin from the start
=================  ==================================================================================
"""

from .designs import bottleneck, separable
from .files import load, save, storable
from .layers import CompressedLayer
from .low_rank import break_even, factorize
from .report import LayerChange, Report, report, reports

storable(LayerChange, Report)

__all__ = [
    "CompressedLayer",
    "LayerChange",
    "Report",
    "bottleneck",
    "break_even",
    "factorize",
    "load",
    "report",
    "reports",
    "save",
    "separable",
    "storable",
]
