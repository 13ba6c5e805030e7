"""What :mod:`rnn`, :mod:`lstm` and :mod:`gru` share: the loop over time, and the weights in the order of the tiles."""

import numpy as np

from coursekit.kernels.cpu.columns import LANES, give_rows
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.linear_packed import multiply_one
from coursekit.kernels.cpu.matmul import multiply
from coursekit.kernels.cpu.pack_linear import pack_panels
from coursekit.kernels.cpu.simd import broadcast
from coursekit.kernels.cpu.simd_squares import turn, turned
from coursekit.kernels.cpu.threads import split
from coursekit.kernels.cpu.vector_math import MINUS_ONE, ONE, exp_normal
from coursekit.kernels.ops.linear import PANEL

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
def _gates_in_panels(weight, bias, gates):
    """The weight packed as a linear layer's is, and the bias, each gate from a panel of its own on."""
    G, H = weight.shape[0] // max(gates, 1), weight.shape[1]
    each = (G + PANEL - 1) // PANEL
    panels, ahead = (
        np.zeros((gates * each, H, PANEL), weight.dtype),
        np.zeros(gates * each * PANEL, weight.dtype),
    )
    for g in range(gates):
        pack_panels(weight[g * G : (g + 1) * G], panels[g * each : (g + 1) * each])
        ahead[g * each * PANEL : g * each * PANEL + G] = bias[g * G : (g + 1) * G]
    return panels, ahead


def one_by_one(step):
    """A function that carries one sequence after the other through time, with units side by side in the lanes.

    ``parts`` holds the inputs' parts. ``step(inputs, sums, state, memory)`` makes one step: ``inputs`` and ``sums``
    hold the gates' parts from the inputs and from the last state, each gate in whole vectors; the next state goes where
    the last one was.
    """

    @compiled
    def run(parts, weight_hh, bias, h, c, out):
        H = h.shape[1]
        gates = weight_hh.shape[0] // max(H, 1)
        panels, ahead = _gates_in_panels(weight_hh, bias, gates)
        room = ahead.size // max(gates, 1)
        inputs, sums = np.zeros_like(ahead), np.empty_like(ahead)
        for n in range(h.shape[0]):
            state, memory = np.zeros(room, h.dtype), np.zeros(room, h.dtype)
            state[:H], memory[: c.shape[1]] = h[n], c[n]
            for t in range(parts.shape[0]):
                for g in range(gates):
                    inputs[g * room : g * room + H] = parts[t, n, g * H : (g + 1) * H]
                multiply_one(state[:H].reshape(1, H), panels, ahead, sums.reshape(1, -1), 0, sums.size)
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
