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
``low_rank``       one layer as a product of smaller ones
=================  ==================================================================================
"""

from .files import load, save, storable
from .layers import CompressedLayer
from .report import LayerChange, Report, report, reports
from .shrink import mask_channels, remove_channels
from .sparse import FORMS, SparseLinear, to_sparse

storable(LayerChange, Report)

__all__ = [
    "FORMS",
    "CompressedLayer",
    "LayerChange",
    "Report",
    "SparseLinear",
    "load",
    "mask_channels",
    "remove_channels",
    "report",
    "reports",
    "save",
    "storable",
    "to_sparse",
]
