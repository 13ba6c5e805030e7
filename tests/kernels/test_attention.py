"""Attention where its numbers are extreme, where keys are hidden, and where lanes, tiles and blocks end."""

import numpy as np
import pytest
import torch

from coursekit.kernels import cpu, reference
from coursekit.kernels.cpu import threads
from coursekit.kernels.cpu.attention import FEW, KEYS, LANES, QUERIES
from coursekit.kernels.ops import OPS

from .agreement import assert_agrees

OP = OPS["attention"]
VERSIONS = [
    pytest.param(function, id=f"{backend.__name__.split('.')[-1]}.{name}")
    for backend in (reference, cpu)
    for name, function in backend.rungs("attention").items()
]
OURS = [v for v in VERSIONS if v.id.startswith("cpu")]
versions = pytest.mark.parametrize("function", VERSIONS)
ours = pytest.mark.parametrize("function", OURS)
edges = sorted({1, *(n + i for n in (LANES, QUERIES, KEYS) for i in (-1, 0, 1))})
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def draw(M, N, D, E, heads=(2,), dtype="float32", seed=0):
    sizes = {"...": heads, "M": M, "N": N, "D": D, "E": E}
    return OP.draw(np.random.default_rng(seed), sizes, dtype)


@dtypes
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("size", edges)
@ours
def test_where_blocks_end(function, size, causal, dtype):
    arrays = draw(size, size, 6, 5, dtype=dtype)
    assert_agrees(OP, function(*arrays, causal=causal), arrays, {"causal": causal}, dtype)


@dtypes
@pytest.mark.parametrize("M", [2, FEW + 1])
@pytest.mark.parametrize("width", [1, 3, 4, 5, 7, 8, 9])
@ours
def test_where_tiles_end(function, width, M, dtype):
    arrays = draw(M, 3 + width, width, 12 - width, dtype=dtype)
    assert_agrees(OP, function(*arrays), arrays, {}, dtype)


@dtypes
@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
@versions
def test_scores_of_a_thousand(function, order, dtype):
    """The largest score comes first, or last: what was summed before it has to vanish."""
    q, k, v = draw(30, 2 * KEYS + 9, 1, 4, dtype=dtype)
    q[:] = 1
    k[..., 0] = np.linspace(-1000, 1000, 2 * KEYS + 9)[order]
    assert_agrees(OP, function(q, k, v), (q, k, v), {}, dtype)


@versions
def test_equal_scores_give_the_plain_mean(function):
    q, k, v = draw(5, KEYS + 50, 8, 3)
    k[:] = k[:, :1]
    got = function(q, k, v)
    np.testing.assert_allclose(got, np.broadcast_to(v.mean(1, keepdims=True), got.shape), atol=1e-6)


@dtypes
@ours
@pytest.mark.parametrize("M", [2, FEW + 1])
def test_the_first_blocks_may_weigh_nothing(function, M, dtype):
    q, k, v = draw(M, 2 * KEYS + 9, 1, 4, dtype=dtype)
    q[:] = 1
    k[:, : KEYS + 5] = -np.inf
    got = function(q, k, v)
    assert_agrees(OP, got, (q, k, v), {}, dtype)
    assert np.isfinite(got).all()


@dtypes
@pytest.mark.parametrize("bad", [np.inf, np.nan])
@pytest.mark.parametrize("at", [0, KEYS + 1, -1])
@versions
def test_a_bad_score_spoils_its_query_only(function, at, bad, dtype):
    q, k, v = draw(40, 2 * KEYS + 9, 1, 4, dtype=dtype)
    q[:] = 1
    q[:, 1::2] = 0.5
    k[1, at] = bad
    got = function(q, k, v)
    assert np.isnan(got[1]).all()
    assert_agrees(OP, got[0], (q[0], k[0], v[0]), {}, dtype)
    q[1, 7] = np.nan
    k[1, at] = 1
    got = function(q, k, v)
    assert np.isnan(got[1, 7]).all()
    assert np.isnan(got).sum() == 4


@ours
@pytest.mark.parametrize("M", [2, FEW + 1])
def test_nothing_but_minus_infinity_has_no_answer(function, M):
    q, k, v = draw(M, 70, 1, 2)
    q[:], k[:] = 1, -np.inf
    assert np.isnan(function(q, k, v)).all()


