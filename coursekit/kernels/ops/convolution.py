"""Convolutions of images, and their gradients: cross-correlation, as deep learning means the word."""

from collections.abc import Mapping
from math import prod, sqrt

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


def _some_taps(op, name, s):
    if not s["R"] or not s["S"]:
        raise ValueError(f"{op}: {name} must have a tap at least; got {s['R']} x {s['S']} of them")


def _derive_conv2d(s, options):
    _some_taps("conv2d", "weight", s)
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
    # Results are of unit variance; Winograd's F(4, 3) over a few hundred channels is off by up to 5e-5.
    tolerance={"float32": Tolerance(1e-5, 8e-5), "float64": Tolerance(1e-13, 1e-13)},
    sample=_layer_inputs,
    cases=_cases(SHAPES),
)


def _scaled(*names):
    """Inputs of which one is scaled so that sums over ``names`` have unit variance."""

    def sample(rng, op, sizes, dtype):
        first, second = standard_normal(rng, op, sizes, dtype)
        terms = max(prod(sizes[name] for name in names), 1)
        return first, second / np.asarray(sqrt(terms), second.dtype)

    return sample


def _derive_input(s, options):
    _some_taps("conv2d_grad_input", "weight", s)
    reach = {n: options["dilation"] * (s[n] - 1) + 1 for n in "RS"}
    least = [(s[n] - 1) * options["stride"] + reach[r] - 2 * options["padding"] for n, r in ("PR", "QS")]
    H, W = options["size"] or least
    if min(H, W) < 0 or (places(H, s["R"], options), places(W, s["S"], options)) != (s["P"], s["Q"]):
        raise ValueError(
            f"conv2d_grad_input: size must be that of images for which grad has {s['P']} x {s['Q']} places; "
            f"got {H} x {W}"
        )
    return {"C": s["D"] * options["groups"], "H": H, "W": W}


def _grad_input(grad, weight, size=(), stride=1, padding=0, dilation=1, groups=1):
    B, K, P, Q = grad.shape
    _, D, R, S = weight.shape
    sizes = dict(zip("BKPQDRS", (B, K, P, Q, D, R, S), strict=True))
    options = {**_settings(stride, padding, dilation), "groups": groups, "size": size}
    s = _derive_input(sizes, options)
    padded = np.zeros((B, groups, D, s["H"] + 2 * padding, s["W"] + 2 * padding))
    grad, weight = _split(np.float64(grad), 1, groups), _split(np.float64(weight), 0, groups)
    for r in range(R):
        for t in range(S):
            part = padded[:, :, :, r * dilation :, t * dilation :][..., ::stride, ::stride][..., :P, :Q]
            part += np.einsum("bgkpq,gkd->bgdpq", grad, weight[..., r, t])
    inner = padded[..., padding : padding + s["H"], padding : padding + s["W"]]
    return inner.reshape(B, groups * D, s["H"], s["W"])


def _derive_weight(s, options):
    if not s["P"] or not s["Q"]:
        raise ValueError(
            f"conv2d_grad_weight: grad must have a place at least; got {s['P']} x {s['Q']} of them"
        )
    spans = [s[n] + 2 * options["padding"] - (s[p] - 1) * options["stride"] for n, p in ("HP", "WQ")]
    R, S = options["size"] or [max(-(-(n - options["stride"]) // options["dilation"]) + 1, 1) for n in spans]
    if (places(s["H"], R, options), places(s["W"], S, options)) != (s["P"], s["Q"]):
        raise ValueError(
            f"conv2d_grad_weight: size must be that of filters with {s['P']} x {s['Q']} places in x; got {R} x {S}"
        )
    return {"D": s["C"] // options["groups"], "R": R, "S": S}


def _grad_weight(grad, x, size=(), stride=1, padding=0, dilation=1, groups=1):
    K, P, Q = grad.shape[1:]
    sizes = dict(zip("BKPQBCHW", (*grad.shape, *x.shape), strict=True))
    options = {**_settings(stride, padding, dilation), "groups": groups, "size": size}
    s = _derive_weight(sizes, options)
    windows = _split(_windows(x, (s["R"], s["S"]), (P, Q), options)[1], 1, groups)
    result = np.einsum("bgkpq,bgdpqrs->gkdrs", _split(np.float64(grad), 1, groups), windows)
    return result.reshape(K, s["D"], s["R"], s["S"])


def _gradient_cases(size, *without):
    """The cases of conv2d, and for the gradients what follows from them; ``size`` names what has to be said."""

    def case(name, use, sizes, options):
        full = {**sizes, **_derive_conv2d(sizes, {**DEFAULTS, **options})}
        options = {**options, "size": tuple(full[n] for n in size)}
        return name, use, {n: v for n, v in full.items() if n not in without}, options

    return _cases(case(*shape) for shape in SHAPES if shape[0] != "empty sum" or "C" not in without)


DEFAULTS = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}

CONV2D_GRAD_INPUT = Operation(
    name="conv2d_grad_input",
    formula="out = Σ over the places and taps that met a pixel, of grad[b, k, p, q] · weight[k, d, r, s]",
    inputs=(Array("grad", ("B", "K", "P", "Q")), Array("weight", ("K", "D", "R", "S"))),
    outputs=(Array("out", ("B", "C", "H", "W")),),
    options={"size": Option((), _pair), **GEOMETRY, "groups": _groups(("grad", 1), ("weight", 0))},
    derive=_derive_input,
    reference=_grad_input,
    count=_multiply_adds,
    tolerance={"float32": Tolerance(1e-5, 2e-5), "float64": Tolerance(1e-13, 1e-13)},
    sample=_scaled("K", "R", "S"),
    cases=_gradient_cases("HW", "C", "H", "W"),
)

CONV2D_GRAD_WEIGHT = Operation(
    name="conv2d_grad_weight",
    formula="out[k, d, r, s] = Σ grad[b, k, p, q] · x[b, d, p·stride + r·dilation − padding, q·stride + …]",
    inputs=(Array("grad", ("B", "K", "P", "Q")), Array("x", ("B", "C", "H", "W"))),
    outputs=(Array("out", ("K", "D", "R", "S")),),
    options={"size": Option((), _pair), **GEOMETRY, "groups": _groups(("grad", 1), ("x", 1))},
    derive=_derive_weight,
    reference=_grad_weight,
    count=_multiply_adds,
    tolerance={"float32": Tolerance(1e-5, 2e-5), "float64": Tolerance(1e-13, 1e-13)},
    sample=_scaled("B", "P", "Q"),
    cases=_gradient_cases("RS", "D", "R", "S"),
)
