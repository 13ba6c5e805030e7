"""Recurrent networks: initial states, gates that are wide open or shut, many steps, and where lanes end."""

import numpy as np
import pytest
import torch

from coursekit.kernels import cpu, reference
from coursekit.kernels.cpu.columns import LANES
from coursekit.kernels.cpu.recurrence import FEWEST
from coursekit.kernels.ops import OPS

from .agreement import as_tuple, assert_agrees

NAMES = ("rnn", "lstm", "gru")
GATES = {"rnn": 1, "lstm": 4, "gru": 3}
VERSIONS = [
    pytest.param(OPS[name], function, id=f"{backend.__name__.split('.')[-1]}.{version}")
    for backend in (reference, cpu)
    for name in NAMES
    for version, function in backend.rungs(name).items()
]
versions = pytest.mark.parametrize(("op", "function"), VERSIONS)
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])
BIG = FEWEST + 3


def draw(op, N, T, I, H, dtype="float32", seed=0):
    return op.draw(np.random.default_rng(seed), {"N": N, "T": T, "I": I, "H": H}, dtype)


@pytest.mark.parametrize("N", sorted({n + i for n in (FEWEST, LANES, 2 * LANES) for i in (-1, 0, 1)}))
@pytest.mark.parametrize("name", NAMES)
def test_where_lanes_end(name, N):
    for H in (1, 3, 4, 5, 8):
        arrays = draw(OPS[name], N, 3, 6, H)
        assert_agrees(OPS[name], getattr(cpu, name)(*arrays), arrays, {}, "float32")


@dtypes
@pytest.mark.parametrize("N", [1, BIG])
@versions
def test_states_that_are_left_out_are_zeros(op, function, N, dtype):
    five = draw(op, N, 4, 5, 6, dtype)[:5]
    assert_agrees(op, function(*five), five, {}, dtype)
    h0 = np.full((N, 6), 0.5, dtype)
    assert_agrees(op, function(*five, h0), (*five, h0), {}, dtype)
    if op.name == "lstm":
        assert_agrees(op, function(*five, None, h0), (*five, None, h0), {}, dtype)


