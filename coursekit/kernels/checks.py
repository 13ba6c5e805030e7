"""Argument checks, driven by the contract and shared by all backends.

Each error names the operation, the argument, what was wanted and what was got. A wrong type or dtype is
a TypeError; a wrong shape, value, device or memory a ValueError.
"""

from collections.abc import Mapping
from functools import cache
from numbers import Integral, Real

import numpy as np

from coursekit.kernels.contract import Array, Operation, Option


def check_kind(op: Operation, name: str, array, kinds):
    """The one of ``kinds`` that ``array`` is; TypeError where it is none, ValueError on a wrong device."""
    for kind in kinds:
        if kind.owns(array):
            check_usable(op, name, array, kind)
            return kind
    wanted = " or ".join(kind.label for kind in kinds)
    raise TypeError(f"{op.name}: {name} must be {wanted}; got {type_name(array)}")


def check_usable(op: Operation, name: str, array, kind) -> None:
    """ValueError where an array of the right kind cannot be used as it is: a wrong device, say."""
    if problem := kind.problem(array):
        raise ValueError(f"{op.name}: {name} {problem}")


def check_same_kind(op: Operation, name: str, array, kind, first: str, like) -> None:
    """All arrays of a call are of one kind and on one device."""
    if not kind.owns(array):
        raise TypeError(f"{op.name}: {name} must be {kind.label} like {first}; got {type_name(array)}")
    if getattr(array, "device", "cpu") == getattr(like, "device", "cpu"):
        return
    if (got := device(array)) != (wanted := device(like)):
        raise ValueError(f"{op.name}: {name} must be on {wanted} like {first}; got {got}")


def type_name(value) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def device(array) -> str:
    return str(getattr(array, "device", "cpu"))


def dtype_name(array) -> str:
    """``float32`` for NumPy's, torch's and Numba's; the other byte order shows, e.g. ``>f4``."""
    return _dtype_name(array.dtype)


@cache
def _dtype_name(dtype) -> str:
    if isinstance(dtype, np.dtype):
        return dtype.name if dtype.isnative else dtype.str
    return str(dtype).removeprefix("torch.")


def check_dtypes(op: Operation, arrays: Mapping[str, object]) -> str:
    """The floating type that the arrays share."""
    first = ""
    for spec in (s for s in op.inputs if s.name in arrays):
        got = dtype_name(arrays[spec.name])
        if spec.dtype != "T":
            _want_dtype(op, spec.name, got, (spec.dtype,))
        elif not first:
            _want_dtype(op, spec.name, got, op.dtypes)
            first = spec.name
        else:
            _want_dtype(op, spec.name, got, (dtype_name(arrays[first]),), f" like {first}")
    return dtype_name(arrays[first]) if first else op.dtypes[0]


def _want_dtype(op, name, got, wanted, like=""):
    if got not in wanted:
        hint = " (call .view(torch.uint16) on it)" if got == "bfloat16" and "uint16" in wanted else ""
        raise TypeError(f"{op.name}: {name} must be {' or '.join(wanted)}{like}; got {got}{hint}")


def check_shapes(op: Operation, shapes: Mapping[str, tuple], options: Mapping) -> dict:
    """The size of each symbol, e.g. {"M": 4, "K": 5, "N": 3}."""
    sizes, origin = {}, {}
    for spec in (s for s in op.inputs if s.name in shapes):
        for symbol, size in _match(op, spec, shapes[spec.name]):
            if sizes.setdefault(symbol, size) != size:
                raise _mismatch(op, spec, shapes, sizes, origin)
            origin.setdefault(symbol, spec.name)
    derived = op.sizes(sizes, options)
    for spec in (s for s in op.inputs if s.name in shapes):
        if spec.dims(derived) != shapes[spec.name]:
            raise _wrong_shape(op, spec, spec.dims(derived), shapes[spec.name])
    return derived


