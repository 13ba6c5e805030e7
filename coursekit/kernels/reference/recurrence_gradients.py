"""The gradients of recurrent networks, by torch.autograd."""

import torch

from coursekit.kernels.ops import OPS
from coursekit.kernels.reference.arrays import boundary

ARGUMENTS = """

    Args:
        x: shape (N, T, I), float32 or float64; NumPy array or torch tensor.
        weight_ih, weight_hh, bias_ih, bias_hh: as the network was given them.
        grad: shape (N, T, H), the gradient of the states of all steps.
        {states}: as the network was given them; zeros where left out.{more}
        out: a tuple of arrays for the gradients, filled and returned where given.

    Returns:
        The gradients of x, the weights, the biases and the initial states, of the inputs' dtype and kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, or ``out`` cannot be written without harm.
    """


def _run(function, x, weights, grad, states, out, grad_c=None):
    for target in out:
        target.zero_()
    N, T, H = grad.shape
    if T == 0 and grad_c is not None:
        out[-1].copy_(grad_c)
    if not grad.numel():
        return
    states = [x.new_zeros(N, H) if state is None else state for state in states]
    if not x.shape[2]:  # torch refuses empty inputs; an input of zeros adds as little as none
        x, weights = x.new_zeros(*x.shape[:2], 1), [x.new_zeros(len(weights[0]), 1), *weights[1:]]
    with torch.enable_grad():
        leaves = [a.detach().requires_grad_() for a in (x, *weights, *states)]
        first = [state[None] for state in leaves[5:]]
        wide = tuple(first) if len(first) > 1 else first[0]
        result, *last = function(leaves[0], wide, leaves[1:5], True, 1, 0.0, True, False, True)
        if grad_c is None:
            found = torch.autograd.grad(result, leaves, grad)
        else:
            found = torch.autograd.grad((result, last[1]), leaves, (grad, grad_c[None]))
    for target, gradient in zip(out, found, strict=True):
        if target.numel():
            target.copy_(gradient)


def _with_arguments(states, more=""):
    def decorate(function):
        function.__doc__ += ARGUMENTS.format(states=states, more=more)
        return function

    return decorate


@boundary(OPS["rnn_grad"])
@_with_arguments("h0")
def rnn_grad(x, weight_ih, weight_hh, bias_ih, bias_hh, grad, h0=None, *, out=None):
    """The gradients of a recurrent network with tanh, as torch.nn.RNN has it."""
    _run(torch.rnn_tanh, x, [weight_ih, weight_hh, bias_ih, bias_hh], grad, [h0], out)


@boundary(OPS["lstm_grad"])
@_with_arguments(
    "h0, c0", "\n        grad_c: shape (N, H), the gradient of the last c; zeros where left out."
)
def lstm_grad(x, weight_ih, weight_hh, bias_ih, bias_hh, grad, h0=None, c0=None, grad_c=None, *, out=None):
    """The gradients of a long short-term memory, as torch.nn.LSTM has it."""
    _run(torch.lstm, x, [weight_ih, weight_hh, bias_ih, bias_hh], grad, [h0, c0], out, grad_c)


@boundary(OPS["gru_grad"])
@_with_arguments("h0")
def gru_grad(x, weight_ih, weight_hh, bias_ih, bias_hh, grad, h0=None, *, out=None):
    """The gradients of a network of gated recurrent units, as torch.nn.GRU has it."""
    _run(torch.gru, x, [weight_ih, weight_hh, bias_ih, bias_hh], grad, [h0], out)
