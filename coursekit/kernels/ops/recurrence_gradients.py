"""Gradients through time: of networks that carry a state from step to step."""

import numpy as np

from coursekit.kernels.contract import Array, Operation, Tolerance
from coursekit.kernels.ops.recurrence import CASES, SIGMOID, scaled, sigmoid


def _gradients(forward, backward, count):
    """A reference: the steps ahead are kept in a list, and then gone back.

    Behind ``count`` initial states comes the gradient of the last state of the second kind, zeros where left out.

    ``forward(inputs, recurrent, *states)`` gives the next of ``count`` states and what ``backward`` wants to know;
    ``backward(known, *slopes)`` takes the gradients of these states and gives those of the two sums and of the states
    before.
    """

    def reference(x, weight_ih, weight_hh, bias_ih, bias_hh, grad, *given):
        x, w, u, b, d, grad = (np.float64(a) for a in (x, weight_ih, weight_hh, bias_ih, bias_hh, grad))
        shape = (x.shape[0], u.shape[1])
        given = [np.zeros(shape) if a is None else np.float64(a) for a in [*given, None, None, None]]
        states, slopes = given[:count], [np.zeros(shape), given[count]][:count]
        steps = []
        for t in range(x.shape[1]):
            inputs = np.einsum("nk,gk->ng", x[:, t], w) + b
            before = states[0]
            states, known = forward(inputs, np.einsum("nk,gk->ng", before, u) + d, *states)
            steps.append((before, known))
        dx, dw, du, db, dd = (np.zeros_like(a) for a in (x, w, u, b, d))
        for t, (before, known) in reversed(list(enumerate(steps))):
            slopes[0] = slopes[0] + grad[:, t]
            of_inputs, of_recurrent, *slopes = backward(known, *slopes)
            slopes[0] = slopes[0] + np.einsum("ng,gk->nk", of_recurrent, u)
            dx[:, t] = np.einsum("ng,gk->nk", of_inputs, w)
            dw += np.einsum("ng,nk->gk", of_inputs, x[:, t])
            du += np.einsum("ng,nk->gk", of_recurrent, before)
            db += of_inputs.sum(0)
            dd += of_recurrent.sum(0)
        return dx, dw, du, db, dd, *slopes

    return reference


def _rnn_forward(inputs, recurrent, h):
    h = np.tanh(inputs + recurrent)
    return (h,), h


def _rnn_backward(h, dh):
    delta = dh * (1 - h**2)
    return delta, delta, np.zeros_like(dh)


def _lstm_forward(inputs, recurrent, h, c):
    i, f, g, o = np.split(inputs + recurrent, 4, axis=1)
    i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
    fresh = f * c + i * g
    return (o * np.tanh(fresh), fresh), (i, f, g, o, c, np.tanh(fresh))


def _lstm_backward(known, dh, dc):
    i, f, g, o, c, squashed = known
    dc = dc + dh * o * (1 - squashed**2)
    parts = dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g**2), dh * squashed * o * (1 - o)
    delta = np.concatenate(parts, axis=1)
    return delta, delta, np.zeros_like(dh), dc * f


def _gru_forward(inputs, recurrent, h):
    (r, z, n), (ur, uz, un) = np.split(inputs, 3, axis=1), np.split(recurrent, 3, axis=1)
    r, z = sigmoid(r + ur), sigmoid(z + uz)
    n = np.tanh(n + r * un)
    return ((1 - z) * n + z * h,), (r, z, n, un, h)


def _gru_backward(known, dh):
    r, z, n, un, h = known
    dn = dh * (1 - z) * (1 - n**2)
    dr, dz = dn * un * r * (1 - r), dh * (h - n) * z * (1 - z)
    return np.concatenate([dr, dz, dn], 1), np.concatenate([dr, dz, dn * r], 1), dh * z


def _operation(name, formula, gates, steps, flops, states=("h",)):
    """``flops`` of one unit besides the products with the weights and the sums of the biases, ahead and back."""
    rows = f"{gates}H" if gates > 1 else "H"
    weights = (
        ("weight_ih", (rows, "I")),
        ("weight_hh", (rows, "H")),
        ("bias_ih", (rows,)),
        ("bias_hh", (rows,)),
    )

    def count(s, options):
        return s["N"] * s["T"] * s["H"] * (gates * (6 * s["I"] + 6 * s["H"] + 4) + flops)

    return Operation(
        name=name,
        formula=formula,
        inputs=(
            Array("x", ("N", "T", "I")),
            *(Array(*weight) for weight in weights),
            Array("grad", ("N", "T", "H")),
            *(Array(f"{state}0", ("N", "H"), optional=True) for state in states),
            *(Array(f"grad_{state}", ("N", "H"), optional=True) for state in states[1:]),
        ),
        outputs=(
            Array("x_gradient", ("N", "T", "I")),
            *(Array(f"{weight}_gradient", shape) for weight, shape in weights),
            *(Array(f"{state}0_gradient", ("N", "H")) for state in states),
        ),
        derive=lambda s, options: {rows: gates * s["H"]},
        reference=_gradients(*steps, len(states)),
        count=count,
        # Those of weights are sums over all steps of all sequences.
        tolerance={"float32": Tolerance(2e-5, 5e-5), "float64": Tolerance(1e-12, 1e-12)},
        sample=scaled,
        cases=CASES,
    )


RNN_GRAD = _operation(
    "rnn_grad",
    "back through time: a = (grad[t] + dh) (1 - h²); dh ← Uᵀa; dx[t] = Wᵀa; dW, dU = Σ a x[t]ᵀ, Σ a h[t-1]ᵀ; db = Σ a",
    1,
    (_rnn_forward, _rnn_backward),
    5,
)
LSTM_GRAD = _operation(
    "lstm_grad",
    "back through time, dc = grad_c at first: dc ← dc + (grad[t] + dh) o (1 - tanh² c), a its slopes in i, f, g, o; "
    "dc ← f dc; then as in rnn_grad",
    4,
    (_lstm_forward, _lstm_backward),
    3 * SIGMOID + 6 + 23,
    ("h", "c"),
)
GRU_GRAD = _operation(
    "gru_grad",
    "back through time: s = grad[t] + dh; a the slopes of s in r, z, n; dh ← z s + Uᵀ(a, its last part by r); then as "
    "in rnn_grad",
    3,
    (_gru_forward, _gru_backward),
    2 * SIGMOID + 6 + 19,
)
