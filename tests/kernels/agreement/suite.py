"""Each backend's versions of an operation against the float64 reference of the contract.

A test file beside this one names its ``FAMILIES`` of operations, which are modules of `coursekit.kernels.ops`, and
takes these tests over: workers share tests by file, and so compile each kernel once.
"""

import numba
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from coursekit.kernels import cpu, reference
from coursekit.kernels.ops import OPS

from ..strategies import calls
from . import as_tuple, assert_agrees, assert_fills, worst

BACKENDS = {"reference": reference, "cpu": cpu}


def family(op):
    return op.reference.__module__.rpartition(".")[2]


def versions(*names):
    """What to call, for each of the operations."""
    return [
        pytest.param(OPS[name], function, id=f"{backend}.{rung}")
        for name in names
        for backend, module in BACKENDS.items()
        for rung, function in module.rungs(name).items()
    ]


def all_versions(name):
    """The same as functions alone."""
    return [version.values[1] for version in versions(name)]


def cases(version):
    op, _ = version.values
    return [
        pytest.param(*version.values, case, dtype, id=f"{version.id}-{case}-{dtype}")
        for case in op.cases_for("test")
        for dtype in op.dtypes
    ]


def pytest_generate_tests(metafunc):
    """The versions of the families that the test's file is for."""
    if not {"op", "function"} <= set(metafunc.fixturenames):
        return
    own = versions(*(op.name for op in OPS.values() if family(op) in metafunc.module.FAMILIES))
    if "case" in metafunc.fixturenames:
        own = [case for version in own for case in cases(version)]
        return metafunc.parametrize(("op", "function", "case", "dtype"), own)
    if metafunc.function.__name__ == "test_in_place":
        own = [version for version in own if version.values[0].inplace]
    metafunc.parametrize(("op", "function"), own)


def test_agrees(op, function, case, dtype):
    arrays = op.draw(np.random.default_rng(1), case.sizes, dtype, **case.options)
    assert_agrees(op, function(*arrays, **case.options), arrays, case.options, dtype)
    assert_fills(op, function, arrays, case.options, dtype)


def as_drawn(array):
    """In C order. (np.ascontiguousarray would give a number a dimension.)"""
    return np.asarray(array, order="C")


def every_other(array):
    if not array.ndim:
        return array
    wide = np.repeat(array, 2, axis=-1)
    return wide[..., ::2]


def reversed_rows(array):
    return as_drawn(array[::-1])[::-1] if array.ndim else array


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def unaligned(array):
    raw = np.zeros(array.nbytes + 1, np.uint8)[1:]
    view = raw.view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


LAYOUTS = {
    "as drawn": as_drawn,
    "columns first": lambda array: np.asarray(array, order="F"),
    "every other": every_other,
    "reversed": reversed_rows,
    "read-only": read_only,
    "unaligned": unaligned,
}


@pytest.mark.slow
@settings(max_examples=20, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_shape_and_layout(op, function, data):
    sizes, options = data.draw(calls(op))
    dtype = data.draw(st.sampled_from(op.dtypes))
    drawn = op.draw(np.random.default_rng(data.draw(st.integers(0, 99))), sizes, dtype, **options)
    arrays = [LAYOUTS[data.draw(st.sampled_from(list(LAYOUTS)))](a) for a in drawn]
    assert_agrees(op, function(*arrays, **options), drawn, options, dtype)
    assert_fills(op, function, arrays, options, dtype)


def empties(op, arrays, options):
    """Arrays for the results in float32, full of what no kernel writes by chance."""
    results = zip(as_tuple(op.reference(*arrays, **options)), op.outputs, strict=True)
    dtypes = [(np.shape(r), "float32" if spec.dtype == "T" else spec.dtype) for r, spec in results]
    return [np.full(shape, worst(dtype), dtype) for shape, dtype in dtypes]


@pytest.mark.parametrize("layout", ["columns first", "every other", "reversed", "unaligned"])
def test_out_in_any_layout(op, function, layout):
    case = op.cases_for("test")[1]
    arrays = op.draw(np.random.default_rng(2), case.sizes, **case.options)
    outs = tuple(LAYOUTS[layout](empty) for empty in empties(op, arrays, case.options))
    out = outs if len(outs) > 1 else outs[0]
    assert function(*arrays, **case.options, out=out) is out
    assert_agrees(op, out, arrays, case.options, "float32")


def test_torch_tensors_give_torch_tensors(op, function):
    case = op.cases_for("test")[1]
    arrays = op.draw(np.random.default_rng(3), case.sizes, **case.options)
    tensors = [torch.from_numpy(a) for a in arrays]
    got = function(*tensors, **case.options)
    assert all(isinstance(g, torch.Tensor) for g in as_tuple(got))
    assert_agrees(op, got, arrays, case.options, "float32")
    turned = [torch.from_numpy(np.asarray(a, order="F")) for a in arrays]
    outs = tuple(torch.from_numpy(np.asarray(e, order="F")) for e in empties(op, arrays, case.options))
    out = outs if len(outs) > 1 else outs[0]
    assert function(*turned, **case.options, out=out) is out
    assert_agrees(op, out, arrays, case.options, "float32")


def test_a_second_call_gives_the_same_bits(op, function):
    case = op.cases_for("test")[1]
    arrays = op.draw(np.random.default_rng(6), case.sizes, **case.options)
    first, second = (as_tuple(function(*arrays, **case.options)) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_thread_counts_stay_as_they_were(op, function):
    before = (
        numba.get_num_threads(),
        torch.get_num_threads(),
    )  # Numba's first, which sets torch's when it first runs
    case = op.cases_for("test")[1]
    function(*op.draw(np.random.default_rng(7), case.sizes, **case.options), **case.options)
    assert (numba.get_num_threads(), torch.get_num_threads()) == before
