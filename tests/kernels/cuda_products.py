"""Matrix products in CUDA beyond the contract's cases: other tiles, slices, and grids that are not deep enough."""

import sys

import numpy as np
import pytest
from numba import cuda as device

from coursekit.kernels import cuda
from coursekit.kernels.bfloat16 import from_bfloat16, to_bfloat16
from coursekit.kernels.cuda import word_tiles
from coursekit.kernels.cuda.bfloat16_matmul import tiles as bfloat16_tiles
from coursekit.kernels.cuda.half_matmul import tiles as half_tiles
from coursekit.kernels.cuda.kernel import SIMULATED
from coursekit.kernels.ops import OPS

from .agreement import assert_agrees, assert_fills

WORD_TILES = {"one warp": ((1, 1), (1, 1), 8), "tall": ((1, 2), (2, 1), 8), "deep": ((1, 1), (2, 2), 16)}
TILES = {"half_matmul": half_tiles, "bfloat16_matmul": bfloat16_tiles}


@pytest.mark.skipif(not SIMULATED, reason="the tests of the operations run the tile for GPUs")
@pytest.mark.parametrize("tile", WORD_TILES.values(), ids=WORD_TILES)
@pytest.mark.parametrize(("name", "tiles"), TILES.items(), ids=TILES)
def test_tiles_of_other_sizes(name, tiles, tile):
    """The simulator cannot run the tile for GPUs; what that has more of than the small one is tried here."""
    tile = word_tiles.Tile(*tile)
    product = tiles(tile)
    op = OPS[name]
    a, b = op.draw(np.random.default_rng(6), {"M": tile.rows + 1, "K": 40, "N": tile.columns + 8})
    out = device.to_device(np.full((len(a), b.shape[1]), np.nan, np.float32))
    words = [word_tiles.words(device.to_device(x)) for x in (a, b)]
    product[(2, 2), tile.threads](*words, *out.shape, 20, out.reshape(out.size))
    assert_agrees(op, out.copy_to_host(), (a, b), {}, "float32")


@pytest.mark.parametrize("name", ["matmul", "half_matmul", "bfloat16_matmul", "int8_matmul"])
def test_slices_that_start_between_the_addresses_of_wide_loads(name):
    op = OPS[name]
    a, b = op.draw(np.random.default_rng(7), {"M": 4, "K": 16, "N": 16})
    wide = device.to_device(np.concatenate([a[0, :1], a.ravel()]))
    got = cuda.rungs(name)[name](wide[1:].reshape(a.shape), device.to_device(b))
    assert_agrees(op, got.copy_to_host(), (a, b), {}, "float32")


@pytest.mark.parametrize(
    "function", cuda.rungs("bfloat16_matmul").values(), ids=cuda.rungs("bfloat16_matmul")
)
def test_bits_of_every_exponent(function):
    """Through the identity, on either side: each number comes out as it went in, the subnormal ones too."""
    exponents = np.arange(255, dtype=np.uint16)
    bits = np.append(exponents << 7, np.uint16(0x8055) | exponents[:-1] << 7)[:504].reshape(63, 8)
    wide, one = from_bfloat16(bits), to_bfloat16(np.eye(8, dtype=np.float32))
    np.testing.assert_array_equal(function(bits, one), wide)
    np.testing.assert_array_equal(function(one, np.ascontiguousarray(bits[:8].T)), wide[:8].T)


@pytest.mark.parametrize("function", cuda.rungs("batched_matmul").values(), ids=cuda.rungs("batched_matmul"))
def test_more_pairs_than_a_grid_is_deep(function, monkeypatch):
    monkeypatch.setattr(sys.modules["coursekit.kernels.cuda.batched_matmul"], "MOST", 2)
    op = OPS["batched_matmul"]
    arrays = op.draw(np.random.default_rng(8), {"...": (5,), "M": 3, "K": 12, "N": 4})
    assert_fills(op, function, arrays, {}, "float32")
