"""Convolutions of images, and their gradients: cross-correlation, as deep learning means the word."""

from collections.abc import Mapping
from math import sqrt

import numpy as np

from coursekit.kernels.contract import Array, Case, Operation, Option, Tolerance, standard_normal

POSITIVE = Option(1, lambda value, shapes: "" if value > 0 else "positive")
NOT_NEGATIVE = Option(0, lambda value, shapes: "" if value >= 0 else "0 or more")


def _groups(*channels: str) -> Option:
    """Groups that divide the numbers of channels, given as (array, dimension)."""

    def wanted(groups, shapes):
        counts = [(name, shapes[name][axis]) for name, axis in channels if axis < len(shapes[name])]
        if groups < 1:
            return "positive"
        words = [f"{count} of {name}" for name, count in counts if count % groups]
        return f"a divisor of the channels, {' and '.join(words)}" if words else ""

    return Option(1, wanted)


def _pair(value, shapes) -> str:
    fine = all(isinstance(n, int) and n > 0 for n in value) and len(value) in (0, 2)
    return "" if fine else "a pair of positive ints, or () for the smallest"


GEOMETRY = {"stride": POSITIVE, "padding": NOT_NEGATIVE, "dilation": POSITIVE}


def places(size: int, taps: int, options: Mapping) -> int:
    """How many places a filter of so many taps has along a side of this size; 0 or less where it does not fit."""
    reach = options["dilation"] * (taps - 1) + 1
    return (size + 2 * options["padding"] - reach) // options["stride"] + 1


