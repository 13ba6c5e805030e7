"""Models made smaller and faster: pruning, quantisation, distillation and low rank, on ordinary torch modules.

Each technique takes a model, leaves it as it was and returns another one, an ordinary module that is saved, loaded and
composed with the others in any order. ``report(model)`` says what was done, layer by layer.

=================  ==================================================================================
module             what it holds
=================  ==================================================================================
``report``         the table of what was done; ``layers``: what all techniques share; ``files``: save, load
``prune``          which weights go, by ``importance``, in ``patterns``; ``zeros`` stay zero; ``proximal``: L1
``shrink``         channels and neurons taken out; ``sparse``: kernels for zeros
``quantize``       integers in place of floats; ``calibrate``: which range; ``affine``: which grid; ``qat``: training
                   with it; ``int4``, ``int8_dynamic``, ``weight_only``, ``codebook``, ``binary``: the layers
``distill``        a small model taught by a large one
``low_rank``       one layer as a product of smaller ones
=================  ==================================================================================
"""

from .calibrate import find_range
from .files import load, save, storable
from .fold import fold_batch_norm
from .integer import activation_names, record_activations, to_integer
from .integer_layers import IntConv2d, IntLinear, multiplier_and_shift, scale_and_zero
from .integer_run import IntegerModel
from .layers import CompressedLayer
from .proximal import ProximalSGD, soft_threshold
from .prune import cubic, prune, prune_gradually, rewind, sparsity_of
from .qat import convert_qat, prepare_qat
from .quantize import quantize
from .report import LayerChange, Report, report, reports
from .shrink import mask_channels, remove_channels
from .sparse import SparseLinear, to_sparse
from .zeros import free_zeros, keep_zeros

storable(LayerChange, Report)

__all__ = [
    "CompressedLayer",
    "IntConv2d",
    "IntLinear",
    "IntegerModel",
    "LayerChange",
    "ProximalSGD",
    "Report",
    "SparseLinear",
    "activation_names",
    "convert_qat",
    "cubic",
    "find_range",
    "fold_batch_norm",
    "free_zeros",
    "keep_zeros",
    "load",
    "mask_channels",
    "multiplier_and_shift",
    "prepare_qat",
    "prune",
    "prune_gradually",
    "quantize",
    "record_activations",
    "remove_channels",
    "report",
    "reports",
    "rewind",
    "save",
    "scale_and_zero",
    "soft_threshold",
    "sparsity_of",
    "storable",
    "to_integer",
    "to_sparse",
]
