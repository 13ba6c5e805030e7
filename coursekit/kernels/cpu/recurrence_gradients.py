"""Gradients through time: all sums made step by step, then few large products of what does not wait, then tiles.

Going back, a step needs the gates that it had going ahead. They are computed anew here and kept, one array for all
steps, so that the gradient needs nothing of the network but what went into it: the way ahead and the way back stand in
one function, and a training step does no more than a library's, which also keeps its gates.
"""

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.linear_packed import multiply_packed
from coursekit.kernels.cpu.matmul import multiply, multiply_blocked, multiply_rows
from coursekit.kernels.cpu.pack_linear import packed
from coursekit.kernels.cpu.recurrence import inputs_parts
from coursekit.kernels.cpu.recurrence_cells import GRU, LSTM, RNN
from coursekit.kernels.cpu.simd_squares import APART, turn, turned
from coursekit.kernels.ops import OPS


@compiled
def _sums(x, weight, bias, out):
    for n in range(x.shape[0]):
        for g in range(weight.shape[0]):
            total = bias[g]
            for k in range(x.shape[1]):
                total += weight[g, k] * x[n, k]
            out[n, g] = total


@compiled
def _give_back(delta, weight, x, of_weight, of_bias, of_x):
    """The gradients of one step's sums, to what went into them."""
    for n in range(x.shape[0]):
        for g in range(weight.shape[0]):
            of_bias[g] += delta[n, g]
            for k in range(x.shape[1]):
                of_weight[g, k] += delta[n, g] * x[n, k]
                of_x[n, k] += delta[n, g] * weight[g, k]


class _Way:
    """The arrays of the way ahead and back, the steps first in each: room for gates, states and their gradients.

    ``states`` holds h0 and, for an LSTM, c0 and the gradient of the last c, each of which may be None.
    """

    def __init__(self, x, weights, grad, states, extra):
        (N, T, H), G, new = grad.shape, len(weights[2]), x.dtype
        self.x, self.grad = (np.ascontiguousarray(a.transpose(1, 0, 2)) for a in (x, grad))
        self.states = np.empty((T + 1, N, H), new)
        self.cells = np.empty((T + 1, N, H if len(states) > 1 else 0), new)
        self.carried = np.empty_like(self.cells[0])
        firsts = self.states[0], self.cells[0], self.carried
        for room, given in zip(firsts, (*states, None, None), strict=False):
            room[...] = 0 if given is None else given
        self.kept, self.direct = np.empty((T, N, H), new), np.zeros((N, H), new)
        self.deltas = np.empty((T, N, G), new)
        self.inner = np.empty_like(self.deltas) if extra else self.deltas

    def ahead(self, step, t, gates, products, bias):
        states, cells = self.states[t : t + 2], self.cells[t : t + 2]
        step(gates[t], products, bias, *states, *cells, self.kept[t])

    def back(self, pull, t, gates, slope):
        known = gates[t], self.kept[t], self.states[t], self.cells[t]
        pull(*known, slope, self.carried, self.deltas[t], self.inner[t], self.direct)


def _number_way(cell, x, weights, grad, states, out, extra=False):
    way = _Way(x, weights, grad, states, extra)
    w, u, b, d = weights
    gates, of_x, nothing = np.empty_like(way.deltas), np.zeros_like(way.x), np.zeros_like(d)
    for target in out:
        target[...] = 0
    dx, dw, du, db, dd, dh, *dc = out
    products = np.empty(gates.shape[1:], x.dtype)
    for t in range(len(way.x)):
        _sums(way.x[t], w, b, gates[t])
        _sums(way.states[t], u, nothing, products)
        way.ahead(cell.of_numbers, t, gates, products, d)
    for t in reversed(range(len(way.x))):
        dh += way.grad[t]
        way.back(cell.pull, t, gates, dh)
        dh[...] = way.direct
        _give_back(way.deltas[t], w, way.x[t], dw, db, of_x[t])
        _give_back(way.inner[t], u, way.states[t], du, dd, dh)
    dx[...] = of_x.transpose(1, 0, 2)
    for target in dc:
        target[...] = way.carried


FEW = 16
"""Rows of a product that do not repay the copies which blocks are made of."""


def _product_way(cell, x, weights, grad, states, out, extra=False):
    """Ahead and back; what does not wait for another step is one product of N·T rows."""
    way = _Way(x, weights, grad, states, extra)
    w, u, b, d = weights
    dx, dw, du, db, dd, dh, *dc = out
    (T, N, I), (G, H) = way.x.shape, u.shape
    gates, products, across = np.empty((T, N, G), x.dtype), np.empty((N, G), x.dtype), u.T.copy()
    multiply_step = multiply_rows if N < FEW else multiply_blocked
    flat, of_x = way.x.reshape(T * N, I), np.empty_like(way.x)
    multiply_blocked(flat, w.T.copy(), gates.reshape(T * N, G))
    gates += b
    for t in range(T):
        multiply_step(way.states[t], across, products)
        way.ahead(cell.of_numbers, t, gates, products, d)
    dh[...] = 0
    for t in reversed(range(T)):
        dh += way.grad[t]
        way.back(cell.pull, t, gates, dh)
        multiply_step(way.inner[t], u, dh)
        dh += way.direct
    deltas, inner = way.deltas.reshape(T * N, G), way.inner.reshape(T * N, G)
    multiply_blocked(deltas, w, of_x.reshape(T * N, I))
    dx[...] = of_x.transpose(1, 0, 2)
    multiply_blocked(deltas.T.copy(), flat, dw)
    multiply_blocked(inner.T.copy(), way.states[:-1].reshape(T * N, H), du)
    db[...], dd[...] = deltas.sum(0), inner.sum(0)
    for target in dc:
        target[...] = way.carried


