"""LSTM over whole sequences: step by step, with one product for all inputs, and with sequences in lanes."""

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
def _textbook(x, weight_ih, weight_hh, bias_ih, bias_hh, h, c, out):
    N, T = x.shape[:2]
    H = h.shape[1]
    gates = np.empty(4 * H, x.dtype)
    for n in range(N):
        for t in range(T):
            for g in range(4 * H):
                total = bias_ih[g] + bias_hh[g]
                for k in range(x.shape[2]):
                    total += weight_ih[g, k] * x[n, t, k]
                for k in range(H):
                    total += weight_hh[g, k] * h[n, k]
                gates[g] = total
            _remember(gates, h[n], c[n])
            out[n, t] = h[n]


@compiled
def _remember(gates, h, c):
    """From the sums of one sequence's gates (input, forget, candidate, output) the next h and c, in their places."""
    H = h.size
    for j in range(H):
        kept = sigmoid_of_one(gates[H + j]) * c[j]
        c[j] = kept + sigmoid_of_one(gates[j]) * np.tanh(gates[2 * H + j])
        h[j] = sigmoid_of_one(gates[3 * H + j]) * np.tanh(c[j])


@boundary(OPS["lstm"])
def lstm_textbook(x, weight_ih, weight_hh, bias_ih, bias_hh, h0=None, c0=None, *, out=None):
    """:func:`lstm` by its formula, one sequence and one gate at a time.

    Each gate is a dot product, a chain of additions that wait for each other; and each step of each sequence reads all
    weights again.
    """
    out, h, c = out
    h[...], c[...] = first(h0, out), first(c0, out)
    _textbook(x, weight_ih, weight_hh, bias_ih, bias_hh, h, c, out)


@compiled
def _remember_all(parts, products, h, c, out):
    for n in range(h.shape[0]):
        for g in range(parts.shape[1]):
            parts[n, g] += products[n, g]
        _remember(parts[n], h[n], c[n])
        out[n] = h[n]


@boundary(OPS["lstm"])
def lstm_product(x, weight_ih, weight_hh, bias_ih, bias_hh, h0=None, c0=None, *, out=None):
    """:func:`lstm` with the inputs' parts of all gates and steps in one matrix product.

    They do not wait for the recurrence, so they are one product of N·T rows. What is left for each step is one product
    of N rows, for all gates, and one pass that makes the next state of them.
    """
    out, h, c = out
    h[...], c[...] = first(h0, out), first(c0, out)
    _by_product(x, weight_ih, weight_hh, bias_ih + bias_hh, h, c, out)


def _by_product(x, weight_ih, weight_hh, bias, h, c, out):
    parts, turned = inputs_parts(x, weight_ih, bias), np.ascontiguousarray(weight_hh.T)
    products = np.empty(parts.shape[1:], x.dtype)
    for t in range(x.shape[1]):
        _remember_all(parts[t], matmul(h, turned, out=products), h, c, out[:, t])


@compiled(inline=True)
def _next_state(i, f, g, o, memory, fresh, at):
    c = fma(sigmoid(f), load(memory, at), sigmoid(i) * tanh(g))
    store(memory, at, c)
    store(fresh, at, sigmoid(o) * tanh(c))


@compiled
def _cell(packed, bias, columns, fresh, memory):
    """One step of LANES sequences: the four gates of one unit are a tile, and its sums never leave the registers."""
    weights, read = packed.reshape(-1), columns.reshape(-1)
    c, h = memory.reshape(-1), fresh.reshape(-1)
    H, n, w = memory.shape[0], width(columns), 0
    for j in range(H):
        i, f = fill_row(bias, j), fill_row(bias, H + j)
        g, o = fill_row(bias, 2 * H + j), fill_row(bias, 3 * H + j)
        for k in range(0, read.size, LANES):
            row = load_row(read, k)
            i = add_row(i, load_one(weights, w), row)
            f = add_row(f, load_one(weights, w + 1), row)
            g = add_row(g, load_one(weights, w + 2), row)
            o = add_row(o, load_one(weights, w + 3), row)
            w += 4
        at = j * LANES
        _next_state(i[0], f[0], g[0], o[0], c, h, at)
        _next_state(i[1], f[1], g[1], o[1], c, h, at + n)
        _next_state(i[2], f[2], g[2], o[2], c, h, at + 2 * n)


@compiled(inline=True)
def _gate(inputs, sums, at):
    return load(inputs, at) + load(sums, at)


@compiled
def _step(inputs, sums, state, memory):
    """One step of one sequence, a vector of units at a time."""
    room = state.size
    for j in range(0, room, width(state)):
        i, f = _gate(inputs, sums, j), _gate(inputs, sums, room + j)
        g, o = _gate(inputs, sums, 2 * room + j), _gate(inputs, sums, 3 * room + j)
        _next_state(i, f, g, o, memory, state, j)


_alone = one_by_one(_step)


_in_lanes = over_time(_cell)


@boundary(OPS["lstm"])
def lstm(x, weight_ih, weight_hh, bias_ih, bias_hh, h0=None, c0=None, *, out=None):
    """A long short-term memory over whole sequences, as torch.nn.LSTM has it: one layer, one direction, batch first.

    Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation 9(8), 1997, with the forget gate of Gers,
    Schmidhuber and Cummins, "Learning to forget", Neural Computation 12(10), 2000, section 3.

    Sequences fill the lanes, so that a weight meets many of them, and the four gates of a unit are one tile of
    registers: when its sums over inputs and last state are complete, c and h are made of them on the spot. The weights
    are packed once, in the order in which the tiles read them. A few sequences would leave
    lanes empty; they are done one by one, with units in the lanes. float64 is done by :func:`lstm_product`.

    In float32 a gate's sum is off by at most (I + H + 1) · 2⁻²⁴ · Σ|w·x|; sigmoid and tanh flatten errors, and add two
    units in the last place of their own. From step to step errors are carried on as by the exact recurrence.

    Args:
        x: shape (N, T, I), float32 or float64; NumPy array or torch tensor on the CPU.
        weight_ih: shape (4H, I), of the same dtype and kind: the rows of the gates i, f, g and o in turn.
        weight_hh: shape (4H, H), of the same dtype and kind.
        bias_ih, bias_hh: shape (4H,), of the same dtype and kind; their sum counts.
        h0, c0: shape (N, H), of the same dtype and kind; zeros where left out.
        out: three arrays shaped as below, filled and returned where given; they must not share memory with the inputs.

    Returns:
        The states of all steps, (N, T, H), the last h, (N, H), and the last c, (N, H), of the inputs' dtype and kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, a tensor is not on the CPU, or ``out`` cannot be written without harm.
    """
    out, h, c = out
    h0, c0, bias = first(h0, out), first(c0, out), bias_ih + bias_hh
    if x.dtype == np.float32 and x.shape[0] >= FEWEST:
        packed = pack(weight_ih, weight_hh, 4, h.shape[1])
        _in_lanes(x, packed, bias, h0, c0, out, h, c)
        return
    h[...], c[...] = h0, c0
    if x.dtype == np.float32:
        _alone(inputs_parts(x, weight_ih, bias), weight_hh, np.zeros_like(bias), h, c, out)
    else:
        _by_product(x, weight_ih, weight_hh, bias, h, c, out)
