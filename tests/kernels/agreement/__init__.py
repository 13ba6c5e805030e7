"""How an answer is compared with the contract; used on the CPU and, in a process of its own, on CUDA."""

import numpy as np
import pytest

pytest.register_assert_rewrite(f"{__name__}.suite", f"{__name__}.in_place")

GUARD = 64
"""Elements around a result that a kernel must leave alone."""


def as_tuple(value):
    return value if isinstance(value, tuple) else (value,)


def worst(dtype):
    """What no kernel writes by chance: NaN, or the largest integer."""
    return np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else np.nan


def poison(shape, dtype):
    """An array of NaN (the largest integer, for integers) between guards, and the whole of its memory."""
    size = int(np.prod(shape))
    whole = np.full(size + 2 * GUARD, worst(dtype), dtype)
    return whole[GUARD : GUARD + size].reshape(shape), whole


def assert_agrees(op, got, arrays, options, dtype):
    """Every element within the contract's tolerance of the float64 reference, in shape and dtype too."""
    wanted = as_tuple(op.reference(*arrays, **options))
    assert len(as_tuple(got)) == len(wanted) == len(op.outputs)
    tolerance = op.tolerance[dtype]
    for spec, g, w in zip(op.outputs, as_tuple(got), wanted, strict=True):
        g = np.asarray(g)
        assert g.shape == w.shape
        assert g.dtype == (dtype if spec.dtype == "T" else spec.dtype)
        np.testing.assert_allclose(g, w, tolerance.rtol, tolerance.atol, err_msg=f"{op.name} {spec.name}")


def assert_fills(op, function, arrays, options, dtype):
    """``function`` fills every element of a poisoned ``out``, nothing beside it, and leaves its inputs."""
    sizes = [np.asarray(w).shape for w in as_tuple(op.reference(*arrays, **options))]
    outs, wholes = zip(
        *(poison(s, dtype if a.dtype == "T" else a.dtype) for s, a in zip(sizes, op.outputs, strict=True)),
        strict=True,
    )
    before = [a.copy() for a in arrays]
    out = outs[0] if len(outs) == 1 else outs
    assert function(*arrays, **options, out=out) is out
    assert_agrees(op, out, before, options, dtype)
    for whole in wholes:
        guards = np.concatenate([whole[:GUARD], whole[-GUARD:]])
        np.testing.assert_array_equal(guards, np.full_like(guards, worst(guards.dtype)))
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)
