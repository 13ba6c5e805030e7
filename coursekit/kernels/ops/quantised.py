"""Layers whose numbers are integers from end to end: int8 between them, int32 within, and no float anywhere.

A real number r is written as scale · (q − zero) with q an int8. A layer sums products of int8 in int32 and has to
bring the sum back to int8, in the scale of what comes next: that is a multiplication by a constant below a quarter,
done as an integer multiplication and a shift. Jacob et al., "Quantization and training of neural networks for
efficient integer-arithmetic-only inference", CVPR 2018, section 2.2.
"""

from math import log2

import numpy as np

from coursekit.kernels.contract import Array, Case, Operation, Option, Tolerance, one_of, standard_normal
from coursekit.kernels.ops.convolution import NOT_NEGATIVE, POSITIVE, places
from coursekit.kernels.ops.integer import EXACT, FOUR, PRODUCTS
from coursekit.kernels.ops.linear import PANEL

LOWEST, HIGHEST = -128, 127
SHIFTS = (33, 62)
"""The shifts that requantisation knows, from the first to the last."""


def _int8(default):
    fine = f"from {LOWEST} to {HIGHEST}"
    return Option(default, lambda value, shapes: "" if LOWEST <= value <= HIGHEST else fine)


TARGET = {"zero": _int8(0), "low": _int8(LOWEST), "high": _int8(HIGHEST)}
"""The integer that stands for 0, and the ends of the results; a ReLU is a ``low`` equal to ``zero``."""
RESCALE = (
    Array("bias", ("N",), "int32"),
    Array("multiplier", ("N",), "int32"),
    Array("shift", ("N",), "int32"),
)


def _ordered(name, options):
    if options["low"] > options["high"]:
        raise ValueError(f"{name}: low must be high or less; got {options['low']} and {options['high']}")


def rescale(total, bias, multiplier, shift, zero, low, high):
    """Integers of any size brought to int8, by int64, which holds every number on the way."""
    total = (np.int64(total) + bias).astype(np.int32).astype(np.int64)
    product = total * np.int64(multiplier)
    size = (np.abs(product) + (np.int64(1) << np.int64(shift) - 1)) >> np.int64(shift)
    return np.clip(np.sign(product) * size + zero, low, high).astype(np.int8)


def _quantize(x, scale=1.0, zero=0):
    """In the dtype of x: a quotient rounded once to float32 and once to an integer is what is asked for."""
    with np.errstate(over="ignore", invalid="ignore"):
        steps = np.rint(x / x.dtype.type(scale)) + x.dtype.type(zero)
    return np.where(np.isnan(steps), LOWEST, np.clip(steps, LOWEST, HIGHEST)).astype(np.int8)


QUANTIZE_INT8 = Operation(
    name="quantize_int8",
    formula="out = round(x / scale) + zero, halves to even, and the nearest int8 beyond the ends",
    inputs=(Array("x", ("...",)),),
    outputs=(Array("out", ("...",), "int8"),),
    options={
        "scale": Option(1.0, lambda value, shapes: "" if 0 < value < np.inf else "positive and finite"),
        "zero": _int8(0),
    },
    reference=_quantize,
    # A quotient, a rounding, a sum, and two comparisons.
    count=lambda s, options: 5 * int(np.prod(s["..."])),
    tolerance={"float32": Tolerance(0, 0), "float64": Tolerance(0, 0)},
    cases=(
        Case("64 images", "benchmark", {"...": (64, 1, 28, 28)}, {"scale": 0.004, "zero": -128}),
        Case("odd", "test", {"...": (3, 5, 7)}, {"scale": 0.02, "zero": 3}),
        Case("beyond the ends", "test", {"...": (2, 99)}, {"scale": 0.001}),
        Case("nothing", "test", {"...": (0, 3)}),
        Case("a number", "test", {"...": ()}),
        Case("tiny", "tiny", {"...": (2, 9)}, {"scale": 0.1}),
    ),
)


def _scaled_inputs(rng, terms, N):
    """Bias, multiplier and shift that spread sums of so many products over int8, and somewhat beyond."""
    bias = rng.integers(-(2**14), 2**14, N, np.int32)
    multiplier = rng.integers(2**30, 2**31, N, np.int32)
    middle = 34 + max(round(log2(54 * max(terms, 1) ** 0.5)) - 2, 0)
    return bias, multiplier, rng.integers(middle - 1, middle + 2, N).astype(np.int32)


def _requantize_inputs(rng, op, sizes, dtype):
    x = rng.integers(-(2**20), 2**20, (sizes["M"], sizes["N"])).astype(np.int32)
    return x, *_scaled_inputs(rng, 2**12, sizes["N"])


def _derive_requantize(s, options):
    _ordered("requantize", options)
    return {}


