"""The cells of recurrent networks, one step ahead and one back.

A cell is two functions. ``step`` makes gates of sums and the next state of them; ``pull`` makes, of the gradient of a
state, those of the sums.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.recurrence import sigmoid, sigmoid_of_one
from coursekit.kernels.cpu.rows import load_part, store_part
from coursekit.kernels.cpu.simd import width
from coursekit.kernels.cpu.vector_math import tanh


def _in_place(function):
    """A kernel that replaces the numbers of a row by ``function`` of them."""

    @compiled
    def run(row):
        for i in range(row.size):
            row[i] = function(row[i])

    return run


def _in_place_on_vectors(function):
    @compiled
    def run(row):
        for i in range(0, row.size, width(row)):
            store_part(row, i, function(load_part(row, i, row.size - i)), row.size - i)

    return run


@compiled(inline=True)
def _tanh_of_one(x):
    return np.tanh(x)


NUMBERS = _in_place(_tanh_of_one), _in_place(sigmoid_of_one)
VECTORS = _in_place_on_vectors(tanh), _in_place_on_vectors(sigmoid)
"""tanh and sigmoid of a row: for any dtype, and for float32."""


@compiled
def _add_sums(row, products, bias):
    for g in range(row.size):
        row[g] += products[g] + bias[g]


def _rnn_step(squash, gate):
    @compiled
    def step(gates, products, bias, before, after, c_before, c_after, kept):
        for n in range(after.shape[0]):
            _add_sums(gates[n], products[n], bias)
            squash(gates[n])
            after[n] = gates[n]

    return step


@compiled
def _rnn_pull(gates, kept, before, c_before, slope, carried, delta, inner, direct):
    one = slope.dtype.type(1)
    for n in range(slope.shape[0]):
        for j in range(slope.shape[1]):
            delta[n, j] = slope[n, j] * (one - gates[n, j] * gates[n, j])


def _lstm_step(squash, gate):
    """What is kept is tanh(c)."""

    @compiled
    def step(gates, products, bias, before, after, c_before, c_after, kept):
        H = after.shape[1]
        for n in range(after.shape[0]):
            row = gates[n]
            _add_sums(row, products[n], bias)
            gate(row[: 2 * H])
            squash(row[2 * H : 3 * H])
            gate(row[3 * H :])
            for j in range(H):
                kept[n, j] = row[H + j] * c_before[n, j] + row[j] * row[2 * H + j]
            c_after[n] = kept[n]
            squash(kept[n])
            for j in range(H):
                after[n, j] = row[3 * H + j] * kept[n, j]

    return step


@compiled
def _lstm_pull(gates, kept, before, c_before, slope, carried, delta, inner, direct):
    """``carried`` is the gradient of c, which passes from step to step by the forget gate alone."""
    one, H = slope.dtype.type(1), slope.shape[1]
    for n in range(slope.shape[0]):
        for j in range(H):
            i, f, g, o = gates[n, j], gates[n, H + j], gates[n, 2 * H + j], gates[n, 3 * H + j]
            dh, squashed = slope[n, j], kept[n, j]
            dc = carried[n, j] + dh * o * (one - squashed * squashed)
            delta[n, j] = dc * g * i * (one - i)
            delta[n, H + j] = dc * c_before[n, j] * f * (one - f)
            delta[n, 2 * H + j] = dc * i * (one - g * g)
            delta[n, 3 * H + j] = dh * squashed * o * (one - o)
            carried[n, j] = dc * f


def _gru_step(squash, gate):
    """What is kept is the candidate's sum over the last state, which the reset gate multiplies."""

    @compiled
    def step(gates, products, bias, before, after, c_before, c_after, kept):
        H = after.shape[1]
        for n in range(after.shape[0]):
            row = gates[n]
            _add_sums(row[: 2 * H], products[n], bias)
            gate(row[: 2 * H])
            for j in range(H):
                kept[n, j] = products[n, 2 * H + j] + bias[2 * H + j]
                row[2 * H + j] += row[j] * kept[n, j]
            squash(row[2 * H :])
            for j in range(H):
                after[n, j] = row[2 * H + j] + row[H + j] * (before[n, j] - row[2 * H + j])

    return step


@compiled
def _gru_pull(gates, kept, before, c_before, slope, carried, delta, inner, direct):
    """``inner`` is what the sums over the last state get, ``direct`` what that state gets past them."""
    one, H = slope.dtype.type(1), slope.shape[1]
    for n in range(slope.shape[0]):
        for j in range(H):
            r, z, candidate = gates[n, j], gates[n, H + j], gates[n, 2 * H + j]
            dh = slope[n, j]
            of_candidate = dh * (one - z) * (one - candidate * candidate)
            inner[n, j] = delta[n, j] = of_candidate * kept[n, j] * r * (one - r)
            inner[n, H + j] = delta[n, H + j] = dh * (before[n, j] - candidate) * z * (one - z)
            delta[n, 2 * H + j], inner[n, 2 * H + j] = of_candidate, of_candidate * r
            direct[n, j] = dh * z


class Cell(NamedTuple):
    """The functions of a cell: ``step`` for numbers of any dtype and for vectors of float32, and ``pull``."""

    of_numbers: Callable
    of_vectors: Callable
    pull: Callable


def _cell(step, pull):
    return Cell(step(*NUMBERS), step(*VECTORS), pull)


RNN, LSTM, GRU = _cell(_rnn_step, _rnn_pull), _cell(_lstm_step, _lstm_pull), _cell(_gru_step, _gru_pull)
