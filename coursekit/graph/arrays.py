"""Operations that move numbers, add them up or look them up: what NumPy-like code needs beside kernels.

Each entry computes the shape of its result, and fills it. Views take no memory and no time.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from math import prod

import numpy as np

from coursekit.graph.spec import Spec
from coursekit.kernels.contract import EMPTY
from coursekit.kernels.ops.sparse import TALL, columns_of


@dataclass(frozen=True)
class Rearrangement:
    """``infer(*specs, **options)`` gives the result's spec; ``run(*arrays, out=..., **options)`` fills it, or, where
    ``view`` is true, returns it. ``flops`` are for each element of the first input; ``bind`` as an Operation's.
    """

    name: str
    infer: Callable[..., Spec]
    run: Callable
    arity: int = 1
    defaults: Mapping = field(default_factory=lambda: EMPTY)
    flops: int = 0
    view: bool = False
    bind: Callable | None = None


def _reshaped(x, shape):
    if prod(shape) != x.size or min(shape, default=0) < 0:
        raise ValueError(f"reshape: shape must have {x.size} elements like x {x.shape}; got {shape}")
    return Spec(shape, x.dtype)


def _transposed(x, axes):
    if sorted(axes) != list(range(len(x.shape))):
        raise ValueError(f"transpose: axes must name each dimension of x {x.shape} once; got {axes}")
    return Spec(tuple(x.shape[axis] for axis in axes), x.dtype)


def _broadcast(x, shape):
    tail = shape[len(shape) - len(x.shape) :]
    if len(shape) < len(x.shape) or any(a not in (1, b) for a, b in zip(x.shape, tail, strict=True)):
        raise ValueError(f"broadcast_to: shape must be one that x {x.shape} can be repeated to; got {shape}")
    return Spec(shape, x.dtype)


def _without(shape, axes, keepdims):
    if keepdims:
        return tuple(1 if axis in axes else n for axis, n in enumerate(shape))
    return tuple(n for axis, n in enumerate(shape) if axis not in axes)


def _reduced(name):
    def infer(x, axes, keepdims):
        if x.dtype not in ("float32", "float64"):
            raise TypeError(f"{name}: x must be float32 or float64; got {x}")
        if name == "max" and prod(x.shape[axis] for axis in axes) == 0:
            raise ValueError(f"max: x must have an element along the axes {axes}; got shape {x.shape}")
        return Spec(_without(x.shape, axes, keepdims), x.dtype)

    return infer


def _at_end(x, axes) -> bool:
    """Whether the axes are the last ones, so that what is added up stands side by side."""
    return bool(axes and x.size) and axes == tuple(range(x.ndim - len(axes), x.ndim))


def _rows(x, axes):
    return x.reshape(prod(x.shape[: axes[0]]), -1)


def _reduce(by, function):
    """The contract's kernel along the last axes, NumPy's along others."""

    def run(x, out, axes, keepdims):
        if _at_end(x, axes):
            from coursekit.kernels import cpu

            cpu.reduce(_rows(x, axes), by=by, out=out.reshape(-1))
        else:
            function(x, axis=axes, keepdims=keepdims, out=out)

    return run


def _bind_reduce(by, function):
    def bind(given, out, options):
        (x,), axes = given, options["axes"]
        if _at_end(x, axes):
            from coursekit.kernels import cpu

            return partial(cpu.reduce.__wrapped__, _rows(x, axes), by=by, out=out.reshape(-1))
        return partial(function, x, axis=axes, keepdims=options["keepdims"], out=out)

    return bind


def _indices(x, start, stop, step):
    return tuple(map(slice, start, stop, step))


def _sliced(x, start, stop, step):
    if any(not 0 <= a <= b <= n or s < 1 for a, b, s, n in zip(start, stop, step, x.shape, strict=True)):
        raise ValueError(f"slice: {start} to {stop} by {step} must lie within x of shape {x.shape}")
    return Spec(tuple(len(range(a, b, s)) for a, b, s in zip(start, stop, step, strict=True)), x.dtype)


def _place(x, out, shape, start, stop, step):
    out[...] = 0
    out[_indices(out, start, stop, step)] = x


def _added_rows(indices, x, rows):
    depth = len(indices.shape)
    if indices.dtype != "int64" or x.shape[:depth] != indices.shape or len(x.shape) != depth + 1:
        raise ValueError(
            f"add_rows: x must have a row for each of the indices, int64 {indices.shape}; got indices "
            f"{indices} and x {x}"
        )
    return Spec((rows, x.shape[-1]), x.dtype)


def _add_rows(indices, x, out, rows):
    out[...] = 0
    np.add.at(out, indices, x)


def _rows_of(starts):
    return np.repeat(np.arange(starts.size - 1), np.diff(starts))


def _csr_places(columns, starts, out):
    out[0], out[1] = _rows_of(starts), columns


def _block_places(columns, starts, out):
    rows = _rows_of(starts)[:, None] * TALL + np.arange(TALL)
    out[0], out[1] = rows.reshape(-1), np.repeat(columns, TALL)


def _two_four_places(positions, out):
    columns = columns_of(positions)
    out[0], out[1] = np.repeat(np.arange(len(columns)), columns.shape[1]), columns.reshape(-1)


def _copy(x, out, **options):
    np.copyto(out, x, casting="unsafe")


AXES = {"axes": (), "keepdims": False}
PART = {"start": (), "stop": (), "step": ()}

SUM, MAX = ("sum", np.add.reduce), ("max", np.maximum.reduce)

REARRANGEMENTS = (
    Rearrangement("reshape", _reshaped, lambda x, shape: x.reshape(shape), view=True, defaults={"shape": ()}),
    Rearrangement(
        "transpose",
        _transposed,
        lambda x, out, axes: np.copyto(out, x.transpose(axes)),
        defaults={"axes": ()},
    ),
    Rearrangement(
        "broadcast_to",
        _broadcast,
        lambda x, out, shape: np.copyto(out, x),
        defaults={"shape": ()},
    ),
    Rearrangement("sum", _reduced("sum"), _reduce(*SUM), defaults=AXES, flops=1, bind=_bind_reduce(*SUM)),
    Rearrangement("max", _reduced("max"), _reduce(*MAX), defaults=AXES, flops=1, bind=_bind_reduce(*MAX)),
    Rearrangement(
        "slice", _sliced, lambda x, out, **part: np.copyto(out, x[_indices(x, **part)]), defaults=PART
    ),
    # Zeros, with x where a slice would have taken it from: the gradient of slice.
    Rearrangement(
        "place",
        lambda x, shape, start, stop, step: Spec(shape, x.dtype),
        _place,
        defaults={"shape": (), **PART},
    ),
    # Zeros, and to row indices[i] row x[i] is added: the gradient of embedding.
    Rearrangement("add_rows", _added_rows, _add_rows, arity=2, defaults={"rows": 0}, flops=0),
    Rearrangement(
        "cast", lambda x, dtype: Spec(x.shape, np.dtype(dtype).name), _copy, defaults={"dtype": "float32"}
    ),
    # Row and column of each number that a sparse format stores.
    Rearrangement("csr_places", lambda c, s: Spec((2, c.size), "int64"), _csr_places, arity=2),
    Rearrangement("block_places", lambda c, s: Spec((2, c.size * TALL), "int64"), _block_places, arity=2),
    Rearrangement("two_four_places", lambda p: Spec((2, p.size * 4), "int64"), _two_four_places),
)