REQUANTIZE = Operation(
    name="requantize",
    formula="out[m, n] = clip(round((x[m, n] + bias[n]) · multiplier[n] / 2^shift[n]) + zero, low, high)",
    inputs=(Array("x", ("M", "N"), "int32"), *RESCALE),
    outputs=(Array("out", ("M", "N"), "int8"),),
    options=TARGET,
    derive=_derive_requantize,
    reference=lambda x, bias, multiplier, shift, zero=0, low=LOWEST, high=HIGHEST: rescale(
        x, bias, multiplier, shift, zero, low, high
    ),
    # Two sums, a product, a rounding shift, and two comparisons.
    count=lambda s, options: 6 * s["M"] * s["N"],
    tolerance=EXACT,
    sample=_requantize_inputs,
    cases=(
        Case("64x1024", "benchmark", {"M": 64, "N": 1024}),
        Case("odd", "test", {"M": 19, "N": 45}, {"zero": -7}),
        Case("with ReLU", "test", {"M": 7, "N": 33}, {"zero": 5, "low": 5, "high": 100}),
        Case("one column", "test", {"M": 5, "N": 1}),
        Case("no rows", "test", {"M": 0, "N": 3}),
        Case("no columns", "test", {"M": 3, "N": 0}),
        Case("tiny", "tiny", {"M": 3, "N": 9}),
    ),
)


