"""The CUDA backend against the contract, on a GPU or in Numba's simulator.

``test_cuda.py`` runs this file in a process of its own, since the simulator has to be chosen before
Numba is imported. By hand: ``NUMBA_ENABLE_CUDASIM=1 python -m pytest tests/kernels/cuda_device.py``.
"""

import dataclasses
import re

import numpy as np
import pytest
from numba import cuda as device

from coursekit.kernels import cuda
from coursekit.kernels.cuda.device import SIMULATOR
from coursekit.kernels.ops import OPS
from coursekit.kernels.ops.elementwise import ELEMENTWISE

from .agreement import as_tuple, assert_agrees, assert_fills, worst
from .misuse import MISUSES, f4

VERSIONS = [(op, f) for op in OPS.values() for f in cuda.rungs(op.name).values()]

each_version = pytest.mark.parametrize(("op", "function"), VERSIONS, ids=[f.__name__ for _, f in VERSIONS])

CASES = [
    pytest.param(op, f, case, dtype, id=f"{f.__name__}-{case}-{dtype}")
    for op, f in VERSIONS
    for i, case in enumerate(op.cases_for("tiny"))
    for dtype in (op.dtypes if i == 0 else op.dtypes[:1])
]

SMALL = {
    "matmul": ({"M": 3, "K": 4, "N": 5}, {}),
    "softmax": ({"...": (3, 2)}, {"axis": 0}),
    "bias_gelu": ({"...": (3,), "N": 4}, {}),
    "bias_relu": ({"...": (3,), "N": 4}, {}),
    "bias_silu": ({"...": (3,), "N": 4}, {}),
    "scale_shift_gelu_scale_shift_clip": ({"...": (3,), "N": 4}, {"limit": 0.5}),
    "reduce": ({"...": (2, 3), "N": 4}, {}),
    "log_sum_exp": ({"...": (2, 3), "N": 4}, {}),
    "layer_norm": ({"...": (3,), "N": 4}, {"eps": 0.1}),
    "add_layer_norm": ({"...": (3,), "N": 4}, {"eps": 0.1}),
    "rms_norm": ({"...": (3,), "N": 4}, {"eps": 0.1}),
    "embedding": ({"...": (2, 3), "V": 4, "D": 8}, {}),
    "adam_step": ({"...": (3, 4)}, {"step": 3, "rate": 0.1}),
    "softmax_grad": ({"...": (3, 4)}, {}),
    "log_sum_exp_grad": ({"...": (2, 3), "N": 4}, {}),
    "layer_norm_grad": ({"...": (3,), "N": 4}, {"eps": 0.1}),
    "rms_norm_grad": ({"...": (3,), "N": 4}, {"eps": 0.1}),
    **{op.name: ({"...": (3, 4)}, {}) for op in ELEMENTWISE},
}


@pytest.fixture(autouse=True)
def _no_result_by_chance(monkeypatch):
    """New device memory is what was freed before, often an earlier result: here it holds what no kernel writes."""

    def device_array(shape, dtype=np.float64):
        return device.to_device(np.full(shape, worst(dtype), dtype))

    monkeypatch.setattr(device, "device_array", device_array)


def to_host(arrays):
    host = tuple(a.copy_to_host() for a in as_tuple(arrays))
    return host if isinstance(arrays, tuple) else host[0]


@pytest.mark.parametrize(("op", "function", "case", "dtype"), CASES)
def test_agrees(op, function, case, dtype):
    arrays = op.draw(np.random.default_rng(1), case.sizes, dtype, **case.options)
    assert_fills(op, function, arrays, case.options, dtype)


@each_version
def test_device_arrays_stay_on_the_device(op, function):
    sizes, options = SMALL[op.name]
    arrays = op.draw(np.random.default_rng(2), sizes)
    turned = [device.to_device(np.ascontiguousarray(a.T)).T for a in arrays]
    got = function(*turned, **options)
    assert not any(isinstance(g, np.ndarray) for g in as_tuple(got))
    assert_agrees(op, to_host(got), arrays, options, "float32")


