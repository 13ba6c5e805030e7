"""The CUDA backend against the contract, on a GPU or in Numba's simulator.

``test_cuda.py`` runs this file in a process of its own, since the simulator has to be chosen before
Numba is imported. By hand: ``NUMBA_ENABLE_CUDASIM=1 python -m pytest tests/kernels/cuda_device.py``.
"""

import dataclasses
import re
import sys

import numpy as np
import pytest
from numba import cuda as device
from numba import float32

from coursekit.kernels import cuda
from coursekit.kernels.cuda.arrays import DeviceArray
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
    "attention": ({"...": (2,), "M": 5, "N": 6, "D": 4, "E": 8}, {}),
    "conv2d": ({"B": 2, "C": 2, "H": 4, "W": 5, "K": 3, "R": 2, "S": 3}, {"padding": 1}),
    "csr_matmul": ({"R": 6, "K": 5, "N": 4, "Z": 9}, {}),
    "histogram": ({"...": (3, 5)}, {"bins": 4, "low": -1.0}),
    "matmul": ({"M": 3, "K": 4, "N": 5}, {}),
    "batched_matmul": ({"...": (2,), "M": 3, "K": 4, "N": 8}, {}),
    "linear": ({"M": 3, "K": 4, "N": 8}, {}),
    "half_matmul": ({"M": 3, "K": 8, "N": 16}, {}),
    "bfloat16_matmul": ({"M": 3, "K": 8, "N": 16}, {}),
    "int8_matmul": ({"M": 3, "K": 16, "N": 8}, {}),
    "int8_matmul_packed": ({"M": 3, "K": 16}, {"columns": 8}),
    "max_pool2d": ({"B": 1, "C": 2, "H": 4, "W": 5}, {"kernel_size": 3, "stride": 1}),
    "rnn": ({"N": 3, "T": 2, "I": 4, "H": 8}, {}),
    "softmax": ({"...": (3, 2)}, {"axis": 0}),
    "two_four_matmul": ({"R": 3, "K": 8, "N": 4}, {}),
    "avg_pool2d": ({"B": 1, "C": 2, "H": 4, "W": 5}, {"kernel_size": 3, "stride": 1}),
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


def _in_other_order(array):
    """On the device, by columns where it is a matrix: Numba turns nothing else."""
    return device.to_device(np.ascontiguousarray(array.T)).T if array.ndim == 2 else device.to_device(array)


def _on_device(shape, dtype):
    """Arrays to fill, by rows and, of a matrix, by columns."""
    filled = np.full(shape, worst(dtype), dtype)
    return [device.to_device(filled), _in_other_order(filled)]


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
    arrays = op.draw(np.random.default_rng(2), sizes, **options)
    turned = [_in_other_order(a) for a in arrays]
    got = function(*turned, **options)
    assert not any(isinstance(g, np.ndarray) for g in as_tuple(got))
    assert_agrees(op, to_host(got), arrays, options, "float32")


@each_version
def test_out_on_the_device_in_any_order(op, function):
    sizes, options = SMALL[op.name]
    arrays = op.draw(np.random.default_rng(3), sizes, **options)
    shapes = [np.shape(w) for w in as_tuple(op.reference(*arrays, **options))]
    dtypes = ["float32" if a.dtype == "T" else a.dtype for a in op.outputs]
    for outs in zip(*map(_on_device, shapes, dtypes), strict=True):
        out = outs if len(outs) > 1 else outs[0]
        assert function(*map(device.to_device, arrays), **options, out=out) is out
        assert_agrees(op, tuple(a.copy_to_host() for a in outs), arrays, options, "float32")


@device.jit
def _turned(out):
    device.syncthreads()  # so that all ask at the same moment
    s = device.shared.array(64, float32)
    t = device.threadIdx.x
    s[t] = t
    device.syncthreads()
    out[t] = s[63 - t]


