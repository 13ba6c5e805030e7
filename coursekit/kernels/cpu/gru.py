"""GRU over whole sequences: step by step, with one product for all inputs, and with sequences in lanes."""

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.columns import LANES, add_row, fill_row, load_row
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.matmul import matmul
from coursekit.kernels.cpu.recurrence import (
    FEWEST,
    first,
    inputs_parts,
    one_by_one,
    over_time,
    pack,
    sigmoid,
    sigmoid_of_one,
)
from coursekit.kernels.cpu.simd import fma, load, load_one, store, width
from coursekit.kernels.cpu.vector_math import tanh
from coursekit.kernels.ops import OPS


@compiled
def _textbook(x, weight_ih, weight_hh, bias_ih, bias_hh, h, out):
    N, T = x.shape[:2]
    H = h.shape[1]
    inputs, recurrent = np.empty(3 * H, x.dtype), np.empty(3 * H, x.dtype)
    for n in range(N):
        for t in range(T):
            for g in range(3 * H):
                inputs[g], recurrent[g] = bias_ih[g], bias_hh[g]
                for k in range(x.shape[2]):
                    inputs[g] += weight_ih[g, k] * x[n, t, k]
                for k in range(H):
                    recurrent[g] += weight_hh[g, k] * h[n, k]
            _update(inputs, recurrent, h[n])
            out[n, t] = h[n]


@compiled
def _update(inputs, recurrent, h):
    """From the sums of one sequence's gates (reset, update, candidate) the next state, in the place of the last."""
    H = h.size
    for j in range(H):
        reset = sigmoid_of_one(inputs[j] + recurrent[j])
        update = sigmoid_of_one(inputs[H + j] + recurrent[H + j])
        candidate = np.tanh(inputs[2 * H + j] + reset * recurrent[2 * H + j])
        h[j] = (1 - update) * candidate + update * h[j]


@boundary(OPS["gru"])
def gru_textbook(x, weight_ih, weight_hh, bias_ih, bias_hh, h0=None, *, out=None):
    """:func:`gru` by its formula, one sequence and one gate at a time.

    Each sum is a chain of additions that wait for each other, and each step of each sequence reads all weights again.
    """
    out, h = out
    h[...] = first(h0, out)
    _textbook(x, weight_ih, weight_hh, bias_ih, bias_hh, h, out)


@compiled
def _update_all(parts, products, bias, h, out):
    for n in range(h.shape[0]):
        for g in range(bias.size):
            products[n, g] += bias[g]
        _update(parts[n], products[n], h[n])
        out[n] = h[n]


@boundary(OPS["gru"])
def gru_product(x, weight_ih, weight_hh, bias_ih, bias_hh, h0=None, *, out=None):
    """:func:`gru` with the inputs' parts of all gates and steps in one matrix product.

    They do not wait for the recurrence, so they are one product of N·T rows. What is left for each step is one product
    of N rows, for all gates, and one pass that makes the next state of them.
    """
    out, h = out
    h[...] = first(h0, out)
    _by_product(x, weight_ih, weight_hh, bias_ih, bias_hh, h, out)


def _by_product(x, weight_ih, weight_hh, bias_ih, bias_hh, h, out):
    parts, turned = inputs_parts(x, weight_ih, bias_ih), np.ascontiguousarray(weight_hh.T)
    products = np.empty(parts.shape[1:], x.dtype)
    for t in range(x.shape[1]):
        _update_all(parts[t], matmul(h, turned, out=products), bias_hh, h, out[:, t])


@compiled(inline=True)
def _next_state(r, z, n, m, old, read, fresh, at):
    """``n`` and ``m`` are the candidate's sums over the inputs and the last state; h = n + z · (old - n)."""
    candidate = tanh(fma(sigmoid(r), m, n))
    store(fresh, at, fma(sigmoid(z), load(read, old) - candidate, candidate))