@each_version
def test_out_on_the_device_in_any_order(op, function):
    sizes, options = SMALL[op.name]
    arrays = op.draw(np.random.default_rng(3), sizes)
    shapes = [spec.dims(sizes) for spec in op.outputs]
    for outs in (
        [device.to_device(np.full(shape, np.nan, np.float32)) for shape in shapes],
        [device.to_device(np.full(shape[::-1], np.nan, np.float32)).T for shape in shapes],
    ):
        out = outs[0] if len(outs) == 1 else tuple(outs)
        assert function(*map(device.to_device, arrays), **options, out=out) is out
        assert_agrees(op, to_host(out), arrays, options, "float32")


def test_every_other_element_of_a_device_vector():
    x = np.random.default_rng(4).standard_normal(14).astype(np.float32)
    got = cuda.softmax(device.to_device(x)[::2])
    assert_agrees(OPS["softmax"], got.copy_to_host(), (x[::2],), {}, "float32")


IN_PLACE = [(op, f) for op, f in VERSIONS if op.inplace]


@pytest.mark.parametrize(("op", "function"), IN_PLACE, ids=[f.__name__ for _, f in IN_PLACE])
def test_in_place_on_the_device(op, function):
    sizes, options = SMALL[op.name]
    arrays = op.draw(np.random.default_rng(5), sizes)
    given = dict(zip((spec.name for spec in op.inputs), map(device.to_device, arrays), strict=True))
    shapes = [spec.dims(sizes) for spec in op.outputs]
    places = [given[name] for name in op.inplace if given[name].shape in shapes]
    fresh = [device.device_array(shape, np.float32) for shape in shapes]
    outs = tuple(
        places.pop(0) if places and places[0].shape == shape else new
        for shape, new in zip(shapes, fresh, strict=True)
    )
    function(*given.values(), **options, out=outs if len(outs) > 1 else outs[0])
    assert_agrees(op, to_host(outs if len(outs) > 1 else outs[0]), arrays, options, "float32")


@pytest.mark.parametrize("name", [name for name in SMALL if OPS[name].inputs[0].dtype == "T"])
def test_arrays_that_begin_at_no_multiple_of_16_bytes(name):
    op, (sizes, options) = OPS[name], SMALL[name]
    if "axis" in options:
        sizes, options = {"...": (3, 4)}, {}
    arrays = op.draw(np.random.default_rng(6), sizes)
    shifted = [device.to_device(np.append(np.float32(0), a))[1:].reshape(a.shape) for a in arrays]
    got = cuda.rungs(name)[name](*shifted, **options)
    assert_agrees(op, to_host(got), arrays, options, "float32")


@pytest.mark.parametrize("function", cuda.rungs("softmax").values(), ids=cuda.rungs("softmax"))
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_softmax_of_extreme_rows(function):
    inf = np.inf
    x = np.array([[1e4, -1e4, 0], [-inf, 0, 1], [-inf, -inf, -inf], [np.nan, 0, 1]], np.float32)
    assert_agrees(OPS["softmax"], function(x), (x,), {}, "float32")


@pytest.mark.parametrize("function", cuda.rungs("log_sum_exp").values(), ids=cuda.rungs("log_sum_exp"))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_log_sum_exp_of_extreme_rows(function):
    inf = np.inf
    x = np.full((7, 300), -200, np.float32)
    x[1], x[2, 5], x[3, 280], x[4, :290], x[5, 7] = -inf, inf, 1e4, -inf, np.nan
    x[6, ::7] = -1e4
    assert_agrees(OPS["log_sum_exp"], function(x), (x,), {}, "float32")


@pytest.mark.parametrize("by", ["sum", "mean", "max"])
@pytest.mark.parametrize("N", [5000, 5001])
def test_few_long_rows_are_cut_into_pieces(N, by):
    x = np.random.default_rng(7).standard_normal((2, N)).astype(np.float32)
    assert_agrees(OPS["reduce"], cuda.reduce(x, by=by), (x,), {"by": by}, "float32")