def _panel_sizes(terms, N):
    return {"G": -(-N // PANEL), "T": -(-terms // FOUR), "16": PANEL, "4": FOUR}


def _unpacked(panels, N):
    """The columns of all the terms, padded to fours: shape (4·T, N)."""
    G, T, *_ = panels.shape
    return np.int64(panels.transpose(1, 3, 0, 2).reshape(T * FOUR, G * PANEL)[:, :N])


def _int8_linear(x, panels, bias, multiplier, shift, zero=0, low=LOWEST, high=HIGHEST):
    columns = _unpacked(panels, len(bias))[: x.shape[1]]
    total = np.einsum("mk,kn->mn", np.int64(x), columns, optimize=False)
    return rescale(total, bias, multiplier, shift, zero, low, high)


def _derive_linear(s, options):
    _ordered("int8_linear", options)
    return _panel_sizes(s["K"], s["N"])


def _linear_inputs(rng, op, sizes, dtype):
    """Zeros in the panels beyond the edges, as they are packed."""
    x, panels, *_ = standard_normal(rng, op, sizes, dtype)
    mask = np.zeros((sizes["T"] * FOUR, sizes["G"] * PANEL), np.int8)
    mask[: sizes["K"], : sizes["N"]] = 1
    mask = mask.reshape(sizes["T"], FOUR, sizes["G"], PANEL).transpose(2, 0, 3, 1)
    return x, np.ascontiguousarray(panels * mask), *_scaled_inputs(rng, sizes["K"], sizes["N"])


INT8_LINEAR = Operation(
    name="int8_linear",
    formula="out = requantize(Σₖ x[m, k] · panels[n div 16, k div 4, n mod 16, k mod 4], …)",
    inputs=(Array("x", ("M", "K"), "int8"), Array("panels", ("G", "T", "16", "4"), "int8"), *RESCALE),
    outputs=(Array("out", ("M", "N"), "int8"),),
    options=TARGET,
    derive=_derive_linear,
    reference=_int8_linear,
    count=lambda s, options: (2 * s["K"] + 6) * s["M"] * s["N"],
    tolerance=EXACT,
    sample=_linear_inputs,
    cases=tuple(
        Case(name, use, s, {"zero": -3}) for use, sizes in PRODUCTS.items() for name, s in sizes.items()
    ),
)


def _pair(value, shapes):
    fine = len(value) == 2 and all(isinstance(n, int) and n > 0 for n in value)
    return "" if fine else "a pair of positive ints"


def _terms(taps, channels):
    """Fours of a filter: each of its rows is padded to whole ones, taps and channels side by side."""
    R, S = taps
    return R * -(-S * channels // FOUR)


def _pack_filters(weight):
    K, C, R, S = weight.shape
    width = -(-S * C // FOUR) * FOUR
    rows = np.zeros((K, R, width), np.int8)
    rows[:, :, : S * C] = weight.transpose(0, 2, 3, 1).reshape(K, R, S * C)
    padded = np.zeros((-(-K // PANEL) * PANEL, R * width), np.int8)
    padded[:K] = rows.reshape(K, R * width)
    return padded.reshape(-(-K // PANEL), PANEL, R * width // FOUR, FOUR).transpose(0, 2, 1, 3)


def _filters(K, C, R, S):
    return {"K": K, "C": C, "R": R, "S": S}


PACK_INT8_FILTERS = Operation(
    name="pack_int8_filters",
    formula="panels[g, t, n, i] = weight[16 g + n, c, r, s], (s, c) of a row r being numbered and padded to fours",
    inputs=(Array("weight", ("K", "C", "R", "S"), "int8"),),
    outputs=(Array("panels", ("G", "T", "16", "4"), "int8"),),
    derive=lambda s, options: {
        **_panel_sizes(0, s["K"]),
        "T": _terms((s["R"], s["S"]), s["C"]),
    },
    reference=_pack_filters,
    count=lambda s, options: 0,
    tolerance=EXACT,
    cases=(
        Case("32 of 16, 5x5", "benchmark", _filters(32, 16, 5, 5)),
        Case("16 of 1, 5x5", "test", _filters(16, 1, 5, 5)),
        Case("odd", "test", _filters(19, 3, 3, 2)),
        Case("no channels", "test", _filters(3, 0, 2, 2)),
        Case("no filters", "test", _filters(0, 2, 3, 3)),
        Case("tiny", "tiny", _filters(3, 2, 2, 3)),
    ),
)


def _derive_conv(s, options):
    _ordered("int8_conv2d", options)
    P, Q = (
        places(s[n], taps, {**options, "dilation": 1}) for n, taps in zip("HW", options["taps"], strict=True)
    )
    if P < 1 or Q < 1:
        raise ValueError(
            f"int8_conv2d: filters of {options['taps'][0]} x {options['taps'][1]} taps must fit into x of "
            f"{s['H']} x {s['W']} pixels with padding {options['padding']}"
        )
    P, Q = P // options["pool"], Q // options["pool"]
    return {"P": P, "Q": Q, **_panel_sizes(0, s["N"]), "T": _terms(options["taps"], s["C"])}


def _int8_conv2d(
    x,
    panels,
    bias,
    multiplier,
    shift,
    taps=(1, 1),
    stride=1,
    padding=0,
    fill=0,
    pool=1,
    zero=0,
    low=LOWEST,
    high=HIGHEST,
):
    R, S = taps
    C, N = x.shape[3], len(bias)
    weight = _unpacked(panels, N).reshape(R, -(-S * C // FOUR) * FOUR, N)[:, : S * C].reshape(R, S, C, N)
    around = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    x = np.pad(np.int64(x), around, constant_values=fill)
    windows = np.lib.stride_tricks.sliding_window_view(x, taps, (1, 2))[:, ::stride, ::stride]
    total = np.einsum("bpqcrs,rscn->bpqn", windows, weight)
    steps = rescale(total, bias, multiplier, shift, zero, low, high)
    B, P, Q, N = steps.shape
    squares = steps[:, : P // pool * pool, : Q // pool * pool].reshape(B, P // pool, pool, Q // pool, pool, N)
    return squares.max((2, 4), initial=LOWEST)


def _count_conv(s, options):
    """Products and sums of each place, and a requantisation of what pooling leaves of them."""
    R, S = options["taps"]
    left = s["B"] * s["P"] * s["Q"] * s["N"]
    return left * (2 * s["C"] * R * S * options["pool"] ** 2 + 6)


def _conv_inputs(rng, op, sizes, dtype):
    """Filters packed: zeros beyond their rows' edges."""
    x = rng.integers(LOWEST, HIGHEST, op.inputs[0].dims(sizes), np.int8, endpoint=True)
    N, C, T = sizes["N"], sizes["C"], sizes["T"]
    R, S = sizes["taps"]
    assert _terms((R, S), C) == T
    weight = rng.integers(LOWEST, HIGHEST, (N, C, R, S), np.int8, endpoint=True)
    return x, np.ascontiguousarray(_pack_filters(weight)), *_scaled_inputs(rng, C * R * S, N)


def _conv_case(name, use, image, N, taps, **options):
    sizes = dict(zip("BHWC", image, strict=True))
    return Case(name, use, {**sizes, "N": N}, {"taps": taps, **options})


INT8_CONV2D = Operation(
    name="int8_conv2d",
    formula="out = requantize(Σ x[b, p·stride + r − padding, q·stride + …, c] · weight[n, c, r, s], …), pooled",
    inputs=(
        Array("x", ("B", "H", "W", "C"), "int8"),
        Array("panels", ("G", "T", "16", "4"), "int8"),
        *RESCALE,
    ),
    outputs=(Array("out", ("B", "P", "Q", "N"), "int8"),),
    options={
        "taps": Option((1, 1), _pair),
        "stride": POSITIVE,
        "padding": NOT_NEGATIVE,
        "fill": _int8(0),
        "pool": one_of(1, 2),
        **TARGET,
    },
    derive=lambda s, options: {**_derive_conv(s, options), "taps": options["taps"]},
    reference=_int8_conv2d,
    count=_count_conv,
    tolerance=EXACT,
    sample=_conv_inputs,
    cases=(
        _conv_case("1 to 16, 28x28, 5x5", "benchmark", (64, 28, 28, 1), 16, (5, 5), zero=-128, low=-128),
        _conv_case("16 to 32, 12x12, 5x5", "benchmark", (64, 12, 12, 16), 32, (5, 5), zero=-128, low=-128),
        _conv_case(
            "1 to 16 and pooled", "benchmark", (64, 28, 28, 1), 16, (5, 5), pool=2, zero=-128, low=-128
        ),
        _conv_case("64 to 64, 56x56, 3x3", "benchmark", (1, 56, 56, 64), 64, (3, 3), padding=1),
        _conv_case("3x3, padded", "test", (2, 13, 11, 5), 7, (3, 3), padding=1, fill=-9, zero=4),
        _conv_case("stride 2", "test", (2, 17, 20, 3), 19, (3, 2), stride=2, padding=3, fill=127),
        _conv_case("pooled", "test", (2, 14, 11, 3), 19, (3, 3), pool=2, padding=1, fill=-4, zero=9, low=9),
        _conv_case("nothing left by pooling", "test", (2, 3, 5, 3), 4, (3, 3), pool=2),
        _conv_case("one tap", "test", (3, 6, 5, 33), 17, (1, 1), low=-5, high=60),
        _conv_case("as large as the image", "test", (2, 4, 5, 3), 6, (4, 5)),
        _conv_case("nothing but padding", "test", (1, 1, 1, 2), 3, (3, 3), padding=3, fill=7),
        _conv_case("no images", "test", (0, 5, 5, 3), 2, (3, 3)),
        _conv_case("no filters", "test", (2, 5, 5, 3), 0, (3, 3)),
        _conv_case("empty sum", "test", (2, 5, 5, 0), 2, (3, 3), padding=1),
        _conv_case("tiny", "tiny", (1, 5, 4, 2), 3, (3, 3), padding=1, fill=1),
    ),
)


def _derive_pool(s, options):
    k, padding = options["kernel_size"], options["padding"]
    if 2 * padding > k:
        raise ValueError(f"int8_max_pool2d: padding must be half of kernel_size {k} or less; got {padding}")
    P, Q = (places(s[n], k, {**options, "dilation": 1}) for n in "HW")
    if min(P, Q, s["H"], s["W"]) < 1:
        raise ValueError(
            f"int8_max_pool2d: the window of {k} x {k} must fit into x of {s['H']} x {s['W']} pixels "
            f"with padding {padding}"
        )
    return {"P": P, "Q": Q}


def _int8_max_pool2d(x, kernel_size=2, stride=2, padding=0):
    around = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    x = np.pad(x, around, constant_values=LOWEST)
    windows = np.lib.stride_tricks.sliding_window_view(x, (kernel_size, kernel_size), (1, 2))
    return windows[:, ::stride, ::stride].max((-2, -1), initial=LOWEST)


def _image(B, H, W, C):
    return {"B": B, "H": H, "W": W, "C": C}


INT8_MAX_POOL2D = Operation(
    name="int8_max_pool2d",
    formula="out[b, p, q, c] = max of x[b, p·stride + r − padding, q·stride + s − padding, c]",
    inputs=(Array("x", ("B", "H", "W", "C"), "int8"),),
    outputs=(Array("out", ("B", "P", "Q", "C"), "int8"),),
    options={
        "kernel_size": Option(2, POSITIVE.wanted),
        "stride": Option(2, POSITIVE.wanted),
        "padding": NOT_NEGATIVE,
    },
    derive=_derive_pool,
    reference=_int8_max_pool2d,
    count=lambda s, options: s["B"] * s["C"] * s["P"] * s["Q"] * options["kernel_size"] ** 2,
    tolerance=EXACT,
    cases=(
        Case("64 of 24x24x16", "benchmark", _image(64, 24, 24, 16)),
        Case("odd", "test", _image(2, 9, 13, 5)),
        Case("3x3, padded", "test", _image(2, 9, 8, 17), {"kernel_size": 3, "stride": 2, "padding": 1}),
        Case("windows overlap", "test", _image(1, 6, 7, 40), {"kernel_size": 3, "stride": 1}),
        Case("gaps between windows", "test", _image(2, 11, 12, 3), {"kernel_size": 2, "stride": 5}),
        Case("one channel", "test", _image(2, 8, 70, 1)),
        Case("no images", "test", _image(0, 4, 4, 3)),
        Case("no channels", "test", _image(2, 4, 4, 0)),
        Case("tiny", "tiny", _image(1, 5, 4, 2)),
    ),
)