@compiled
def _cell(packed, bias, columns, fresh, memory):
    """One step of LANES sequences: a unit's sums are a tile. The candidate has two, since r comes between them."""
    weights, read, h = packed.reshape(-1), columns.reshape(-1), fresh.reshape(-1)
    H, lanes, w = packed.shape[0], width(columns), 0
    inputs = read.size - H * LANES
    for j in range(H):
        r, z = fill_row(bias, j), fill_row(bias, H + j)
        n, m = fill_row(bias, 2 * H + j), fill_row(bias, 3 * H + j)
        for k in range(0, inputs, LANES):
            row = load_row(read, k)
            r = add_row(r, load_one(weights, w), row)
            z = add_row(z, load_one(weights, w + 1), row)
            n = add_row(n, load_one(weights, w + 2), row)
            w += 3
        for k in range(inputs, read.size, LANES):
            row = load_row(read, k)
            r = add_row(r, load_one(weights, w), row)
            z = add_row(z, load_one(weights, w + 1), row)
            m = add_row(m, load_one(weights, w + 2), row)
            w += 3
        at = j * LANES
        _next_state(r[0], z[0], n[0], m[0], inputs + at, read, h, at)
        _next_state(r[1], z[1], n[1], m[1], inputs + at + lanes, read, h, at + lanes)
        _next_state(r[2], z[2], n[2], m[2], inputs + at + 2 * lanes, read, h, at + 2 * lanes)


@compiled(inline=True)
def _gate(inputs, sums, at):
    return load(inputs, at) + load(sums, at)


@compiled
def _step(inputs, sums, state, memory):
    """One step of one sequence, a vector of units at a time."""
    room = state.size
    for j in range(0, room, width(state)):
        r, z = _gate(inputs, sums, j), _gate(inputs, sums, room + j)
        n, m = load(inputs, 2 * room + j), load(sums, 2 * room + j)
        _next_state(r, z, n, m, j, state, state, j)


_alone = one_by_one(_step)


_in_lanes = over_time(_cell)


@boundary(OPS["gru"])
def gru(x, weight_ih, weight_hh, bias_ih, bias_hh, h0=None, *, out=None):
    """A network of gated recurrent units over whole sequences, as torch.nn.GRU has it: one layer, batch first.

    Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine translation",
    arXiv:1406.1078, section 2.3, with the reset gate after the product, as in arXiv:1412.3555's fast versions.

    Sequences fill the lanes, so that a weight meets many of them; the sums of a unit's gates are one tile of registers,
    and the next state is made of them on the spot. The weights are packed once, in the order in which the tiles read
    them. A few sequences would leave
    lanes empty; they are done one by one, with units in the lanes. float64 is done by :func:`gru_product`.

    In float32 a gate's sum is off by at most (I + H + 1) · 2⁻²⁴ · Σ|w·x|; sigmoid and tanh flatten errors, and add two
    units in the last place of their own. From step to step errors are carried on as by the exact recurrence.

    Args:
        x: shape (N, T, I), float32 or float64; NumPy array or torch tensor on the CPU.
        weight_ih, weight_hh: shapes (3H, I) and (3H, H), of the same dtype and kind: gates r, z, n.
        bias_ih, bias_hh: shape (3H,), of the same dtype and kind; r multiplies the last third of ``bias_hh``.
        h0: shape (N, H), of the same dtype and kind; zeros where left out.
        out: two arrays shaped as below, filled and returned where given; they must not share memory with the inputs.

    Returns:
        The states of all steps, (N, T, H), and the last one, (N, H), of the inputs' dtype and kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, a tensor is not on the CPU, or ``out`` cannot be written without harm.
    """
    out, h = out
    h0, H = first(h0, out), h.shape[1]
    if x.dtype == np.float32 and x.shape[0] >= FEWEST:
        both, none = bias_ih[: 2 * H] + bias_hh[: 2 * H], np.empty((len(x), 0), x.dtype)
        biases = np.concatenate([both, bias_ih[2 * H :], bias_hh[2 * H :]])
        _in_lanes(x, pack(weight_ih, weight_hh, 3, H), biases, h0, none, out, h, none)
        return
    h[...] = h0
    if x.dtype == np.float32:
        none = np.empty((len(x), 0), x.dtype)
        _alone(inputs_parts(x, weight_ih, bias_ih), weight_hh, bias_hh, h, none, out)
    else:
        _by_product(x, weight_ih, weight_hh, bias_ih, bias_hh, h, out)