@pytest.mark.parametrize("function", [*cuda.rungs("reduce").values()], ids=cuda.rungs("reduce"))
def test_the_largest_of_numbers_with_nan(function):
    x = np.random.default_rng(8).standard_normal((3, 300)).astype(np.float32)
    x[0, 3], x[1, 299], x[2] = np.nan, np.nan, -np.inf
    assert_agrees(OPS["reduce"], function(x, by="max"), (x,), {"by": "max"}, "float32")


@pytest.mark.parametrize("name", ["reduce", "log_sum_exp"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_rows_of_none(name):
    x = np.ones((2, 3, 0), np.float32)
    for function in cuda.rungs(name).values():
        assert_agrees(OPS[name], function(x), (x,), {}, "float32")


@pytest.mark.parametrize("N", [300, 301])
def test_layer_norm_where_the_mean_is_large(N):
    x = (np.random.default_rng(9).standard_normal((2, N)) + 1e5).astype(np.float32)
    one, zero = np.ones(N, np.float32), np.zeros(N, np.float32)
    assert_agrees(OPS["layer_norm"], cuda.layer_norm(x, one, zero), (x, one, zero), {}, "float32")


@pytest.mark.parametrize("function", cuda.rungs("embedding").values(), ids=cuda.rungs("embedding"))
@pytest.mark.parametrize("D", [3, 4])
def test_numbers_of_no_row_give_nan(function, D):
    weight = np.random.default_rng(10).standard_normal((3, D)).astype(np.float32)
    got = function(np.array([2, 3, -1, 0, 2**40, -(2**62)]), weight)
    np.testing.assert_array_equal(got[[0, 3]], weight[[2, 0]])
    assert np.isnan(got[[1, 2, 4, 5]]).all()


@pytest.mark.parametrize(
    "name", ["add", "bias_relu", "adam_step", "embedding", "layer_norm_grad", "rms_norm_grad"]
)
def test_a_grid_that_goes_round(name, monkeypatch):
    """On one multiprocessor, so that a loop over fours has more than one turn without thousands of threads."""
    one = dataclasses.replace(SIMULATOR, multiprocessors=1)
    monkeypatch.setattr("coursekit.kernels.cuda.device.SIMULATOR", one)
    sizes = {
        "add": {"...": (2500,)},
        "adam_step": {"...": (2500,)},
        "bias_relu": {"...": (700,), "N": 8},
        "embedding": {"...": (700,), "V": 9, "D": 8},
        "layer_norm_grad": {"...": (7,), "N": 12},
        "rms_norm_grad": {"...": (7,), "N": 12},
    }
    op = OPS[name]
    arrays = op.draw(np.random.default_rng(11), sizes[name])
    assert_agrees(op, cuda.rungs(name)[name](*arrays), arrays, {}, "float32")


@pytest.mark.parametrize("name", MISUSES)
def test_misuse(name):
    call, error, message = MISUSES[name]
    with pytest.raises(error, match=re.escape(message)):
        call(cuda)


def test_misuse_of_device_arrays():
    x = device.to_device(f4(3, 3))
    with pytest.raises(TypeError, match=r"matmul: b must be a CUDA device array like a; got numpy\.ndarray"):
        cuda.matmul(x, f4(3, 3))
    with pytest.raises(ValueError, match="matmul: out must not share memory with b"):
        cuda.matmul(device.to_device(f4(3, 3)), x, out=x)
    with pytest.raises(ValueError, match="softmax: out must not share memory with x, or be x itself"):
        cuda.softmax(x, out=x.T)


def test_torch_tensors():
    torch = pytest.importorskip("torch")
    with pytest.raises(ValueError, match=r"softmax: x must be on the GPU; got a tensor on cpu"):
        cuda.softmax(torch.ones(2))
    if torch.cuda.is_available():
        x = torch.randn(3, 4, device="cuda")
        for given in (x, x.T):
            torch.testing.assert_close(cuda.softmax(given), torch.softmax(given, -1))
