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
from coursekit.kernels.cpu.simd import broadcast, width
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
    n, size = width(slope), slope.size
    gates, slope, delta = gates.reshape(-1), slope.reshape(-1), delta.reshape(-1)
    one = broadcast(slope.dtype.type(1))
    for i in range(0, size, n):
        h = load_part(gates, i, size - i)
        store_part(delta, i, load_part(slope, i, size - i) * (one - h * h), size - i)


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
    (N, H), lanes = slope.shape, width(slope)
    gates, delta = gates.reshape(-1), delta.reshape(-1)
    c, slope, carried, kept = c_before.reshape(-1), slope.reshape(-1), carried.reshape(-1), kept.reshape(-1)
    one = broadcast(slope.dtype.type(1))
    for n in range(N):
        for j in range(0, H, lanes):
            a, k, count = n * H + j, 4 * n * H + j, H - j
            i, f = load_part(gates, k, count), load_part(gates, k + H, count)
            g, o = load_part(gates, k + 2 * H, count), load_part(gates, k + 3 * H, count)
            dh, squashed = load_part(slope, a, count), load_part(kept, a, count)
            dc = load_part(carried, a, count) + dh * o * (one - squashed * squashed)
            store_part(delta, k, dc * g * i * (one - i), count)
            store_part(delta, k + H, dc * load_part(c, a, count) * f * (one - f), count)
            store_part(delta, k + 2 * H, dc * i * (one - g * g), count)
            store_part(delta, k + 3 * H, dh * squashed * o * (one - o), count)
            store_part(carried, a, dc * f, count)


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
    (N, H), lanes = slope.shape, width(slope)
    gates, delta, inner, direct = gates.reshape(-1), delta.reshape(-1), inner.reshape(-1), direct.reshape(-1)
    kept, before, slope = kept.reshape(-1), before.reshape(-1), slope.reshape(-1)
    one = broadcast(slope.dtype.type(1))
    for n in range(N):
        for j in range(0, H, lanes):
            a, k, count = n * H + j, 3 * n * H + j, H - j
            r, z = load_part(gates, k, count), load_part(gates, k + H, count)
            candidate, dh = load_part(gates, k + 2 * H, count), load_part(slope, a, count)
            of_candidate = dh * (one - z) * (one - candidate * candidate)
            of_r = of_candidate * load_part(kept, a, count) * r * (one - r)
            of_z = dh * (load_part(before, a, count) - candidate) * z * (one - z)
            store_part(delta, k, of_r, count)
            store_part(inner, k, of_r, count)
            store_part(delta, k + H, of_z, count)
            store_part(inner, k + H, of_z, count)
            store_part(delta, k + 2 * H, of_candidate, count)
            store_part(inner, k + 2 * H, of_candidate * r, count)
            store_part(direct, a, dh * z, count)


class Cell(NamedTuple):
    """The functions of a cell: ``step`` for numbers of any dtype and for vectors of float32, and ``pull`` for all."""

    of_numbers: Callable
    of_vectors: Callable
    pull: Callable


def _cell(step, pull):
    return Cell(step(*NUMBERS), step(*VECTORS), pull)


RNN, LSTM, GRU = _cell(_rnn_step, _rnn_pull), _cell(_lstm_step, _lstm_pull), _cell(_gru_step, _gru_pull)
