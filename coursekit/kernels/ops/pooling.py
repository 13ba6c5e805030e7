"""The largest or the mean of the pixels under a square window that steps over images, and the gradients."""

import numpy as np

from coursekit.kernels.contract import Array, Case, Operation, Option, Tolerance
from coursekit.kernels.ops.convolution import NOT_NEGATIVE, POSITIVE, places

# A window as far from the next as it is wide is the usual choice.
OPTIONS = {
    "kernel_size": Option(2, POSITIVE.wanted),
    "stride": Option(2, POSITIVE.wanted),
    "padding": NOT_NEGATIVE,
}
SIZE = Option(
    (),
    lambda value, shapes: (
        ""
        if len(value) in (0, 2) and all(isinstance(n, int) and n > 0 for n in value)
        else "a pair of positive ints, or () for the smallest"
    ),
)


def _count_places(name, H, W, options):
    """How many places the window has, down and across."""
    k, padding = options["kernel_size"], options["padding"]
    if 2 * padding > k:
        raise ValueError(f"{name}: padding must be half of kernel_size {k} or less; got {padding}")
    P, Q = (places(n, k, {**options, "dilation": 1}) for n in (H, W))
    if min(P, Q, H, W) < 1:
        raise ValueError(
            f"{name}: the window of {k} x {k} must fit into x of {H} x {W} pixels with padding {padding}"
        )
    return P, Q


def _derive(name):
    def derive(s, options):
        P, Q = _count_places(name, s["H"], s["W"], options)
        return {"P": P, "Q": Q}

    return derive


def _derive_max_grad(s, options):
    places = _count_places("max_pool2d_grad", s["H"], s["W"], options)
    if places != (s["P"], s["Q"]):
        raise ValueError(
            f"max_pool2d_grad: grad must have {places[0]} x {places[1]} places to match x of {s['H']} x {s['W']} "
            f"pixels; got {s['P']} x {s['Q']}"
        )
    return {}


def _derive_avg_grad(s, options):
    k, stride, padding = options["kernel_size"], options["stride"], options["padding"]
    H, W = options["size"] or [(s[n] - 1) * stride + k - 2 * padding for n in "PQ"]
    if _count_places("avg_pool2d_grad", H, W, options) != (s["P"], s["Q"]):
        raise ValueError(
            f"avg_pool2d_grad: size must be that of images with {s['P']} x {s['Q']} places of the window; got {H} x {W}"
        )
    return {"H": H, "W": W}


def _windows(x, fill, kernel_size, stride, padding):
    """x padded, and seen as (B, C, P, Q, k, k)."""
    around = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    x = np.pad(np.float64(x), around, constant_values=fill)
    view = np.lib.stride_tricks.sliding_window_view(x, (kernel_size, kernel_size), (2, 3), writeable=True)
    return x, view[:, :, ::stride, ::stride]


def _inner(padded, padding):
    H, W = padded.shape[2:]
    return padded[:, :, padding : H - padding, padding : W - padding]


def _max_pool2d(x, kernel_size=2, stride=2, padding=0):
    return _windows(x, -np.inf, kernel_size, stride, padding)[1].max((-2, -1))


def _avg_pool2d(x, kernel_size=2, stride=2, padding=0):
    with np.errstate(invalid="ignore"):
        return _windows(x, 0, kernel_size, stride, padding)[1].mean((-2, -1))


def _max_pool2d_grad(grad, x, kernel_size=2, stride=2, padding=0):
    result, windows = _windows(np.zeros(x.shape), 0, kernel_size, stride, padding)
    _, values = _windows(x, -np.inf, kernel_size, stride, padding)
    for b, c, p, q in np.ndindex(grad.shape):
        inside = np.ones((kernel_size, kernel_size), bool)
        for axis, (at, size) in enumerate(((p, x.shape[2]), (q, x.shape[3]))):
            where = at * stride - padding + np.arange(kernel_size)
            inside &= np.expand_dims((where >= 0) & (where < size), 1 - axis)
        first, *_ = np.argwhere(inside & _is_top(values[b, c, p, q]))
        windows[b, c, p, q][tuple(first)] += grad[b, c, p, q]
    return _inner(result, padding)


def _is_top(window):
    """Where the largest stands; of several nan torch takes the last."""
    missing = np.isnan(window)
    if not missing.any():
        return window == window.max()
    last = np.zeros_like(missing)
    last[tuple(np.argwhere(missing)[-1])] = True
    return last


def _avg_pool2d_grad(grad, size=(), kernel_size=2, stride=2, padding=0):
    options = {"size": size, "kernel_size": kernel_size, "stride": stride, "padding": padding}
    s = _derive_avg_grad(dict(zip("BCPQ", grad.shape, strict=True)), options)
    images = np.zeros((*grad.shape[:2], s["H"], s["W"]))
    result, windows = _windows(images, 0, kernel_size, stride, padding)
    for r in range(kernel_size):
        for t in range(kernel_size):
            windows[..., r, t] += np.float64(grad) / kernel_size**2
    return _inner(result, padding)


def _sizes(B, C, H, W):
    return {"B": B, "C": C, "H": H, "W": W}