@pytest.mark.parametrize("N", [2, BIG])
@versions
def test_a_sequence_in_two_parts(op, function, N):
    """The last states of the first part are where the second part begins."""
    x, *others = draw(op, N, 9, 5, 6)
    whole = function(x, *others)
    head, *states = function(x[:, :4], *others)
    tail, *last = function(x[:, 4:], *others[:4], *states)
    np.testing.assert_allclose(np.concatenate([head, tail], 1), whole[0], rtol=1e-5, atol=1e-6)
    for got, wanted in zip(last, whole[1:], strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("N", [1, BIG])
@versions
def test_the_last_output_is_the_last_state(op, function, N):
    out, h, *_ = function(*draw(op, N, 5, 3, 4))
    np.testing.assert_array_equal(out[:, -1], h)


@dtypes
@pytest.mark.parametrize("N", [1, BIG])
@pytest.mark.parametrize("size", [50, 1e4, 1e30])
@versions
def test_gates_that_are_wide_open_or_shut(op, function, size, N, dtype):
    arrays = draw(op, N, 5, 3, 4, dtype)
    signs = np.sign(arrays[3])
    arrays[3][...], arrays[4][...] = signs * size, signs
    got = function(*arrays)
    assert all(np.isfinite(part).all() for part in as_tuple(got))
    assert_agrees(op, got, arrays, {}, dtype)


@pytest.mark.parametrize("N", [1, BIG])
@versions
def test_small_numbers_keep_their_digits(op, function, N):
    """Without inputs' sums near 1 nothing may hide a relative error of tanh: states as small as 1e-20."""
    x, w, u, b, d, h0, *c0 = draw(op, N, 4, 3, 4)
    tiny = np.float32(1e-20)
    arrays = (x * tiny, w, u, b * 0, d * 0, h0 * tiny, *(c * tiny for c in c0))
    for got, wanted in zip(function(*arrays), op.reference(*arrays), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-25)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("N", [3, BIG])
@versions
def test_a_bad_number_stays_in_its_sequence_and_its_future(op, function, N, bad):
    x, *others = draw(op, N, 6, 3, 4)
    before = function(x, *others)[0]
    x[1, 3, 0] = bad
    after = function(x, *others)[0]
    if np.isnan(bad):
        assert np.isnan(after[1, 3:]).all()
    np.testing.assert_array_equal(after[1, :3], before[1, :3])
    np.testing.assert_array_equal(np.delete(after, 1, 0), np.delete(before, 1, 0))


@pytest.mark.parametrize("N", [1, BIG])
@versions
def test_errors_do_not_grow_over_many_steps(op, function, N):
    arrays = draw(op, N, 500, 4, 8)
    assert_agrees(op, function(*arrays), arrays, {}, "float32")


@pytest.mark.parametrize("name", NAMES)
def test_weights_of_torchs_own_layers_fit(name):
    torch.manual_seed(0)
    layer = getattr(torch.nn, name.upper())(7, 9, batch_first=True)
    x = torch.randn(30, 5, 7)
    weights = (layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0, layer.bias_hh_l0)
    with torch.no_grad():
        wanted, states = layer(x)
        out, *last = getattr(cpu, name)(x, *weights)
    torch.testing.assert_close(out, wanted)
    for got, state in zip(last, as_tuple(states), strict=True):
        torch.testing.assert_close(got, state[0])


@pytest.mark.parametrize("N", [3, 4 * LANES + 5])
@pytest.mark.parametrize("name", NAMES)
def test_any_number_of_threads_gives_the_same_bits(name, N):
    arrays, before, results = draw(OPS[name], N, 5, 7, 9), cpu.get_num_threads(), []
    try:
        for number in (1, 2, 3, 5):
            cpu.set_num_threads(number)
            results.append(getattr(cpu, name)(*arrays))
    finally:
        cpu.set_num_threads(before)
    for other in results[1:]:
        for got, wanted in zip(other, results[0], strict=True):
            np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("backend", [reference, cpu])
@pytest.mark.parametrize("name", NAMES)
def test_misuse(name, backend):
    call, arrays = getattr(backend, name), list(draw(OPS[name], 2, 3, 4, 5))
    rows = f"{GATES[name]}H" if GATES[name] > 1 else "H"
    x, w, u, *others = arrays
    wrong = np.ones((len(w), 7), np.float32)
    with pytest.raises(ValueError, match=rf"{name}: weight_ih must have shape \({rows}, I\) with I = 4"):
        call(x, wrong, u, *others)
    if rows != "H":
        message = rf"{name}: weight_ih must have shape \({rows}, I\) = \({5 * GATES[name]}, 4\)"
        with pytest.raises(ValueError, match=message):
            call(x, w[:-1], u[:-1], *(b[:-1] for b in others[:2]), *others[2:])
    with pytest.raises(ValueError, match=rf"{name}: h0 must have shape \(N, H\)"):
        call(x, w, u, *others[:2], np.ones((2, 6), np.float32))
    with pytest.raises(TypeError, match=rf"{name}: out must be a tuple \(out, h"):
        call(*arrays, out=x)
    states = [np.zeros((2, 5), np.float32) for _ in OPS[name].outputs[1:]]
    states[-1] = others[2]
    with pytest.raises(ValueError, match="must not share memory with h0"):
        call(*arrays, out=(np.zeros((2, 3, 5), np.float32), *states))


def by_hand(name, N, T, I, H):
    """Operations one by one, for each unit of each step of each sequence."""
    sums = GATES[name] * (
        I + I + H + H + 1
    )  # multiply-adds, the last of them into the first bias; the other bias
    sums += GATES[name]
    sigmoid = 4
    rest = {
        "rnn": 1,  # tanh
        "lstm": 3 * sigmoid + 2 + 3 + 1,  # two tanh, two products and a sum for c, one product for h
        "gru": 2 * sigmoid + 1 + 1 + 4,  # tanh, r times a sum; 1 - z, two products, a sum
    }
    return N * T * H * (sums + rest[name])


@pytest.mark.parametrize("name", NAMES)
def test_costs(name):
    sizes = {"N": 2, "T": 3, "I": 5, "H": 7}
    assert OPS[name].cost(sizes).flops == by_hand(name, 2, 3, 5, 7)