def _times(weight):
    """A function that writes x · weightᵀ to ``out``, for one x after the other; packed once in float32."""
    if weight.dtype == np.float32:
        panels, none = packed(weight), np.zeros(len(weight), weight.dtype)
        return lambda x, out: multiply_packed(x, panels, none, out)
    across = turned(weight)
    return lambda x, out: multiply(x, across, out)


def _tiled_way(cell, x, weights, grad, states, out, extra=False):
    """The same with weights packed for all steps, gates on vectors, and turned matrices that share no cache sets."""
    way = _Way(x, weights, grad, states, extra)
    w, u, b, d = weights
    dx, dw, du, db, dd, dh, *dc = out
    (T, N, I), (G, H) = way.x.shape, u.shape
    step = cell.of_vectors if x.dtype == np.float32 else cell.of_numbers
    gates, products = inputs_parts(x, w, b), np.empty((N, G), x.dtype)
    ahead, back = _times(u), _times(turned(u))
    for t in range(T):
        ahead(way.states[t], products)
        way.ahead(step, t, gates, products, d)
    dh[...] = 0
    for t in reversed(range(T)):
        dh += way.grad[t]
        way.back(cell.pull, t, gates, dh)
        back(way.inner[t], dh)
        dh += way.direct
    flat, inner = way.deltas.reshape(T * N, G), way.inner.reshape(T * N, G)
    of_x = np.empty_like(way.x)
    multiply(flat, w, of_x.reshape(T * N, I))
    dx[...] = of_x.transpose(1, 0, 2)
    sums = turned(flat, APART)
    multiply(sums, way.x.reshape(T * N, I), dw)
    db[...] = way.deltas.sum(1).sum(0)
    if extra:
        turn(inner, sums)
    multiply(sums, way.states[:-1].reshape(T * N, H), du)
    dd[...] = way.inner.sum(1).sum(0) if extra else db
    for target in dc:
        target[...] = way.carried


@boundary(OPS["rnn_grad"])
def rnn_grad_textbook(x, weight_ih, weight_hh, bias_ih, bias_hh, grad, h0=None, *, out=None):
    """:func:`rnn_grad` by the chain rule, number by number, the gradients of the weights added up at each step.

    Each step passes over both weights and their gradients for each sequence: four times the memory traffic of a step
    ahead.
    """
    _number_way(RNN, x, (weight_ih, weight_hh, bias_ih, bias_hh), grad, (h0,), out)


@boundary(OPS["rnn_grad"])
def rnn_grad_product(x, weight_ih, weight_hh, bias_ih, bias_hh, grad, h0=None, *, out=None):
    """:func:`rnn_grad` with a few large products, in the blocks of :func:`matmul_blocked`.

    Only the states wait for each other: a step needs one product of N rows ahead, and one back, which is done along the
    rows where they are few. The inputs' parts, their gradients, and those of both weights are one product of N·T rows
    each, made when all steps are known. So the weights and their gradients pass through the caches once for a block of
    rows, and not for each step of each sequence.
    """
    _product_way(RNN, x, (weight_ih, weight_hh, bias_ih, bias_hh), grad, (h0,), out)


@boundary(OPS["rnn_grad"])
def rnn_grad(x, weight_ih, weight_hh, bias_ih, bias_hh, grad, h0=None, *, out=None):
    """The gradients of a recurrent network with tanh, backwards through time: Werbos, "Backpropagation through time:
    what it does and how to do it", Proc. IEEE 78(10), 1990, section III.

    The loss is a function of the states of all steps, ``grad`` its gradient; that of the last state counts with its
    last step. The states are computed anew and kept. What waits for the step before, ahead and back, is one product
    with weight_hh at each step; the products for the inputs and for both weights are made once, of N·T rows, when all
    gradients of the sums are there. These are the products of :func:`matmul`; weight_hh is packed for all steps, as
    :func:`linear_packed` wants it. In float32 a product's sum of K terms is off by at most K · 2⁻²⁴ of the sum of their
    sizes, and from step to step errors are carried on as by the exact chain rule.

    Args:
        x: shape (N, T, I), float32 or float64; NumPy array or torch tensor on the CPU.
        weight_ih, weight_hh, bias_ih, bias_hh: as :func:`rnn` has them, of the same dtype and kind.
        grad: shape (N, T, H), the gradient of the states of all steps, of the same dtype and kind.
        h0: shape (N, H), of the same dtype and kind; zeros where left out.
        out: a tuple of six arrays, filled and returned where given; they must not share memory with the inputs.

    Returns:
        The gradients of x, weight_ih, weight_hh, bias_ih, bias_hh and h0, of their shapes, dtype and kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, a tensor is not on the CPU, or ``out`` cannot be written without harm.
    """
    _tiled_way(RNN, x, (weight_ih, weight_hh, bias_ih, bias_hh), grad, (h0,), out)