def _window(kernel_size, stride, padding=0):
    return {"kernel_size": kernel_size, "stride": stride, "padding": padding}


SHAPES = (
    ("8x64, 56x56, 2x2", "benchmark", _sizes(8, 64, 56, 56), _window(2, 2)),
    ("8x64, 112x112, 3x3, stride 2", "benchmark", _sizes(8, 64, 112, 112), _window(3, 2, 1)),
    ("8x64, 28x28, 3x3, stride 1", "benchmark", _sizes(8, 64, 28, 28), _window(3, 1, 1)),
    ("halves", "test", _sizes(2, 3, 14, 38), _window(2, 2)),
    ("3x3, stride 2, padded", "test", _sizes(2, 3, 15, 41), _window(3, 2, 1)),
    ("3x3, stride 1, padded", "test", _sizes(1, 2, 9, 35), _window(3, 1, 1)),
    ("gaps between windows", "test", _sizes(2, 1, 17, 36), _window(2, 3)),
    ("5x5, stride 4", "test", _sizes(1, 2, 23, 70), _window(5, 4, 2)),
    ("one pixel", "test", _sizes(2, 2, 5, 7), _window(1, 1)),
    ("one place", "test", _sizes(1, 3, 4, 4), _window(4, 2)),
    ("an image smaller than the window", "test", _sizes(1, 1, 2, 1), _window(4, 1, 2)),
    ("no images", "test", _sizes(0, 3, 4, 4), _window(2, 2)),
    ("no channels", "test", _sizes(2, 0, 4, 5), _window(3, 2, 1)),
    ("tiny", "tiny", _sizes(1, 2, 4, 6), _window(2, 2)),
    ("tiny, padded", "tiny", _sizes(1, 1, 5, 4), _window(3, 2, 1)),
    ("tiny, nothing", "tiny", _sizes(0, 1, 2, 2), _window(2, 2)),
)


def _cases(convert=lambda s, options: (s, options)):
    """The shapes; for a gradient ``convert`` says what is given instead."""
    return tuple(Case(name, use, *convert(s, options)) for name, use, s, options in SHAPES)


def _with_places(s, options):
    return {**s, **_derive("max_pool2d")(s, options)}, options


def _places_alone(s, options):
    full = _with_places(s, options)[0]
    return {n: full[n] for n in "BCPQ"}, {"size": (s["H"], s["W"]), **options}


def _each_tap(s, options):
    return s["B"] * s["C"] * s["P"] * s["Q"] * options["kernel_size"] ** 2


IMAGES, RESULTS = ("B", "C", "H", "W"), ("B", "C", "P", "Q")
EXACT = {"float32": Tolerance(0, 0), "float64": Tolerance(0, 0)}
# Sums of k² numbers of a few units.
SUMS = {"float32": Tolerance(1e-6, 3e-6), "float64": Tolerance(1e-14, 1e-14)}

MAX_POOL2D = Operation(
    name="max_pool2d",
    formula="out[b, c, p, q] = max over r, s < k of x[b, c, p·stride + r − padding, q·stride + s − padding]",
    inputs=(Array("x", IMAGES),),
    outputs=(Array("out", RESULTS),),
    options=OPTIONS,
    derive=_derive("max_pool2d"),
    reference=_max_pool2d,
    count=_each_tap,
    tolerance=EXACT,
    cases=_cases(),
)
AVG_POOL2D = Operation(
    name="avg_pool2d",
    formula="out[b, c, p, q] = Σ over r, s < k of x[b, c, p·stride + r − padding, q·stride + s − padding] / k²",
    inputs=(Array("x", IMAGES),),
    outputs=(Array("out", RESULTS),),
    options=OPTIONS,
    derive=_derive("avg_pool2d"),
    reference=_avg_pool2d,
    count=lambda s, options: _each_tap(s, options) + s["B"] * s["C"] * s["P"] * s["Q"],
    tolerance=SUMS,
    cases=_cases(),
)
MAX_POOL2D_GRAD = Operation(
    name="max_pool2d_grad",
    formula="out = Σ of grad[b, c, p, q] over the windows in which the pixel is the first of the largest",
    inputs=(Array("grad", RESULTS), Array("x", IMAGES)),
    outputs=(Array("out", IMAGES),),
    options=OPTIONS,
    derive=_derive_max_grad,
    reference=_max_pool2d_grad,
    count=lambda s, options: _each_tap(s, options) + s["B"] * s["C"] * s["P"] * s["Q"],
    tolerance=SUMS,
    cases=_cases(_with_places),
)
AVG_POOL2D_GRAD = Operation(
    name="avg_pool2d_grad",
    formula="out = Σ of grad[b, c, p, q] / k² over the windows that the pixel lies in",
    inputs=(Array("grad", RESULTS),),
    outputs=(Array("out", IMAGES),),
    options={"size": SIZE, **OPTIONS},
    derive=_derive_avg_grad,
    reference=_avg_pool2d_grad,
    count=lambda s, options: _each_tap(s, options) + s["B"] * s["C"] * s["P"] * s["Q"],
    tolerance=SUMS,
    cases=_cases(_places_alone),
)
