"""Recurrent networks over whole sequences, by torch: oneDNN or ATen on a CPU."""

import torch

from coursekit.kernels.ops import OPS
from coursekit.kernels.reference.arrays import boundary


def _run(function, x, weights, states, out):
    """Torch's own function, with the states filled up, and what it has no answer for: no steps, no numbers."""
    N, T, H = out[0].shape
    states = [x.new_zeros(N, H) if state is None else state for state in states]
    if out[0].numel() == 0 or x.shape[2] == 0:
        # torch refuses empty sequences and inputs; an input of zeros adds as little as none.
        x = x.new_zeros(N, T, 1)
        weights = [weights[0].new_zeros(len(weights[0]), 1), *weights[1:]]
    if out[0].numel():
        first = [state[None] for state in states]
        wide = tuple(first) if len(first) > 1 else first[0]
        results = function(x, wide, weights, True, 1, 0.0, False, False, True)
        states = results[1:]
        out[0].copy_(results[0])
    for target, state in zip(out[1:], states, strict=True):
        target.copy_(state.reshape(target.shape))


@boundary(OPS["rnn"])
def rnn(x, weight_ih, weight_hh, bias_ih, bias_hh, h0=None, *, out=None):
    """A recurrent network with tanh over whole sequences, as torch.nn.RNN has it: one layer, batch first.

    Args:
        x: shape (N, T, I), float32 or float64; NumPy array or torch tensor.
        weight_ih, weight_hh: shapes (H, I) and (H, H), of the same dtype and kind.
        bias_ih, bias_hh: shape (H,), of the same dtype and kind; their sum counts.
        h0: shape (N, H), of the same dtype and kind; zeros where left out.
        out: two arrays shaped as below, filled and returned where given.

    Returns:
        The states of all steps, (N, T, H), and the last one, (N, H), of the inputs' dtype and kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, or ``out`` cannot be written without harm.
    """
    _run(torch.rnn_tanh, x, [weight_ih, weight_hh, bias_ih, bias_hh], [h0], out)


@boundary(OPS["lstm"])
def lstm(x, weight_ih, weight_hh, bias_ih, bias_hh, h0=None, c0=None, *, out=None):
    """A long short-term memory over whole sequences, as torch.nn.LSTM has it: one layer, batch first.

    Args:
        x: shape (N, T, I), float32 or float64; NumPy array or torch tensor.
        weight_ih, weight_hh: shapes (4H, I) and (4H, H), of the same dtype and kind: gates i, f, g, o.
        bias_ih, bias_hh: shape (4H,), of the same dtype and kind; their sum counts.
        h0, c0: shape (N, H), of the same dtype and kind; zeros where left out.
        out: three arrays shaped as below, filled and returned where given.

    Returns:
        The states of all steps, (N, T, H), the last h and the last c, (N, H), of the inputs' dtype and kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, or ``out`` cannot be written without harm.
    """
    _run(torch.lstm, x, [weight_ih, weight_hh, bias_ih, bias_hh], [h0, c0], out)


@boundary(OPS["gru"])
def gru(x, weight_ih, weight_hh, bias_ih, bias_hh, h0=None, *, out=None):
    """A network of gated recurrent units over whole sequences, as torch.nn.GRU has it: one layer, batch first.

    Args:
        x: shape (N, T, I), float32 or float64; NumPy array or torch tensor.
        weight_ih, weight_hh: shapes (3H, I) and (3H, H), of the same dtype and kind: gates r, z, n.
        bias_ih, bias_hh: shape (3H,), of the same dtype and kind.
        h0: shape (N, H), of the same dtype and kind; zeros where left out.
        out: two arrays shaped as below, filled and returned where given.

    Returns:
        The states of all steps, (N, T, H), and the last one, (N, H), of the inputs' dtype and kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, or ``out`` cannot be written without harm.
    """
    _run(torch.gru, x, [weight_ih, weight_hh, bias_ih, bias_hh], [h0], out)
