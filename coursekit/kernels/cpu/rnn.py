"""A recurrent network over whole sequences: step by step, with one product for all inputs, with sequences in lanes."""

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.columns import LANES, TALL, add_row, fill_row, load_row
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.matmul import matmul
from coursekit.kernels.cpu.recurrence import FEWEST, first, inputs_parts, one_by_one, over_time, pack
from coursekit.kernels.cpu.simd import load, load_one, store, width
from coursekit.kernels.cpu.vector_math import tanh
from coursekit.kernels.ops import OPS


@compiled
def _textbook(x, weight_ih, weight_hh, bias_ih, bias_hh, h, out):
    N, T = x.shape[:2]
    H = h.shape[1]
    for n in range(N):
        for t in range(T):
            for j in range(H):
                total = bias_ih[j] + bias_hh[j]
                for k in range(x.shape[2]):
                    total += weight_ih[j, k] * x[n, t, k]
                for k in range(H):
                    total += weight_hh[j, k] * h[n, k]
                out[n, t, j] = np.tanh(total)
            h[n] = out[n, t]


@boundary(OPS["rnn"])
def rnn_textbook(x, weight_ih, weight_hh, bias_ih, bias_hh, h0=None, *, out=None):
    """:func:`rnn` by its formula, one sequence and one unit at a time.

    Each sum is a chain of additions that wait for each other, and each step of each sequence reads all weights again.
    """
    out, h = out
    h[...] = first(h0, out)
    _textbook(x, weight_ih, weight_hh, bias_ih, bias_hh, h, out)


@compiled
def _tanh_all(parts, products, h, out):
    for n in range(h.shape[0]):
        for j in range(h.shape[1]):
            h[n, j] = np.tanh(parts[n, j] + products[n, j])
        out[n] = h[n]


@boundary(OPS["rnn"])
def rnn_product(x, weight_ih, weight_hh, bias_ih, bias_hh, h0=None, *, out=None):
    """:func:`rnn` with the inputs' parts of all steps in one matrix product.

    They do not wait for the recurrence, so they are one product of N·T rows. What is left for each step is one product
    of N rows, and one pass for the sum and tanh.
    """
    out, h = out
    h[...] = first(h0, out)
    _by_product(x, weight_ih, weight_hh, bias_ih + bias_hh, h, out)


def _by_product(x, weight_ih, weight_hh, bias, h, out):
    parts, turned = inputs_parts(x, weight_ih, bias), np.ascontiguousarray(weight_hh.T)
    products = np.empty(h.shape, x.dtype)
    for t in range(x.shape[1]):
        _tanh_all(parts[t], matmul(h, turned, out=products), h, out[:, t])


@compiled(inline=True)
def _store_tanh(out, at, row):
    n = width(out)
    store(out, at, tanh(row[0]))
    store(out, at + n, tanh(row[1]))
    store(out, at + 2 * n, tanh(row[2]))


@compiled
def _cell(packed, bias, columns, fresh, memory):
    """One step of LANES sequences, four units at a time; ``bias`` is as long as four times the tiles."""
    weights, read, h = packed.reshape(-1), columns.reshape(-1), fresh.reshape(-1)
    groups, w = packed.shape[0], 0
    for j in range(groups):
        r0, r1 = fill_row(bias, j), fill_row(bias, j + groups)
        r2, r3 = fill_row(bias, j + 2 * groups), fill_row(bias, j + 3 * groups)
        for k in range(0, read.size, LANES):
            row = load_row(read, k)
            r0 = add_row(r0, load_one(weights, w), row)
            r1 = add_row(r1, load_one(weights, w + 1), row)
            r2 = add_row(r2, load_one(weights, w + 2), row)
            r3 = add_row(r3, load_one(weights, w + 3), row)
            w += TALL
        _store_tanh(h, j * LANES, r0)
        _store_tanh(h, (j + groups) * LANES, r1)
        _store_tanh(h, (j + 2 * groups) * LANES, r2)
        _store_tanh(h, (j + 3 * groups) * LANES, r3)


@compiled
def _step(inputs, sums, state, memory):
    """One step of one sequence, a vector of units at a time."""
    room = state.size
    for j in range(0, room, width(state)):
        store(state, j, tanh(load(inputs, j) + load(sums, j)))


_alone = one_by_one(_step)


_in_lanes = over_time(_cell)


@boundary(OPS["rnn"])
def rnn(x, weight_ih, weight_hh, bias_ih, bias_hh, h0=None, *, out=None):
    """A recurrent network with tanh over whole sequences, as torch.nn.RNN has it: one layer, batch first.

    Elman, "Finding structure in time", Cognitive Science 14(2), 1990. Sequences fill the lanes, so that a weight meets
    many of them, and four units are one tile of registers, tanh included. The weights are packed once, in the order in
    which the tiles read them. A few sequences would leave
    lanes empty; they are done one by one, with units in the lanes. float64 is done by :func:`rnn_product`.

    In float32 a sum is off by at most (I + H + 1) · 2⁻²⁴ · Σ|w·x|, and tanh adds two units in the last place. From step
    to step errors are carried on as by the exact recurrence.

    Args:
        x: shape (N, T, I), float32 or float64; NumPy array or torch tensor on the CPU.
        weight_ih, weight_hh: shapes (H, I) and (H, H), of the same dtype and kind.
        bias_ih, bias_hh: shape (H,), of the same dtype and kind; their sum counts.
        h0: shape (N, H), of the same dtype and kind; zeros where left out.
        out: two arrays shaped as below, filled and returned where given; they must not share memory with the inputs.

    Returns:
        The states of all steps, (N, T, H), and the last one, (N, H), of the inputs' dtype and kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, a tensor is not on the CPU, or ``out`` cannot be written without harm.
    """
    out, h = out
    h0, bias, H = first(h0, out), bias_ih + bias_hh, h.shape[1]
    if x.dtype == np.float32 and x.shape[0] >= FEWEST:
        groups = -(-H // TALL)
        none = np.empty((len(x), 0), x.dtype)
        padded = np.zeros(groups * TALL, x.dtype)
        padded[:H] = bias
        _in_lanes(x, pack(weight_ih, weight_hh, TALL, groups), padded, h0, none, out, h, none)
        return
    h[...] = h0
    if x.dtype == np.float32:
        none = np.empty((len(x), 0), x.dtype)
        _alone(inputs_parts(x, weight_ih, bias), weight_hh, np.zeros_like(bias), h, none, out)
    else:
        _by_product(x, weight_ih, weight_hh, bias, h, out)