def _derive_conv2d(s, options):
    if not s["R"] or not s["S"]:
        raise ValueError(f"conv2d: weight must have a tap at least; got {s['R']} x {s['S']} of them")
    P, Q = places(s["H"], s["R"], options), places(s["W"], s["S"], options)
    if P < 1 or Q < 1:
        raise ValueError(
            f"conv2d: weight of {s['R']} x {s['S']} taps must fit into x of {s['H']} x {s['W']} pixels "
            f"with padding {options['padding']} and dilation {options['dilation']}"
        )
    return {"D": s["C"] // options["groups"], "P": P, "Q": Q}


def _windows(x, taps, places, options):
    """x padded, and seen as (B, C, P, Q, R, S): the pixels under each tap at each place."""
    p, d, s = (options[name] for name in ("padding", "dilation", "stride"))
    x = np.pad(np.float64(x), ((0, 0), (0, 0), (p, p), (p, p)))
    reach = [d * (n - 1) + 1 for n in taps]
    windows = np.lib.stride_tricks.sliding_window_view(x, reach, (2, 3), writeable=True)
    P, Q = places
    return x, windows[:, :, ::s, ::s, ::d, ::d][:, :, :P, :Q]


def _split(array, axis, groups):
    """One axis as (groups, the rest)."""
    shape = array.shape
    return array.reshape(*shape[:axis], groups, shape[axis] // groups, *shape[axis + 1 :])


def _settings(stride, padding, dilation):
    return {"stride": stride, "padding": padding, "dilation": dilation}


def _conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    options = _settings(stride, padding, dilation)
    taps = weight.shape[2:]
    P, Q = (places(n, t, options) for n, t in zip(x.shape[2:], taps, strict=True))
    windows = _split(_windows(x, taps, (P, Q), options)[1], 1, groups)
    K, weight = len(weight), _split(np.float64(weight), 0, groups)
    with np.errstate(invalid="ignore"):
        out = np.einsum("bgdpqrs,gkdrs->bgkpq", windows, weight)
    out = out.reshape(len(x), K, P, Q)
    return out if bias is None else out + np.float64(bias)[:, None, None]


def _layer_inputs(rng, op, sizes, dtype):
    """Sums of unit variance whatever the filter's size, as a network's initial weights give."""
    x, weight, bias = standard_normal(rng, op, sizes, dtype)
    return x, weight / np.asarray(sqrt(max(weight[:1].size, 1)), weight.dtype), bias


def _cases(name_sizes):
    return tuple(Case(name, use, sizes, options) for name, use, sizes, options in name_sizes)


def _sizes(B, C, H, W, K, R, S):
    return {"B": B, "C": C, "H": H, "W": W, "K": K, "R": R, "S": S}


SHAPES = (
    ("64 to 64, 56x56, 3x3", "benchmark", _sizes(8, 64, 56, 56, 64, 3, 3), {"padding": 1}),
    ("128 to 256, 28x28, 1x1", "benchmark", _sizes(8, 128, 28, 28, 256, 1, 1), {}),
    ("64 to 128, stride 2", "benchmark", _sizes(4, 64, 56, 56, 128, 3, 3), {"padding": 1, "stride": 2}),
    ("1 to 16, 28x28, 5x5", "benchmark", _sizes(64, 1, 28, 28, 16, 5, 5), {}),
    ("depthwise 64, 56x56", "benchmark", _sizes(8, 64, 56, 56, 64, 3, 3), {"padding": 1, "groups": 64}),
    ("3x3, padded", "test", _sizes(2, 5, 13, 11, 7, 3, 3), {"padding": 1}),
    (
        "all at once",
        "test",
        _sizes(2, 6, 17, 20, 9, 3, 2),
        {"stride": 2, "padding": 3, "dilation": 2, "groups": 3},
    ),
    ("3x3 over many tiles", "test", _sizes(1, 19, 33, 38, 13, 3, 3), {"padding": 2}),
    ("depthwise", "test", _sizes(2, 9, 14, 19, 9, 3, 3), {"padding": 1, "groups": 9}),
    (
        "depthwise, two each",
        "test",
        _sizes(1, 3, 9, 40, 6, 5, 1),
        {"padding": 1, "groups": 3, "stride": 2},
    ),
    ("one tap", "test", _sizes(3, 33, 6, 5, 17, 1, 1), {}),
    ("one tap, every third", "test", _sizes(2, 4, 10, 9, 5, 1, 1), {"stride": 3}),
    ("filter as large as the image", "test", _sizes(2, 3, 4, 5, 6, 4, 5), {}),
    ("nothing but padding", "test", _sizes(1, 2, 1, 1, 3, 3, 3), {"padding": 3}),
    ("no images", "test", _sizes(0, 3, 5, 5, 2, 3, 3), {}),
    ("no filters", "test", _sizes(2, 3, 5, 5, 0, 3, 3), {}),
    ("empty sum", "test", _sizes(2, 0, 5, 5, 2, 3, 3), {"padding": 1}),
    ("tiny 3x3", "tiny", _sizes(1, 2, 5, 4, 3, 3, 3), {"padding": 1}),
    ("tiny, stride 2", "tiny", _sizes(2, 2, 5, 6, 2, 2, 3), {"stride": 2, "padding": 1}),
    ("tiny, two groups", "tiny", _sizes(1, 4, 4, 4, 2, 2, 2), {"groups": 2, "dilation": 2}),
    ("tiny, no images", "tiny", _sizes(0, 1, 3, 3, 1, 3, 3), {}),
)


def _multiply_adds(s, options):
    """Two for each product, those with the zeros of the padding among them."""
    return 2 * s["B"] * s["K"] * s["P"] * s["Q"] * s["D"] * s["R"] * s["S"]


CONV2D = Operation(
    name="conv2d",
    formula="out[b, k, p, q] = bias[k] + Σ x[b, d, p·stride + r·dilation − padding, q·stride + …] · weight[k, d, r, s]",
    inputs=(
        Array("x", ("B", "C", "H", "W")),
        Array("weight", ("K", "D", "R", "S")),
        Array("bias", ("K",), optional=True),
    ),
    outputs=(Array("out", ("B", "K", "P", "Q")),),
    options={**GEOMETRY, "groups": _groups(("x", 1), ("weight", 0))},
    derive=_derive_conv2d,
    reference=_conv2d,
    count=lambda s, options: _multiply_adds(s, options) + s["B"] * s["K"] * s["P"] * s["Q"],
    # Winograd's transforms lose two to four bits: see coursekit.kernels.cpu.winograd.
    tolerance={"float32": Tolerance(1e-5, 2e-5), "float64": Tolerance(1e-13, 1e-13)},
    sample=_layer_inputs,
    cases=_cases(SHAPES),
)
