"""The CUDA backend against the contract, on a GPU or in Numba's simulator.

``test_cuda.py`` runs this file in a process of its own, since the simulator has to be chosen before
Numba is imported. By hand: ``NUMBA_ENABLE_CUDASIM=1 python -m pytest tests/kernels/cuda_device.py``.
"""

import re
import sys

import numpy as np
import pytest
from numba import cuda as device

from coursekit.kernels import cuda
from coursekit.kernels.cuda import word_tiles
from coursekit.kernels.cuda.arrays import NumPyArray
from coursekit.kernels.cuda.half_matmul import tiles as half_tiles
from coursekit.kernels.cuda.kernel import SIMULATED
from coursekit.kernels.ops import OPS

from .agreement import assert_agrees, assert_fills, worst
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
    "batched_matmul": ({"...": (2,), "M": 3, "K": 4, "N": 8}, {}),
    "linear": ({"M": 3, "K": 4, "N": 8}, {}),
    "half_matmul": ({"M": 3, "K": 8, "N": 16}, {}),
    "int8_matmul": ({"M": 3, "K": 16, "N": 8}, {}),
    "int8_matmul_packed": ({"M": 3, "K": 16}, {"columns": 8}),
    "softmax": ({"...": (3, 2)}, {"axis": 0}),
    "bias_gelu": ({"...": (3,), "N": 4}, {}),
}


def results(op, sizes, options):
    """Shapes, and arrays of float32 or what else it must be, full of what no kernel writes by chance."""
    sizes = op.sizes(sizes, options)
    dtypes = [(a.dims(sizes), "float32" if a.dtype == "T" else a.dtype) for a in op.outputs]
    return [np.full(shape, worst(dtype), dtype) for shape, dtype in dtypes]


@pytest.fixture(autouse=True)
def nothing_is_left_of_the_call_before(monkeypatch):
    """Fresh memory on the device may hold the right results already, those of another version."""
    filled = lambda self, out, memory: device.to_device(np.full(out.shape, worst(out.dtype), out.dtype))  # noqa: E731
    monkeypatch.setattr(NumPyArray, "target", filled)


@pytest.mark.parametrize(("op", "function", "case", "dtype"), CASES)
def test_agrees(op, function, case, dtype):
    arrays = op.draw(np.random.default_rng(1), case.sizes, dtype, **case.options)
    assert_fills(op, function, arrays, case.options, dtype)


@each_version
def test_device_arrays_stay_on_the_device(op, function):
    sizes, options = SMALL[op.name]
    arrays = op.draw(np.random.default_rng(2), sizes, **options)
    turned = [device.to_device(np.ascontiguousarray(a.T)).T for a in arrays]
    got = function(*turned, **options)
    assert not isinstance(got, np.ndarray)
    assert_agrees(op, got.copy_to_host(), arrays, options, "float32")


@each_version
def test_out_on_the_device_in_any_order(op, function):
    sizes, options = SMALL[op.name]
    arrays = op.draw(np.random.default_rng(3), sizes, **options)
    (empty,) = results(op, sizes, options)
    for out in (device.to_device(empty), device.to_device(np.ascontiguousarray(empty.T)).T):
        assert function(*map(device.to_device, arrays), **options, out=out) is out
        assert_agrees(op, out.copy_to_host(), arrays, options, "float32")


def test_every_other_element_of_a_device_vector():
    x = np.random.default_rng(4).standard_normal(14).astype(np.float32)
    got = cuda.softmax(device.to_device(x)[::2])
    assert_agrees(OPS["softmax"], got.copy_to_host(), (x[::2],), {}, "float32")


@pytest.mark.parametrize("name", ["softmax", "bias_gelu"])
def test_in_place_on_the_device(name):
    sizes, options = SMALL[name]
    first, *others = OPS[name].draw(np.random.default_rng(5), sizes)
    x = device.to_device(first)
    cuda.rungs(name)[name](x, *map(device.to_device, others), **options, out=x)
    assert_agrees(OPS[name], x.copy_to_host(), (first, *others), options, "float32")


@pytest.mark.parametrize("function", cuda.rungs("softmax").values(), ids=cuda.rungs("softmax"))
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_softmax_of_extreme_rows(function):
    inf = np.inf
    x = np.array([[1e4, -1e4, 0], [-inf, 0, 1], [-inf, -inf, -inf], [np.nan, 0, 1]], np.float32)
    assert_agrees(OPS["softmax"], function(x), (x,), {}, "float32")


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


WORD_TILES = {"one warp": ((1, 1), (1, 1), 8), "tall": ((1, 2), (2, 1), 8), "deep": ((1, 1), (2, 2), 16)}


@pytest.mark.skipif(not SIMULATED, reason="the tests of the operations run the tile for GPUs")
@pytest.mark.parametrize("tile", WORD_TILES.values(), ids=WORD_TILES)
def test_tiles_of_other_sizes(tile):
    """The simulator cannot run the tile for GPUs; what that has more of than the small one is tried here."""
    tile = word_tiles.Tile(*tile)
    product = half_tiles(tile)
    op = OPS["half_matmul"]
    a, b = op.draw(np.random.default_rng(6), {"M": tile.rows + 1, "K": 40, "N": tile.columns + 8})
    out = device.to_device(np.full((len(a), b.shape[1]), np.nan, np.float32))
    words = [word_tiles.words(device.to_device(x)) for x in (a, b)]
    product[(2, 2), tile.threads](*words, *out.shape, 20, out.reshape(out.size))
    assert_agrees(op, out.copy_to_host(), (a, b), {}, "float32")


@pytest.mark.parametrize("name", ["matmul", "half_matmul", "int8_matmul"])
def test_slices_that_start_between_the_addresses_of_wide_loads(name):
    op = OPS[name]
    a, b = op.draw(np.random.default_rng(7), {"M": 4, "K": 16, "N": 16})
    wide = device.to_device(np.concatenate([a[0, :1], a.ravel()]))
    got = cuda.rungs(name)[name](wide[1:].reshape(a.shape), device.to_device(b))
    assert_agrees(op, got.copy_to_host(), (a, b), {}, "float32")


@pytest.mark.parametrize("function", cuda.rungs("batched_matmul").values(), ids=cuda.rungs("batched_matmul"))
def test_more_pairs_than_a_grid_is_deep(function, monkeypatch):
    monkeypatch.setattr(sys.modules["coursekit.kernels.cuda.batched_matmul"], "MOST", 2)
    op = OPS["batched_matmul"]
    arrays = op.draw(np.random.default_rng(8), {"...": (5,), "M": 3, "K": 12, "N": 4})
    assert_fills(op, function, arrays, {}, "float32")
