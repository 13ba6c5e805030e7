"""Each backend's versions of each operation against the float64 reference of the contract."""

import numba
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from coursekit.kernels import cpu, reference
from coursekit.kernels.ops import OPS

from .agreement import assert_agrees, assert_fills

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


def every_other(array):
    wide = np.repeat(array, 2, axis=-1)
    return wide[..., ::2]


def reversed_rows(array):
    return np.ascontiguousarray(array[::-1])[::-1]


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
    "as drawn": np.ascontiguousarray,
    "columns first": np.asfortranarray,
    "every other": every_other,
    "reversed": reversed_rows,
    "read-only": read_only,
    "unaligned": unaligned,
}

edges = st.sampled_from([0, 1, 2, 3, 5, 8, 17])


@st.composite
def calls(draw, op):
    """Sizes and options of a call of ``op``, small and full of edges."""
    sizes = {}
    for symbol in (s for a in op.inputs for s in a.shape):
        few = st.lists(edges, min_size=len(op.inputs[0].shape) == 1, max_size=3)
        sizes[symbol] = tuple(draw(few)) if symbol == "..." else draw(edges)
    options = {}
    if "axis" in op.options:
        ndim = len(op.inputs[0].dims(sizes))
        options["axis"] = draw(st.integers(-ndim, ndim - 1))
    if "approximate" in op.options:
        options["approximate"] = draw(st.sampled_from(["none", "tanh"]))
    return sizes, options


@pytest.mark.parametrize(("op", "function"), VERSIONS)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_shape_and_layout(op, function, data):
    sizes, options = data.draw(calls(op))
    dtype = data.draw(st.sampled_from(op.dtypes))
    drawn = op.draw(np.random.default_rng(data.draw(st.integers(0, 99))), sizes, dtype, **options)
    arrays = [LAYOUTS[data.draw(st.sampled_from(list(LAYOUTS)))](a) for a in drawn]
    assert_agrees(op, function(*arrays, **options), drawn, options, dtype)
    assert_fills(op, function, arrays, options, dtype)


@pytest.mark.parametrize("layout", ["columns first", "every other", "reversed", "unaligned"])
@pytest.mark.parametrize(("op", "function"), VERSIONS)
def test_out_in_any_layout(op, function, layout):
    case = op.cases_for("test")[1]
    arrays = op.draw(np.random.default_rng(2), case.sizes, **case.options)
    out = LAYOUTS[layout](np.full(op.reference(*arrays, **case.options).shape, np.nan, np.float32))
    assert function(*arrays, **case.options, out=out) is out
    assert_agrees(op, out, arrays, case.options, "float32")


@pytest.mark.parametrize(("op", "function"), VERSIONS)
def test_torch_tensors_give_torch_tensors(op, function):
    case = op.cases_for("test")[1]
    arrays = op.draw(np.random.default_rng(3), case.sizes, **case.options)
    tensors = [torch.from_numpy(a) for a in arrays]
    got = function(*tensors, **case.options)
    assert isinstance(got, torch.Tensor)
    assert_agrees(op, got, arrays, case.options, "float32")
    turned = [torch.from_numpy(np.asfortranarray(a)) for a in arrays]
    out = torch.from_numpy(np.asfortranarray(np.full(got.shape, np.nan, np.float32)))
    assert function(*turned, **case.options, out=out) is out
    assert_agrees(op, out, arrays, case.options, "float32")


@pytest.mark.parametrize(("op", "function"), [v for v in VERSIONS if v.values[0].inplace])
@pytest.mark.parametrize("layout", ["as drawn", "columns first", "reversed"])
def test_in_place(op, function, layout):
    case = op.cases_for("test")[1]
    first, *others = op.draw(np.random.default_rng(4), case.sizes, **case.options)
    x = LAYOUTS[layout](first).copy(order="K")
    assert function(x, *others, **case.options, out=x) is x
    assert_agrees(op, x, (first, *others), case.options, "float32")


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
    first, second = (function(*arrays, **case.options) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(("op", "function"), VERSIONS)
def test_thread_counts_stay_as_they_were(op, function):
    before = torch.get_num_threads(), numba.get_num_threads()
    case = op.cases_for("test")[1]
    function(*op.draw(np.random.default_rng(7), case.sizes, **case.options), **case.options)
    assert (torch.get_num_threads(), numba.get_num_threads()) == before
