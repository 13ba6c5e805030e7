"""Models made smaller and faster: pruning, quantisation, distillation and low rank, on ordinary torch modules.

Each technique takes a model, leaves it as it was and returns another one, an ordinary module that is saved, loaded and
composed with the others in any order. ``report(model)`` says what was done, layer by layer.

=================  ==================================================================================================
module             what it holds
=================  ==================================================================================================
``report``         the table of what was done; ``layers``: what all techniques share; ``files``: save, load
``prune``          which weights go, by ``importance``, in ``patterns``; ``zeros`` stay zero; ``proximal``: L1
``shrink``         channels and neurons taken out; ``sparse``: kernels for zeros
``quantize``       integers in place of floats; ``calibrate``: which range; ``affine``: which grid; ``qat``: training
                   with it; ``int4``, ``int8_dynamic``, ``weight_only``, ``codebook``, ``binary``: the layers
``integer``        a whole model in integers: ``integer_layers`` and how they run; ``fold``: batch norm
``distill``        a small model taught by a large one; ``teaching``: the losses; ``initialise``: where it begins
``low_rank``       one layer as a product of smaller ones; ``factors``: how; ``designs``: blocks thin from the start
=================  ==================================================================================================
"""

from .calibrate import find_range
from .designs import bottleneck, separable
from .distill import Distillation, born_again, distill
from .files import load, save, storable
from .fold import fold_batch_norm
from .initialise import Part, initialise_from
from .integer import activation_names, record_activations, to_integer
from .integer_layers import IntConv2d, IntLinear
from .integer_run import IntegerModel
from .integer_scale import multiplier_and_shift, scale_and_zero
from .layers import CompressedLayer
from .low_rank import break_even, factorize
from .proximal import ProximalSGD, soft_threshold
from .prune import cubic, prune, prune_gradually, rewind, sparsity_of
from .qat import convert_qat, prepare_qat
from .quantize import quantize
from .report import LayerChange, Report, report, reports
from .shrink import mask_channels, remove_channels
from .sparse import SparseLinear, to_sparse
from .teaching import (
    attention_loss,
    attention_map,
    feature_loss,
    hinton_loss,
    soft_gradient,
    soft_loss,
    softened,
    task_loss,
)
from .zeros import free_zeros, keep_zeros

storable(LayerChange, Report, Distillation)

__all__ = [
    "CompressedLayer",
    "Distillation",
    "IntConv2d",
    "IntLinear",
    "IntegerModel",
    "LayerChange",
    "Part",
    "ProximalSGD",
    "Report",
    "SparseLinear",
    "activation_names",
    "attention_loss",
    "attention_map",
    "born_again",
    "bottleneck",
    "break_even",
    "convert_qat",
    "cubic",
    "distill",
    "factorize",
    "feature_loss",
    "find_range",
    "fold_batch_norm",
    "free_zeros",
    "hinton_loss",
    "initialise_from",
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
    "separable",
    "soft_gradient",
    "soft_loss",
    "soft_threshold",
    "softened",
    "sparsity_of",
    "storable",
    "task_loss",
    "to_integer",
    "to_sparse",
]
