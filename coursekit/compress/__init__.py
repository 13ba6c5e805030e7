"""Models made smaller and faster: pruning, quantisation, distillation and low rank, on ordinary torch modules.

Each technique takes a model, leaves it as it was and returns another one, an ordinary module that is saved, loaded and
composed with the others in any order. ``report(model)`` says what was done, layer by layer.

================  ===================================================================================================
room              what it holds
================  ===================================================================================================
``pruning``       which weights go, by ``importance``, in ``patterns``; zeros that stay; ``sparse``: kernels for them
``removal``       channels and neurons taken out, with all that is tied to them
``quantisation``  fewer bits for a weight: ranges, grids, packed layers, and training with the rounding in place
``integers``      whole models that compute with integers alone, and batch norm folded on the way there
``distillation``  a small model taught by a large one: the losses, the training, where it begins
``factorisation`` a layer as a product of thinner ones; blocks that are thin from the start
================  ===================================================================================================

Beside them ``report``, the table of what was done; ``layers``, what all techniques share; ``files``, save and load.
"""

from .distillation.distill import Distillation, born_again, distill
from .distillation.initialise import Part, initialise_from
from .distillation.teaching import (
    attention_loss,
    attention_map,
    feature_loss,
    hinton_loss,
    soft_gradient,
    soft_loss,
    softened,
    task_loss,
)
from .factorisation.designs import bottleneck, separable
from .factorisation.low_rank import break_even, factorize
from .files import load, save, storable
from .integers.build import activation_names, record_activations, to_integer
from .integers.fold import fold_batch_norm
from .integers.layers import IntConv2d, IntLinear
from .integers.run import IntegerModel
from .integers.scale import multiplier_and_shift, scale_and_zero
from .layers import CompressedLayer
from .pruning import importance
from .pruning.proximal import ProximalSGD, soft_threshold
from .pruning.prune import cubic, prune, prune_gradually, rewind, sparsity_of
from .pruning.sparse import SparseLinear, to_sparse
from .pruning.zeros import free_zeros, keep_zeros
from .quantisation.calibrate import find_range
from .quantisation.qat import convert_qat, prepare_qat
from .quantisation.quantize import quantize
from .removal.shrink import mask_channels, remove_channels
from .report import LayerChange, Report, report, reports

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
    "importance",
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