def _match(op, spec: Array, shape):
    """Pairs of symbol and size; "..." takes what the other symbols leave."""
    fixed = len(spec.shape) - ("..." in spec.shape)
    if len(shape) < fixed or (len(shape) > fixed and "..." not in spec.shape):
        least = "at least " if "..." in spec.shape else ""
        plural = "" if fixed == 1 else "s"
        raise ValueError(
            f"{op.name}: {spec.name} must have {least}{fixed} dimension{plural} {spec}; got shape {shape}"
        )
    if "..." not in spec.shape:
        return list(zip(spec.shape, shape, strict=True))
    start = spec.shape.index("...")
    stop = start + len(shape) - fixed
    return [
        *zip(spec.shape[:start], shape[:start], strict=True),
        ("...", tuple(shape[start:stop])),
        *zip(spec.shape[start + 1 :], shape[stop:], strict=True),
    ]


def _mismatch(op, spec, shapes, sizes, origin):
    got = shapes[spec.name]
    wrong = [s for s, size in _match(op, spec, got) if sizes.get(s, size) != size]
    reasons = [
        f"{s} = {sizes[s]} to match {origin.get(s, spec.name)} {shapes[origin.get(s, spec.name)]}"
        for s in wrong
    ]
    return ValueError(
        f"{op.name}: {spec.name} must have shape {spec} with {' and '.join(reasons)}; got {got}"
    )


def _wrong_shape(op, spec, wanted, got):
    return ValueError(f"{op.name}: {spec.name} must have shape {spec} = {wanted}; got {got}")


def check_options(op: Operation, options: Mapping, shapes: Mapping[str, tuple]) -> None:
    for name, option in op.options.items():
        value = options[name]
        if not _same_type(value, option):
            wanted = type(option.default).__name__
            raise TypeError(f"{op.name}: {name} must be of type {wanted}; got {value!r}")
        if wanted := option.wanted(value, shapes):
            raise ValueError(f"{op.name}: {name} must be {wanted}; got {value!r}")


def _same_type(value, option: Option) -> bool:
    if isinstance(option.default, bool) or isinstance(value, bool | np.bool):
        return isinstance(option.default, bool) and isinstance(value, bool | np.bool)
    wanted = {int: Integral, float: Real}.get(type(option.default), type(option.default))
    return isinstance(value, wanted)


def check_out(op: Operation, spec: Array, out, dtype: str, sizes: Mapping) -> None:
    """The shape and dtype of ``out``."""
    if tuple(out.shape) != spec.dims(sizes):
        raise _wrong_shape(op, spec, spec.dims(sizes), tuple(out.shape))
    _want_dtype(op, spec.name, dtype_name(out), (dtype if spec.dtype == "T" else spec.dtype,))


def check_memory(op: Operation, name: str, out: np.ndarray, inputs: Mapping[str, np.ndarray]) -> None:
    """``out`` can be written, each element has its own place, and no input is overwritten while read.

    The arrays are views of the callers' memory, looked at and never read: device memory will do.
    """
    flags = out.flags
    if not flags.writeable:
        raise ValueError(f"{op.name}: {name} must be writable; got a read-only array")
    if not flags.c_contiguous and out.size and _repeats(out):
        raise ValueError(f"{op.name}: {name} must have a place for each element; got an expanded array")
    for other, array in inputs.items():
        if not np.may_share_memory(out, array):
            continue
        if _overlap(out, array) and not (other in op.inplace and _same_place(out, array)):
            exactly = f", or be {other} itself" if other in op.inplace else ""
            raise ValueError(f"{op.name}: {name} must not share memory with {other}{exactly}; got an overlap")


def _repeats(array) -> bool:
    """Whether several elements stand at the same place."""
    return any(stride == 0 and n > 1 for stride, n in zip(array.strides, array.shape, strict=True))


def _overlap(a, b) -> bool:
    try:
        return np.shares_memory(a, b, max_work=10_000)
    except np.exceptions.TooHardError:
        return True


def _same_place(a, b) -> bool:
    return (a.ctypes.data, a.shape, a.strides) == (b.ctypes.data, b.shape, b.strides)
