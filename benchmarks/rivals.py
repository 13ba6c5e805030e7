"""Other ways to do an operation than the reference's, for the race.

Where a torch function has no ``out``, the reference copies its result; here it is left where it is. In a cache, where
memory is used again and again, that is the fairer race; beyond it a fresh result costs page faults instead of a copy.
"""

import torch
from torch.nn import functional

from coursekit.kernels import cpu, formats
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


@torch.compile
def _chain(x, scale, shift, gain, offset, limit=6.0):
    gelu = functional.gelu(x * scale + shift, approximate="tanh")
    return (gelu * gain + offset).clamp(-limit, limit)


def bfloat16_mm(a, b):
    """torch's own, which rounds its results to 16 bits."""
    return torch.mm(a.view(torch.bfloat16), b.view(torch.bfloat16))


# Name of the operation -> name of the rival -> a function without ``out``.
RIVALS = {
    "embedding": {"torch, no out": functional.embedding},
    "scale_shift_gelu_scale_shift_clip": {"torch.compile": _chain},
    "layer_norm": {"torch, no out": layer_norm},
    "add_layer_norm": {"torch, no out": add_layer_norm},
    "rms_norm": {"torch, no out": rms_norm},
    "histogram": {"torch.histc": lambda x, bins, low, high: torch.histc(x, bins, low, high)},
    "half_matmul": {"torch.mm of 16 bits": torch.mm},
    "bfloat16_matmul": {"torch.mm of 16 bits": bfloat16_mm},
    "int8_matmul": {"torch._int_mm": torch._int_mm},
}


def _has_onednn(x) -> bool:
    return x.dtype == torch.float32 and torch.backends.mkldnn.is_available()


def onednn_matmul(a, b):
    """oneDNN's product, with its second matrix turned beforehand, as a layer's weight would be."""
    weight = b.T.contiguous()
    if not _has_onednn(a):
        return None
    return lambda: torch.ops.mkldnn._linear_pointwise(a, weight, None, "none", [], "")


def channels_last(x, weight, bias=None, **options):
    """The layout that torch's convolution likes best on a CPU, made beforehand."""
    x, weight = (t.contiguous(memory_format=torch.channels_last) for t in (x, weight))
    return lambda: functional.conv2d(x, weight, bias, **options)


def linear_packed(x, panels, bias):
    weight = unpack_linear(panels, len(bias)).contiguous()
    return lambda: functional.linear(x, weight, bias)


def onednn_packed(x, panels, bias):
    """oneDNN with a weight in its own packed order."""
    if not _has_onednn(x):
        return None
    weight = unpack_linear(panels, len(bias)).contiguous()
    weight = torch.ops.mkldnn._reorder_linear_weight(weight, len(x))
    return lambda: torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


def in_floats(a, b):
    """As fast as torch multiplies float32 of the same shape."""
    a, b = a.float(), b.float()
    return lambda: torch.mm(a, b)


def bfloat16_in_floats(a, b):
    return in_floats(a.view(torch.bfloat16), b.view(torch.bfloat16))


def int8_packed(a, panels, columns):
    b = unpack_int8(panels, a.shape[1], columns).contiguous()
    return lambda: torch._int_mm(a, b)


def int8_packed_in_floats(a, panels, columns):
    return in_floats(a, unpack_int8(panels, a.shape[1], columns))


def int4_linear(x, packed, scales, bias):
    weight = unpack_int4(packed, scales, len(bias), x.shape[1]).contiguous()
    return lambda: functional.linear(x, weight, bias)


def _dense(matrix, x):
    matrix, out = torch.as_tensor(matrix), torch.empty(len(matrix), x.shape[1], dtype=x.dtype)
    return lambda: cpu.matmul(matrix, x, out=out)


def csr_by_dense(values, columns, starts, x):
    return _dense(formats.from_csr(*(t.numpy() for t in (values, columns, starts)), len(x)), x)


def blocks_by_dense(blocks, columns, starts, x):
    return _dense(formats.from_blocks(*(t.numpy() for t in (blocks, columns, starts)), len(x)), x)


def binary_by_floats(a, b, k):
    """A product of our float32 kernel of the same size."""
    a, b = torch.randn(len(a), k), torch.randn(k, len(b))
    return _dense(a, b)


# The same for rivals that get ready first, outside the race: functions that return the call to time, or None where the
# machine has no such rival. One named "torch" stands in for the reference, where that has to unpack at each call.
PREPARED = {
    "matmul": {"oneDNN": onednn_matmul},
    "conv2d": {"channels last": channels_last},
    "linear_packed": {"torch": linear_packed, "oneDNN, packed": onednn_packed},
    "half_matmul": {"torch in float32": in_floats},
    "bfloat16_matmul": {"torch in float32": bfloat16_in_floats},
    "int8_matmul": {"torch in float32": in_floats},
    "int8_matmul_packed": {"torch": int8_packed, "torch in float32": int8_packed_in_floats},
    "int4_linear": {"torch": int4_linear},
    "csr_matmul": {"our dense product": csr_by_dense},
    "block_sparse_matmul": {"our dense product": blocks_by_dense},
    "binary_matmul": {"our float32 product": binary_by_floats},
}
