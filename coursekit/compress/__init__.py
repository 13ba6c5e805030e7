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

from .designs import bottleneck, separable
from .distill import Distillation, born_again, distill
from .files import load, save, storable
from .initialise import Part, initialise_from
from .layers import CompressedLayer
from .low_rank import break_even, factorize
from .report import LayerChange, Report, report, reports
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

storable(LayerChange, Report, Distillation)

__all__ = [
    "CompressedLayer",
    "Distillation",
    "LayerChange",
    "Part",
    "Report",
    "attention_loss",
    "attention_map",
    "born_again",
    "bottleneck",
    "break_even",
    "distill",
    "factorize",
    "feature_loss",
    "hinton_loss",
    "initialise_from",
    "load",
    "report",
    "reports",
    "save",
    "separable",
    "soft_gradient",
    "soft_loss",
    "softened",
    "storable",
    "task_loss",
]
