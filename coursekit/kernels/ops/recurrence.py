"""Networks that carry a state from step to step."""

from math import sqrt

import numpy as np

from coursekit.kernels.contract import Array, Case, Operation, Tolerance, standard_normal


def sigmoid(x):
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-x))


def _over_time(step, count):
    """A reference: ``step(inputs, recurrent, *states)`` takes the sums of all gates and gives the
    next of ``count`` states.
    """

    def reference(x, weight_ih, weight_hh, bias_ih, bias_hh, *given):
        x, w, u, b, d = (np.float64(a) for a in (x, weight_ih, weight_hh, bias_ih, bias_hh))
        shape = (x.shape[0], u.shape[1])
        given = [*given, None, None][:count]
        states = [np.zeros(shape) if state is None else np.float64(state) for state in given]
        out = np.empty((shape[0], x.shape[1], shape[1]))
        for t in range(x.shape[1]):
            inputs = np.einsum("nk,gk->ng", x[:, t], w) + b
            states = step(inputs, np.einsum("nk,gk->ng", states[0], u) + d, *states)
            out[:, t] = states[0]
        return out, *states

    return reference


def _rnn_step(inputs, recurrent, h):
    return (np.tanh(inputs + recurrent),)


def _lstm_step(inputs, recurrent, h, c):
    i, f, g, o = np.split(inputs + recurrent, 4, axis=1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def _gru_step(inputs, recurrent, h):
    (r, z, n), (ur, uz, un) = np.split(inputs, 3, axis=1), np.split(recurrent, 3, axis=1)
    update = sigmoid(z + uz)
    return ((1 - update) * np.tanh(n + sigmoid(r + ur) * un) + update * h,)


def scaled(rng, op, sizes, dtype):
    """Weights of the size of a network's initial ones."""
    x, w, u, *others = standard_normal(rng, op, sizes, dtype)
    number = np.dtype(dtype).type
    return x, w / number(sqrt(max(sizes["I"], 1))), u / number(sqrt(max(sizes["H"], 1))), *others


def _sizes(N, T, I, H):
    return {"N": N, "T": T, "I": I, "H": H}


CASES = (
    Case("128x32, 256 to 256", "benchmark", _sizes(128, 32, 256, 256)),
    Case("64x100, 40 to 128", "benchmark", _sizes(64, 100, 40, 128)),
    Case("one sequence, 128 to 128", "benchmark", _sizes(1, 64, 128, 128)),
    Case("a few steps", "test", _sizes(5, 7, 11, 13)),
    Case("many sequences", "test", _sizes(61, 4, 9, 10)),
    Case("many units", "test", _sizes(9, 3, 70, 67)),
    Case("one sequence", "test", _sizes(1, 9, 5, 6)),
    Case("one step", "test", _sizes(26, 1, 5, 6)),
    Case("numbers", "test", _sizes(3, 2, 1, 1)),
    Case("no sequences", "test", _sizes(0, 3, 4, 5)),
    Case("no steps", "test", _sizes(9, 0, 4, 5)),
    Case("no inputs", "test", _sizes(9, 3, 0, 5)),
    Case("no units", "test", _sizes(9, 3, 4, 0)),
    Case("a few", "tiny", _sizes(2, 3, 2, 3)),
    Case("one number", "tiny", _sizes(1, 1, 1, 1)),
    Case("no step", "tiny", _sizes(2, 0, 2, 2)),
)


def _operation(name, formula, gates, step, flops, states=("h",)):
    """``flops`` of one unit besides the products with the weights and the sum of the two biases."""
    rows = f"{gates}H" if gates > 1 else "H"

    def count(s, options):
        each = gates * (2 * s["I"] + 2 * s["H"] + 2) + flops
        return s["N"] * s["T"] * s["H"] * each

    return Operation(
        name=name,
        formula=formula,
        inputs=(
            Array("x", ("N", "T", "I")),
            Array("weight_ih", (rows, "I")),
            Array("weight_hh", (rows, "H")),
            Array("bias_ih", (rows,)),
            Array("bias_hh", (rows,)),
            *(Array(f"{state}0", ("N", "H"), optional=True) for state in states),
        ),
        outputs=(Array("out", ("N", "T", "H")), *(Array(state, ("N", "H")) for state in states)),
        derive=lambda s, options: {rows: gates * s["H"]},
        reference=_over_time(step, len(states)),
        count=count,
        # Sums of a few units, each off by some units in the last place, through functions of slope 1 and less.
        tolerance={"float32": Tolerance(1e-5, 1e-5), "float64": Tolerance(1e-13, 1e-13)},
        sample=scaled,
        cases=CASES,
    )


SIGMOID = 4  # a sign, exp, a sum, a quotient

RNN = _operation("rnn", "h ← tanh(W x[t] + b + U h + d); out[t] = h", 1, _rnn_step, 1)
LSTM = _operation(
    "lstm",
    "i, f, g, o = W x[t] + b + U h + d; c ← σ(f) c + σ(i) tanh(g); h ← σ(o) tanh(c); out[t] = h",
    4,
    _lstm_step,
    3 * SIGMOID + 6,
    ("h", "c"),
)
GRU = _operation(
    "gru",
    "r, z: σ(W x[t] + b + U h + d); n = tanh(W x[t] + b + r (U h + d)); h ← (1 - z) n + z h; out[t] = h",
    3,
    _gru_step,
    2 * SIGMOID + 6,
)
