"""What :mod:`rnn`, :mod:`lstm` and :mod:`gru` share: the loop over time, and the weights in the order of the tiles."""

import numpy as np

from coursekit.kernels.cpu.columns import LANES, give_rows
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.matmul import multiply
from coursekit.kernels.cpu.simd import broadcast, width
from coursekit.kernels.cpu.simd_squares import turn, turned
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.cpu.vector_math import MINUS_ONE, ONE, exp_normal

FEWEST = LANES // 2
"""Sequences for which it pays to fill lanes with them."""


@compiled(inline=True)
def sigmoid(x):
    """1 / (1 + e⁻ˣ) of a vector, right to 2.5 units in the last place where it is no less than 2⁻¹²⁶."""
    return broadcast(ONE) / (broadcast(ONE) + exp_normal(x * broadcast(MINUS_ONE)))


@compiled
def sigmoid_of_one(x):
    return 1 / (1 + np.exp(-x))


def first(state, like):
    """The initial state, zeros where none is given; ``like`` is (N, T, ...) and ``state`` (N, H)."""
    return np.zeros((like.shape[0], like.shape[2]), like.dtype) if state is None else state


def inputs_parts(x, weight, bias):
    """x · weightᵀ + bias for all steps in one product, the steps first: (T, N, gates · H)."""
    N, T, I = x.shape
    steps = np.ascontiguousarray(x.transpose(1, 0, 2)).reshape(T * N, I)
    parts = np.empty((T * N, len(weight)), x.dtype)
    multiply(steps, turned(weight), parts)
    parts += bias
    return parts.reshape(T, N, len(bias))


@compiled
def pack(weight_ih, weight_hh, gates, groups):
    """The weights of ``groups`` tiles, a tile's ``gates`` numbers for one input side by side; what is missing is 0.

    Row g of tile j is row j + g · groups of the matrices: gate g of unit j where there are several gates.
    """
    I, H = weight_ih.shape[1], weight_hh.shape[1]
    packed = np.zeros((groups, I + H, gates), weight_ih.dtype)
    for j in range(groups):
        for g in range(gates):
            row = j + g * groups
            if row < weight_ih.shape[0]:
                for k in range(I):
                    packed[j, k, g] = weight_ih[row, k]
                for k in range(H):
                    packed[j, I + k, g] = weight_hh[row, k]
    return packed


@compiled
def _add_product(h, turned, sums):
    """sums + h · turned, four rows of the matrix for each pass over the sums."""
    H = h.size
    for k in range(0, H - 3, 4):
        _add_four(sums, h[k : k + 4], turned[k], turned[k + 1], turned[k + 2], turned[k + 3])
    for k in range(H // 4 * 4, H):
        x, row = h[k], turned[k]
        for i in range(sums.size):
            sums[i] += x * row[i]


@compiled
def _add_four(sums, x, b0, b1, b2, b3):
    x0, x1, x2, x3 = x[0], x[1], x[2], x[3]
    for i in range(sums.size):
        sums[i] += x0 * b0[i] + x1 * b1[i] + x2 * b2[i] + x3 * b3[i]


def one_by_one(step):
    """A function that carries one sequence after the other through time, with units side by side in the lanes.

    ``parts`` holds the inputs' parts. ``step(inputs, sums, state, memory)`` makes one step: ``inputs`` and ``sums``
    hold the gates' parts from the inputs and from the last state, each gate in whole vectors; the next state goes where
    the last one was.
    """

    @compiled
    def run(parts, weight_hh, bias, h, c, out):
        H, G = h.shape[1], weight_hh.shape[0]
        lanes = width(h)
        room = (H + lanes - 1) // lanes * lanes
        gates = G // max(H, 1)
        turned, ahead = np.zeros((H, gates * room), h.dtype), np.zeros(gates * room, h.dtype)
        for g in range(G):
            column = g // H * room + g % H
            ahead[column] = bias[g]
            for k in range(H):
                turned[k, column] = weight_hh[g, k]
        inputs, sums = np.zeros_like(ahead), np.empty_like(ahead)
        for n in range(h.shape[0]):
            state, memory = np.zeros(room, h.dtype), np.zeros(room, h.dtype)
            state[:H], memory[: c.shape[1]] = h[n], c[n]
            for t in range(parts.shape[0]):
                for g in range(gates):
                    inputs[g * room : g * room + H] = parts[t, n, g * H : (g + 1) * H]
                sums[:] = ahead
                _add_product(state[:H], turned, sums)
                step(inputs, sums, state, memory)
                out[n, t] = state[:H]
            h[n], c[n] = state[:H], memory[: c.shape[1]]

    return run


def over_time(cell):
    """A function that carries blocks of LANES sequences through time, side by side.

    ``cell(packed, bias, columns, fresh, memory)`` makes one step: ``columns`` holds a step's inputs and, below them,
    the last state; ``fresh`` receives the next one, and has room to spare. ``memory`` is what a cell remembers besides
    (an LSTM's c).
    """

    @compiled
    def run(x, packed, bias, h0, c0, out, h, c, start, stop):
        T, I = x.shape[1:]
        H = h0.shape[1]
        columns, fresh = np.zeros((I + H, LANES), x.dtype), np.zeros((bias.size, LANES), x.dtype)
        memory = np.zeros((c0.shape[1], LANES), x.dtype)
        for n in range(start, stop, LANES):
            end = min(n + LANES, stop)
            turn(h0[n:end], columns[I:])
            turn(c0[n:end], memory)
            for t in range(T):
                turn(x[n:end, t], columns)
                cell(packed, bias, columns, fresh, memory)
                columns[I:] = fresh[:H]
                give_rows(fresh, out[n:end, t])
            give_rows(columns[I:], h[n:end])
            give_rows(memory, c[n:end])

    def over_blocks(x, *others):
        split(lambda i, j: run(x, *others, i, j), x.shape[0], LANES)

    return over_blocks
