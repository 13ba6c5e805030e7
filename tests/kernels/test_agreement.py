"""Each backend's versions of each operation against the float64 reference of the contract."""

import numba
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from coursekit.kernels import cpu, reference
from coursekit.kernels.ops import OPS

from .agreement import as_tuple, assert_agrees, assert_fills, worst
from .strategies import calls

BACKENDS = {"reference": reference, "cpu": cpu}

VERSIONS = [
    pytest.param(op, function, id=f"{backend}.{name}")
    for op in OPS.values()
    for backend, module in BACKENDS.items()
    for name, function in module.rungs(op.name).items()
]

CASES = [
    pytest.param(*version.values, case, dtype, id=f"{version.id}-{case}-{dtype}")
    for version in VERSIONS
    for case in version.values[0].cases_for("test")
    for dtype in version.values[0].dtypes
]


@pytest.mark.parametrize(("op", "function", "case", "dtype"), CASES)
def test_agrees(op, function, case, dtype):
    arrays = op.draw(np.random.default_rng(1), case.sizes, dtype, **case.options)
    assert_agrees(op, function(*arrays, **case.options), arrays, case.options, dtype)
    assert_fills(op, function, arrays, case.options, dtype)


def test_every_operation_is_in_every_backend():
    for module in BACKENDS.values():
        for name in OPS:
            assert list(module.rungs(name))[-1] == name
            assert module.rungs(name)[name] is getattr(module, name)


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
@pytest.mark.parametrize(("op", "function"), VERSIONS)
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
@pytest.mark.parametrize(("op", "function"), VERSIONS)
def test_out_in_any_layout(op, function, layout):
    case = op.cases_for("test")[1]
    arrays = op.draw(np.random.default_rng(2), case.sizes, **case.options)
    outs = tuple(LAYOUTS[layout](empty) for empty in empties(op, arrays, case.options))
    out = outs if len(outs) > 1 else outs[0]
    assert function(*arrays, **case.options, out=out) is out
    assert_agrees(op, out, arrays, case.options, "float32")


@pytest.mark.parametrize(("op", "function"), VERSIONS)
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


@pytest.mark.parametrize(("op", "function"), [v for v in VERSIONS if v.values[0].inplace])
@pytest.mark.parametrize("layout", ["as drawn", "columns first", "reversed"])
def test_in_place(op, function, layout):
    case = op.cases_for("test")[1]
    first, *others = op.draw(np.random.default_rng(4), case.sizes, **case.options)
    x = LAYOUTS[layout](first).copy(order="K")
    rest = empties(op, (first, *others), case.options)[1:]
    out = (x, *rest) if rest else x
    assert function(x, *others, **case.options, out=out) is out
    assert_agrees(op, out, (first, *others), case.options, "float32")


def test_a_parameter_is_taken_under_no_grad():
    weight = torch.nn.Parameter(torch.eye(3))
    with torch.no_grad():
        assert not cpu.matmul(weight, torch.ones(3, 2)).requires_grad


SOFTMAX = [v for v in VERSIONS if v.values[0].name == "softmax"]
BIAS_GELU = [v for v in VERSIONS if v.values[0].name == "bias_gelu"]
INF, NAN = np.inf, np.nan


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("row", [[1e4, -1e4, 0], [-1e4, -1e4, -1e4 + 1], [-INF, 0, 1], [1e30, 1e30, 0]])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(("op", "function"), SOFTMAX)
def test_softmax_is_stable(op, function, axis, row, dtype):
    x = np.stack([row, row], 1 - axis).astype(dtype)
    got = function(x, axis=axis)
    assert_agrees(op, got, (x,), {"axis": axis}, dtype)
    np.testing.assert_allclose(got.sum(axis), 1, rtol=1e-6)


@pytest.mark.parametrize("row", [[-INF, -INF, -INF], [NAN, 0, 1], [INF, 0, 1]])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(("op", "function"), SOFTMAX)
def test_softmax_has_no_answer(op, function, axis, row):
    x = np.stack([row, [0, 0, 0]], 1 - axis).astype(np.float32)
    hopeless, good = np.moveaxis(function(x, axis=axis), 1 - axis, 0)
    assert np.isnan(hopeless).all()
    assert np.isnan(op.reference(x, axis)).sum() == 3
    np.testing.assert_allclose(good, 1 / 3, rtol=1e-6)


@pytest.mark.parametrize("approximate", ["none", "tanh"])
@pytest.mark.parametrize(("op", "function"), BIAS_GELU)
def test_bias_gelu_of_extreme_numbers(op, function, approximate):
    x = np.array([INF, -INF, NAN, 1e20, -1e20, 30, -30, 5, -5, 0], np.float32)
    arrays = (x, np.zeros_like(x))
    got = function(*arrays, approximate=approximate)
    assert_agrees(op, got, arrays, {"approximate": approximate}, "float32")


@pytest.mark.parametrize("where", ["a", "b"])
@pytest.mark.parametrize("bad", [INF, NAN])
@pytest.mark.parametrize(("op", "function"), [v for v in VERSIONS if v.values[0].name == "matmul"])
def test_matmul_spreads_a_bad_number_no_further_than_it_must(op, function, bad, where):
    arrays = dict(zip("ab", op.draw(np.random.default_rng(5), {"M": 5, "K": 6, "N": 7}), strict=True))
    arrays[where][-1, -1] = bad
    assert_agrees(op, function(**arrays), tuple(arrays.values()), {}, "float32")


@pytest.mark.parametrize(("op", "function"), VERSIONS)
def test_a_second_call_gives_the_same_bits(op, function):
    case = op.cases_for("test")[1]
    arrays = op.draw(np.random.default_rng(6), case.sizes, **case.options)
    first, second = (as_tuple(function(*arrays, **case.options)) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("op", "function"), VERSIONS)
def test_thread_counts_stay_as_they_were(op, function):
    before = (
        numba.get_num_threads(),
        torch.get_num_threads(),
    )  # Numba's first, which sets torch's when it first runs
    case = op.cases_for("test")[1]
    function(*op.draw(np.random.default_rng(7), case.sizes, **case.options), **case.options)
    assert (numba.get_num_threads(), torch.get_num_threads()) == before