@boundary(OPS["lstm_grad"])
def lstm_grad_textbook(
    x, weight_ih, weight_hh, bias_ih, bias_hh, grad, h0=None, c0=None, grad_c=None, *, out=None
):
    """:func:`lstm_grad` by the chain rule, number by number, the gradients of the weights added up at each step."""
    _number_way(LSTM, x, (weight_ih, weight_hh, bias_ih, bias_hh), grad, (h0, c0, grad_c), out)


@boundary(OPS["lstm_grad"])
def lstm_grad_product(
    x, weight_ih, weight_hh, bias_ih, bias_hh, grad, h0=None, c0=None, grad_c=None, *, out=None
):
    """:func:`lstm_grad` with a few large products, as :func:`rnn_grad_product` has it."""
    _product_way(LSTM, x, (weight_ih, weight_hh, bias_ih, bias_hh), grad, (h0, c0, grad_c), out)


@boundary(OPS["lstm_grad"])
def lstm_grad(x, weight_ih, weight_hh, bias_ih, bias_hh, grad, h0=None, c0=None, grad_c=None, *, out=None):
    """The gradients of a long short-term memory, backwards through time: Werbos, Proc. IEEE 78(10), 1990; for these
    cells Graves and Schmidhuber, "Framewise phoneme classification with bidirectional LSTM and other neural network
    architectures", Neural Networks 18, 2005, appendix A.

    The steps are those of :func:`rnn_grad`, with four gates; the loss may be a function of the last c, too. From step
    to step the gradient of c is multiplied by the forget gate and by nothing else, which is what the cell was invented
    for. Errors are as there.

    Args:
        x: shape (N, T, I), float32 or float64; NumPy array or torch tensor on the CPU.
        weight_ih, weight_hh, bias_ih, bias_hh: as :func:`lstm` has them, of the same dtype and kind.
        grad: shape (N, T, H), the gradient of the states of all steps, of the same dtype and kind.
        h0, c0: shape (N, H), of the same dtype and kind; zeros where left out.
        grad_c: shape (N, H), the gradient of the last c, where the loss depends on it besides; zeros where left out.
        out: a tuple of seven arrays, filled and returned where given; they must not share memory with the inputs.

    Returns:
        The gradients of x, weight_ih, weight_hh, bias_ih, bias_hh, h0 and c0, of their shapes, dtype and kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, a tensor is not on the CPU, or ``out`` cannot be written without harm.
    """
    _tiled_way(LSTM, x, (weight_ih, weight_hh, bias_ih, bias_hh), grad, (h0, c0, grad_c), out)


@boundary(OPS["gru_grad"])
def gru_grad_textbook(x, weight_ih, weight_hh, bias_ih, bias_hh, grad, h0=None, *, out=None):
    """:func:`gru_grad` by the chain rule, number by number, the gradients of the weights added up at each step."""
    _number_way(GRU, x, (weight_ih, weight_hh, bias_ih, bias_hh), grad, (h0,), out, extra=True)


@boundary(OPS["gru_grad"])
def gru_grad_product(x, weight_ih, weight_hh, bias_ih, bias_hh, grad, h0=None, *, out=None):
    """:func:`gru_grad` with a few large products, as :func:`rnn_grad_product` has it."""
    _product_way(GRU, x, (weight_ih, weight_hh, bias_ih, bias_hh), grad, (h0,), out, extra=True)


@boundary(OPS["gru_grad"])
def gru_grad(x, weight_ih, weight_hh, bias_ih, bias_hh, grad, h0=None, *, out=None):
    """The gradients of a network of gated recurrent units, backwards through time: Werbos, Proc. IEEE 78(10), 1990.

    The steps are those of :func:`rnn_grad`, with three gates. The reset gate stands between the candidate's two sums,
    so these have gradients of their own, and so have the two biases. Errors are as there.

    Args:
        x: shape (N, T, I), float32 or float64; NumPy array or torch tensor on the CPU.
        weight_ih, weight_hh, bias_ih, bias_hh: as :func:`gru` has them, of the same dtype and kind.
        grad: shape (N, T, H), the gradient of the states of all steps, of the same dtype and kind.
        h0: shape (N, H), of the same dtype and kind; zeros where left out.
        out: a tuple of six arrays, filled and returned where given; they must not share memory with the inputs.

    Returns:
        The gradients of x, weight_ih, weight_hh, bias_ih, bias_hh and h0, of their shapes, dtype and kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, a tensor is not on the CPU, or ``out`` cannot be written without harm.
    """
    _tiled_way(GRU, x, (weight_ih, weight_hh, bias_ih, bias_hh), grad, (h0,), out, extra=True)
