"""What one aten operation costs: FLOPs by rule, and the bytes that it cannot avoid to move.

Conventions: a multiply-add is 2. An elementwise operation is 1 for each element of its output, whether it is an
addition, exp, tanh, erf, GELU or a comparison. A reduction is 1 for each element of its input. For each element,
softmax is 5 (maximum, difference, exp, sum, quotient), batch norm 2 (with its constants folded), layer and
group norm 7 (sum, difference, squares 2, scale, weight and bias 2). Pooling is 1 for each element of each
window. Copying, padding and look-ups are 0. Products and convolutions are counted by torch.utils.flop_counter, and
their bias, which it leaves out, with 1 for each element of the output. Attention is its two products and the
softmax between them.
"""

from math import prod

import torch
from torch.utils.flop_counter import flop_registry, sdpa_flop_count


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


MOVES = _names(
    "clone copy_ copy _to_copy cat stack constant_pad_nd fill fill_ zero_ zeros ones full zeros_like ones_like "
    "full_like new_zeros new_ones new_full arange scalar_tensor tril triu repeat flip roll masked_fill "
    "masked_fill_ reflection_pad2d replication_pad2d upsample_nearest2d _local_scalar_dense scatter scatter_ "
    "index_put index_put_ slice_scatter im2col nll_loss_forward lift_fresh_copy pixel_shuffle "
    "channel_shuffle"
)
OVERWRITES = _names("copy_ fill_ zero_")
UNINITIALISED = _names("empty empty_like new_empty empty_strided new_empty_strided")
LOOKUPS = _names("embedding gather index index_select")
PER_INPUT_ELEMENT = (
    dict.fromkeys(_names("sum mean amax amin max min argmax argmin prod any all cumsum topk sort"), 1)
    | dict.fromkeys(_names("_adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_max_pool2d"), 1)
    | dict.fromkeys(_names("native_batch_norm _native_batch_norm_legit_no_training"), 2)
    | {
        "norm": 2,
        "linalg_vector_norm": 2,
        "dot": 2,
        "mv": 2,
        "var": 3,
        "std": 3,
        "var_mean": 3,
        "mse_loss": 3,
    }
    | {"_softmax": 5, "_log_softmax": 5, "native_layer_norm": 7, "native_group_norm": 7}
)
POOLS = {
    "avg_pool1d": 1, "avg_pool2d": 2, "avg_pool3d": 3,
    "max_pool1d_with_indices": 1, "max_pool2d_with_indices": 2, "max_pool3d_with_indices": 3,
}  # fmt: skip
BIAS_ARGUMENT = {"addmm": 0, "baddbmm": 0, "convolution": 2, "_convolution": 2}
ATTENTION = "_scaled_dot_product_flash_attention_for_cpu"
FOR_GRADIENTS = _names(
    "native_batch_norm _native_batch_norm_legit_no_training native_layer_norm native_group_norm "
    "max_pool1d_with_indices max_pool2d_with_indices max_pool3d_with_indices "
    "_scaled_dot_product_flash_attention_for_cpu"
)
"""Operations whose further outputs only a gradient needs: at inference the first is all that must be written."""


def flops(op, args: tuple, kwargs: dict, out) -> int | None:
    """FLOPs of one call of the aten overload `op`, or None where no rule is known.

    out: what it returned. Only shapes are looked at, so meta tensors do.
    """
    name = op._overloadpacket.__name__
    if op._overloadpacket in flop_registry:
        return int(flop_registry[op._overloadpacket](*args, **kwargs, out_val=out)) + _bias(name, args, out)
    if name == ATTENTION:
        query, key, value = (tensor.shape for tensor in args[:3])
        return sdpa_flop_count(query, key, value) + 5 * prod(query[:-1]) * key[-2]
    if op.is_view or name in MOVES | UNINITIALISED | LOOKUPS:
        return 0
    if name in PER_INPUT_ELEMENT:
        return PER_INPUT_ELEMENT[name] * args[0].numel()
    first = next(tensors_in(out), None)
    if name in POOLS:
        return _window(args[1], POOLS[name]) * first.numel()
    if torch.Tag.pointwise in op.tags:
        return first.numel()
    if first is None or _shares_memory(first, args):
        return 0
    return None


def _bias(name: str, args: tuple, out) -> int:
    place = BIAS_ARGUMENT.get(name)
    return out.numel() if place is not None and len(args) > place and args[place] is not None else 0


def _window(size, dimensions: int) -> int:
    size = list(size) if isinstance(size, (list, tuple)) else [size]
    return prod(size) if len(size) == dimensions else size[0] ** dimensions


def bytes_moved(op, args: tuple, kwargs: dict, out) -> int:
    """Compulsory traffic in bytes: every input read once, every output written once; views move nothing.

    A look-up reads what it returns, not its whole table; an expanded tensor counts what it stores.
    """
    name = op._overloadpacket.__name__
    out = out[0] if name in FOR_GRADIENTS else out
    written = {id(t): t for t in tensors_in(out)}
    if op.is_view or name in UNINITIALISED or not written:
        return 0
    if not op._schema.is_mutable and all(_shares_memory(t, args) for t in written.values()):
        return 0
    writes = sum(map(_stored, written.values()))
    if name in LOOKUPS:
        indices = list(tensors_in((args[1:], kwargs)))
        return writes + writes + sum(map(_stored, indices))
    arguments = (args[1:], kwargs) if name in OVERWRITES else (args, kwargs)
    return writes + sum(map(_stored, {id(t): t for t in tensors_in(arguments)}.values()))


def tensors_in(value):
    """Every tensor in nested lists, tuples and dictionaries."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors_in(item)
    elif isinstance(value, dict):
        yield from tensors_in(list(value.values()))


def _stored(tensor: torch.Tensor) -> int:
    shape = tensor.shape
    if tensor.layout == torch.strided:
        shape = [n for n, stride in zip(shape, tensor.stride(), strict=True) if stride or not n]
    return prod(shape) * tensor.element_size()


def _shares_memory(tensor: torch.Tensor, args) -> bool:
    storage = tensor.untyped_storage()._cdata
    return any(t.untyped_storage()._cdata == storage for t in tensors_in(args))
