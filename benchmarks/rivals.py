"""Other ways to do an operation in torch than the reference's, for the race: name -> function without ``out``.

Where a torch function has no ``out``, the reference copies its result; here it is left where it is. In a cache, where
memory is used again and again, that is the fairer race; beyond it a fresh result costs page faults instead of a copy.
A rival named "torch" stands in for the reference, where that has first to unpack what torch packs in its own way.
"""

from functools import cache

import torch
from torch.nn import functional

from coursekit.kernels.reference.int4_linear import unpack_int4
from coursekit.kernels.reference.int8_matmul import unpack_int8
from coursekit.kernels.reference.linear import unpack_linear


def layer_norm(x, weight, bias, eps=1e-5):
    return functional.layer_norm(x, weight.shape, weight, bias, eps)


def add_layer_norm(x, residual, weight, bias, eps=1e-5):
    total = x + residual
    return total, functional.layer_norm(total, weight.shape, weight, bias, eps)


def rms_norm(x, weight, eps=1e-6):
    return functional.rms_norm(x, weight.shape, weight, eps)


@cache
def _unpacked(panels, N):
    return unpack_linear(panels, N).contiguous()


@cache
def _reordered(panels, M, N):
    return torch.ops.mkldnn._reorder_linear_weight(_unpacked(panels, N), M)


@cache
def _unpacked_int4(packed, scales, N, K):
    return unpack_int4(packed, scales, N, K).contiguous()


def int4_linear(x, packed, scales, bias):
    return functional.linear(x, _unpacked_int4(packed, scales, len(bias), x.shape[1]), bias)


def linear_packed(x, panels, bias):
    return functional.linear(x, _unpacked(panels, len(bias)), bias)


def linear_by_onednn(x, panels, bias):
    weight = _reordered(panels, len(x), len(bias))
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


@cache
def _floats(matrix):
    return matrix.float()


@cache
def _unpacked_int8(panels, K, N):
    return unpack_int8(panels, K, N).contiguous()


def int8_in_floats(a, b):
    """As fast as torch multiplies float32 of the same shape; what is converted is converted beforehand."""
    return torch.mm(_floats(a), _floats(b))


def int8_packed(a, panels, columns):
    return torch._int_mm(a, _unpacked_int8(panels, a.shape[1], columns))


def int8_packed_in_floats(a, panels, columns):
    return int8_in_floats(a, _unpacked_int8(panels, a.shape[1], columns))


@torch.compile
def _chain(x, scale, shift, gain, offset, limit=6.0):
    gelu = functional.gelu(x * scale + shift, approximate="tanh")
    return (gelu * gain + offset).clamp(-limit, limit)


def histogram(x, bins, low, high):
    return torch.histc(x, bins, low, high)


RIVALS = {
    "histogram": {"torch.histc": histogram},
    "embedding": {"torch, no out": functional.embedding},
    "scale_shift_gelu_scale_shift_clip": {"torch.compile": _chain},
    "int4_linear": {"torch": int4_linear},
    "int8_matmul": {"torch": torch._int_mm, "torch in float32": int8_in_floats},
    "int8_matmul_packed": {"torch": int8_packed, "torch in float32": int8_packed_in_floats},
    "linear_packed": {"torch": linear_packed, "oneDNN, packed": linear_by_onednn},
    "layer_norm": {"torch, no out": layer_norm},
    "add_layer_norm": {"torch, no out": add_layer_norm},
    "rms_norm": {"torch, no out": rms_norm},
}


def onednn_matmul(a, b):
    """oneDNN's product, with its second matrix turned beforehand, as a layer's weight would be."""
    weight = b.T.contiguous()
    if a.dtype != torch.float32 or not torch.backends.mkldnn.is_available():
        return None
    return lambda: torch.ops.mkldnn._linear_pointwise(a, weight, None, "none", [], "")


def channels_last(x, weight, bias=None, **options):
    """The layout that torch's convolution likes best on a CPU, made beforehand."""
    x, weight = (t.contiguous(memory_format=torch.channels_last) for t in (x, weight))
    return lambda: functional.conv2d(x, weight, bias, **options)


# Rivals that get ready first, outside the race: name -> function that returns the call to time, or None.
PREPARED = {
    "matmul": {"oneDNN": onednn_matmul},
    "conv2d": {"channels last": channels_last},
}