@pytest.mark.parametrize("big", [1, 3e38])
@versions
def test_a_causal_query_knows_nothing_of_later_keys(function, big):
    q, k, v = draw(130, 130, 9, 6)
    before = function(q, k, v, causal=True)
    k[:, 100:], v[:, 100:] = -k[:, 100:], big
    after = function(q, k, v, causal=True)
    np.testing.assert_array_equal(after[:, :100], before[:, :100])
    assert (after[:, 100:] != before[:, 100:]).all()


@versions
def test_the_first_causal_query_gets_the_first_value(function):
    q, k, v = draw(30, 30, 4, 5)
    np.testing.assert_array_equal(function(q, k, v, causal=True)[:, 0], v[:, 0])


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("D", "E"), [(64, 64), (67, 2 * 8 * LANES // 3 + 5), (2, 3)])
def test_a_few_queries(D, E, causal):
    arrays = draw(FEW, 37, D, E)
    assert_agrees(OP, cpu.attention(*arrays, causal=causal), arrays, {"causal": causal}, "float32")


@pytest.mark.parametrize("bad", [np.inf, np.nan])
@pytest.mark.parametrize("at", [0, 5, -1])
def test_a_bad_score_of_one_query(at, bad):
    q, k, v = draw(1, 21, 1, 4)
    q[:], k[1, at] = 1, bad
    got = cpu.attention(q, k, v)
    assert np.isnan(got[1]).all()
    assert_agrees(OP, got[0], (q[0], k[0], v[0]), {}, "float32")
    k[1, at], v[1, at] = -np.inf, 3e38
    assert_agrees(OP, cpu.attention(q, k, v), (q, k, v), {}, "float32")


@pytest.mark.parametrize("M", [2, 200])
@pytest.mark.parametrize("causal", [False, True])
def test_any_number_of_threads_gives_the_same_bits(causal, M):
    arrays, before = draw(M, 150, 16, 24, heads=(3,)), cpu.get_num_threads()
    try:
        results = [threads.set_num_threads(n) or cpu.attention(*arrays, causal=causal) for n in (1, 2, 3, 5)]
    finally:
        cpu.set_num_threads(before)
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


@pytest.mark.parametrize("backend", [reference, cpu])
def test_misuse(backend):
    q, k, v = draw(3, 4, 5, 6)
    with pytest.raises(ValueError, match=r"attention: k must have shape \(..., N, D\) with D = 5 to match q"):
        backend.attention(q, v, v)
    with pytest.raises(ValueError, match=r"attention: v must have shape \(..., N, E\) with N = 4 to match k"):
        backend.attention(q, k, v[:, 1:])
    with pytest.raises(ValueError, match=r"attention: k must have .* with \.\.\. = \(2,\) to match q"):
        backend.attention(q, k[:1], v)
    with pytest.raises(TypeError, match="attention: causal must be of type bool; got 1"):
        backend.attention(q, k, v, causal=1)
    with pytest.raises(ValueError, match="attention: out must not share memory with v"):
        backend.attention(k, k, v, out=v[..., :6])


def attention_by_hand(M, N, D, E, causal):
    """Operations one by one: products and sums, the scale, the softmax's five, products and sums."""
    count = 0
    for m in range(M):
        for n in range(N):
            if not causal or n <= m:
                count += 2 * D + 1 + 5 + 2 * E
    return count


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("M", "N"), [(4, 6), (6, 4), (1, 1), (0, 3)])
def test_costs(M, N, causal):
    sizes = {"...": (2, 3), "M": M, "N": N, "D": 5, "E": 7}
    assert OP.cost(sizes, causal=causal).flops == 6 * attention_by_hand(M, N, 5, 7, causal)


def test_torch_heads_that_are_views():
    """The shape in which a layer has them: heads split from columns, dimensions swapped."""
    whole = torch.randn(2, 30, 3 * 4 * 8, generator=torch.Generator().manual_seed(0))
    q, k, v = (part.unflatten(-1, (4, 8)).transpose(1, 2) for part in whole.chunk(3, -1))
    wanted = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    torch.testing.assert_close(cpu.attention(q, k, v, causal=True), wanted)