def test_threads_that_ask_for_shared_memory_at_once_get_the_same():
    """Numba's simulator gave some an array of their own, once in ten launches."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(60):
            out = device.to_device(np.zeros(64, np.float32))
            _turned[1, 64](out)
            np.testing.assert_array_equal(out.copy_to_host(), np.arange(63, -1, -1))
    finally:
        sys.setswitchinterval(before)


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


@pytest.mark.parametrize("name", SMALL)
def test_arrays_that_begin_at_no_multiple_of_16_bytes(name):
    op, (sizes, options) = OPS[name], SMALL[name]
    if "axis" in options:
        sizes, options = {"...": (3, 4)}, {}
    arrays = op.draw(np.random.default_rng(6), sizes, **options)
    shifted = [device.to_device(np.append(np.zeros(1, a.dtype), a))[1:].reshape(a.shape) for a in arrays]
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


TILED_ATTENTION = [
    ((2,), 19, 37, 8, 12, False),
    ((1, 2), 21, 35, 4, 4, True),
    ((), 7, 33, 32, 32, True),
    ((), 33, 5, 4, 8, True),
    ((), 5, 34, 36, 64, False),
    ((), 6, 17, 100, 128, True),
]


@pytest.mark.parametrize(("heads", "M", "N", "D", "E", "causal"), TILED_ATTENTION)
def test_attention_over_several_tiles(heads, M, N, D, E, causal):
    op, options = OPS["attention"], {"causal": causal}
    arrays = op.draw(np.random.default_rng(6), {"...": heads, "M": M, "N": N, "D": D, "E": E})
    assert_fills(op, cuda.attention, arrays, options, "float32")


@pytest.mark.parametrize("function", cuda.rungs("attention").values(), ids=cuda.rungs("attention"))
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_attention_with_extreme_scores(function):
    q, k, v = OPS["attention"].draw(np.random.default_rng(7), {"...": (), "M": 6, "N": 5, "D": 4, "E": 4})
    q[0], q[1], q[2, 0] = 1e3, np.inf, np.nan
    k[:, 1] = np.abs(k[:, 1])
    q[3] = 0, -np.inf, 0, 0
    k[0] = 1, 0, 0, 0
    for causal in (False, True):
        got = function(q, k, v, causal=causal)
        assert_agrees(OPS["attention"], got, (q, k, v), {"causal": causal}, "float32")


TILED_CONVOLUTIONS = [
    ((2, 3, 5, 6, 9, 3, 3), {"padding": 1}),
    ((3, 2, 7, 4, 18, 2, 3), {"stride": 2, "padding": 2, "dilation": 2}),
    ((1, 4, 4, 5, 20, 2, 2), {"groups": 2}),
    ((1, 20, 3, 3, 8, 1, 1), {}),
    ((2, 1, 1, 2, 8, 3, 3), {"padding": 3}),
]


@pytest.mark.parametrize(("sizes", "options"), TILED_CONVOLUTIONS)
@pytest.mark.parametrize("with_bias", [True, False])
def test_convolution_over_several_tiles(sizes, options, with_bias):
    op = OPS["conv2d"]
    sizes = dict(zip("BCHWKRS", sizes, strict=True))
    arrays = op.draw(np.random.default_rng(8), sizes, **options)
    assert_fills(op, cuda.conv2d, arrays if with_bias else arrays[:2], options, "float32")


@pytest.mark.parametrize(("N", "T", "I", "H"), [(5, 2, 17, 12), (17, 3, 3, 9), (2, 1, 0, 37)])
@pytest.mark.parametrize("with_state", [True, False])
def test_rnn_over_several_tiles(N, T, I, H, with_state):
    op = OPS["rnn"]
    arrays = op.draw(np.random.default_rng(9), {"N": N, "T": T, "I": I, "H": H})
    assert_fills(op, cuda.rnn, arrays if with_state else arrays[:-1], {}, "float32")


@pytest.mark.parametrize(("name", "function"), [(op.name, f) for op, f in VERSIONS if "csr" in op.name])
@pytest.mark.parametrize("N", [1, 8])
def test_sparse_rows_longer_than_a_block(name, function, N):
    op = OPS[name]
    arrays = op.draw(np.random.default_rng(10), {"R": 3, "K": 30, "N": N, "Z": 150})
    assert_fills(op, function, arrays, {}, "float32")


@pytest.mark.parametrize(
    ("columns", "starts", "message"),
    [
        ([0, 3], [0, 1, 2], "columns must be from 0 to 2; got 3"),
        ([0, -1], [0, 1, 2], "columns must be from 0 to 2; got -1"),
        ([0, 1], [0, 2, 1, 2], "starts must nowhere fall; got 1 after more"),
        ([0, 1], [0, 1, 3], "starts must go from 0 to 2, the size of columns; got 0 to 3"),
        ([0, 1], [1, 1, 2], "starts must go from 0 to 2, the size of columns; got 1 to 2"),
    ],
)
def test_wrong_patterns(columns, starts, message):
    pattern = [np.array(a, np.int32) for a in (columns, starts)]
    out = np.full((len(starts) - 1, 4), 7, np.float32)
    for function in cuda.rungs("csr_matmul").values():
        with pytest.raises(ValueError, match=re.escape(message)):
            function(f4(2), *pattern, f4(3, 4), out=out)
        assert (out == 7).all()


@pytest.mark.parametrize(("R", "K", "N"), [(17, 8, 4), (5, 40, 20), (18, 64, 8)])
def test_two_four_over_several_tiles(R, K, N):
    op = OPS["two_four_matmul"]
    arrays = op.draw(np.random.default_rng(11), {"R": R, "K": K, "N": N})
    assert_fills(op, cuda.two_four_matmul, arrays, {}, "float32")


@pytest.mark.parametrize(("size", "bins"), [(3, 5), (1030, 6), (301, 3000), (9, 20000)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_histograms_of_any_size(size, bins, dtype):
    op, options = OPS["histogram"], {"bins": bins, "low": -1.5, "high": 2.0}
    (x,) = op.draw(np.random.default_rng(12), {"...": (size,)}, dtype)
    x[:3] = np.nan, 2.0, -1.5
    for function in cuda.rungs("histogram").values() if size < 100 else [cuda.histogram]:
        assert_fills(op, function, (x,), options, dtype)


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
@pytest.mark.parametrize(
    ("H", "W", "how"), [(9, 7, (3, 1, 1)), (12, 17, (3, 2, 1)), (6, 5, (5, 2, 2)), (70, 2, (60, 40, 30))]
)
def test_pooling_over_several_tiles(name, H, W, how):
    op, options = OPS[name], dict(zip(("kernel_size", "stride", "padding"), how, strict=True))
    arrays = op.draw(np.random.default_rng(13), {"B": 1, "C": 2, "H": H, "W": W})
    assert_fills(op, cuda.rungs(name)[name], arrays, options, "float32")


@pytest.mark.parametrize("function", cuda.rungs("max_pool2d").values(), ids=cuda.rungs("max_pool2d"))
def test_the_largest_of_extreme_pixels(function):
    x = np.full((1, 1, 4, 5), -np.inf, np.float32)
    x[0, 0, 0, 0], x[0, 0, 3, 4] = np.nan, np.inf
    options = {"kernel_size": 3, "stride": 1, "padding": 1}
    assert_agrees(OPS["max_pool2d"], function(x, **options), (x,), options, "float32")


def _address(array):
    return DeviceArray().memory(array).ctypes.data


def test_arrays_that_start_between_two_loads_of_128_bits():
    whole = device.to_device(np.random.default_rng(14).standard_normal(80).astype(np.float32))
    x, out = whole[1:33], whole[47:79]
    assert _address(whole) % 16 == 0 and _address(x) % 16 == 4
    assert cuda.softmax(x, out=out) is out
    assert_agrees(OPS["softmax"], out.copy_to_host(), (x.copy_to_host(),), {}, "float32")
    kind = DeviceArray()
    for array in (x, x.reshape(4, 8), x.reshape(2, 4, 4)):
        assert _address(kind.enter(array, kind.memory(array))) % 16 == 0
        assert _address(kind.target(array, kind.memory(array))) % 16 == 0
    aligned = whole[4:8]
    assert kind.enter(aligned, kind.memory(aligned)) is aligned
