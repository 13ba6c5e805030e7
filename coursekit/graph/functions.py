"""The functions that a traced function may call: of tensors they make nodes, of arrays alone they give values.

Every operation of the contract is here under its own name, with its own arguments: ``graph.conv2d(x, weight, bias,
padding=1)``, ``graph.softmax(x)``, ``graph.lstm(x, ...)``; and so are the elementwise functions: ``graph.exp(x)``.
"""

from collections.abc import Sequence
from math import prod
from operator import index

import numpy as np

from coursekit.graph.elementwise import ELEMENTWISE
from coursekit.graph.trace import apply
from coursekit.kernels.ops import OPS


def _function(name: str):
    def function(*arguments, **options):
        return apply(name, *arguments, **options)

    function.__name__ = function.__qualname__ = name
    if name in OPS:
        function.__doc__ = f"{OPS[name].formula}\n\n{OPS[name]}, as in coursekit.kernels."
        function.__signature__ = _without_out(OPS[name].signature)
    return function


def _without_out(signature):
    return signature.replace(parameters=[p for p in signature.parameters.values() if p.name != "out"])


globals().update({name: _function(name) for name in (*OPS, *ELEMENTWISE)})


def _axes(name: str, x, axis) -> tuple[int, ...]:
    """The dimensions that an ``axis`` of NumPy names, in order."""
    ndim = np.ndim(x) if not hasattr(x, "ndim") else x.ndim
    axes = range(ndim) if axis is None else axis if isinstance(axis, Sequence) else (axis,)
    if any(not -ndim <= index(a) < ndim for a in axes) or len({a % ndim for a in axes if ndim}) < len(axes):
        raise ValueError(f"{name}: axis must name dimensions of x {x.shape}, each once; got {axis}")
    return tuple(sorted(a % ndim for a in axes))


def sum(x, axis=None, keepdims=False):
    """Σ x along an axis, several, or all."""
    return apply("sum", x, axes=_axes("sum", x, axis), keepdims=bool(keepdims))


def mean(x, axis=None, keepdims=False):
    """Σ x / n along an axis, several, or all."""
    return sum(x, axis, keepdims) / prod(x.shape[a] for a in _axes("mean", x, axis))


def max(x, axis=None, keepdims=False):
    """The largest along an axis, several, or all."""
    return apply("max", x, axes=_axes("max", x, axis), keepdims=bool(keepdims))


def reshape(x, shape):
    """The same numbers in another shape; one size may be -1."""
    shape = tuple(map(index, (shape,) if isinstance(shape, int | np.integer) else shape))
    if shape.count(-1) == 1 and (rest := prod(n for n in shape if n != -1)):
        shape = tuple(x.size // rest if n == -1 else n for n in shape)
    return apply("reshape", x, shape=shape)


def transpose(x, axes=None):
    """The dimensions in another order, or in the opposite one."""
    axes = range(x.ndim)[::-1] if axes is None else axes
    return apply(
        "transpose", x, axes=tuple(a % x.ndim if -x.ndim <= a < x.ndim else a for a in map(index, axes))
    )


def swap(x):
    """The last two dimensions exchanged: the transposes of a stack of matrices."""
    return transpose(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


def broadcast_to(x, shape):
    """x repeated to this shape, by NumPy's rule."""
    return apply("broadcast_to", x, shape=tuple(map(index, shape)))


def cast(x, dtype: str):
    """x in another dtype."""
    return apply("cast", x, dtype=np.dtype(dtype).name)


def add_rows(indices, x, rows: int):
    """Zeros of so many rows, and row i of x is added to row indices[i]: the gradient of embedding."""
    return apply("add_rows", indices, x, rows=rows)


def matmul(a, b):
    """a @ b, of matrices or stacks of them, which broadcast."""
    if min(a.ndim, b.ndim) < 2:
        raise ValueError(f"matmul: a and b must have two dimensions or more; got {a.shape} and {b.shape}")
    if a.ndim == b.ndim == 2:
        return apply("matmul", a, b)
    if b.ndim == 2:
        flat = apply("matmul", reshape(a, (-1 if a.size else prod(a.shape[:-1]), a.shape[-1])), b)
        return reshape(flat, (*a.shape[:-1], b.shape[1]))
    try:
        stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise ValueError(f"matmul: stacks of matrices must broadcast; got {a.shape} and {b.shape}") from None
    return apply("batched_matmul", _stacked(a, stack), _stacked(b, stack))


def _stacked(x, stack):
    shape = (*stack, *x.shape[-2:])
    return x if x.shape == shape else broadcast_to(x, shape)


def take(x, key):
    """x[key], with whole numbers and slices of positive steps."""
    keys = key if isinstance(key, tuple) else (key,)
    keys = _filled(keys, x)
    parts = [_range(k, n, x) for k, n in zip(keys, x.shape, strict=True)]
    part = apply(
        "slice",
        x,
        start=tuple(p.start for p in parts),
        stop=tuple(p.stop for p in parts),
        step=tuple(p.step for p in parts),
    )
    kept = tuple(n for k, n in zip(keys, part.shape, strict=True) if isinstance(k, slice))
    return part if len(kept) == part.ndim else reshape(part, kept)


def _filled(keys, x):
    """A key for each dimension."""
    if len(keys) - (Ellipsis in keys) > x.ndim:
        raise IndexError(f"take: x of shape {x.shape} has no {len(keys)} dimensions")
    keys = keys if Ellipsis in keys else (*keys, Ellipsis)
    at = keys.index(Ellipsis)
    return (*keys[:at], *[slice(None)] * (x.ndim - len(keys) + 1), *keys[at + 1 :])


def _range(key, size: int, x) -> range:
    if isinstance(key, slice):
        found = range(*key.indices(size))
        if found.step > 0:
            return range(found.start, found.start if not found else found[-1] + 1, found.step)
    elif isinstance(key, int | np.integer):
        if not -size <= key < size:
            raise IndexError(f"take: {key} is out of range for x of shape {x.shape}")
        return range(key % size, key % size + 1)
    raise TypeError(
        f"take: an index must be an int or a slice with a positive step; got {key!r}; see embedding"
    )


__all__ = ["add_rows", "broadcast_to", "cast", "max", "mean", "reshape", "sum", "swap", "take", "transpose"]
__all__ += list({**OPS, **ELEMENTWISE})
