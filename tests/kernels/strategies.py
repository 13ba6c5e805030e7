"""Calls of an operation for property-based tests: sizes and options, small and full of edges."""

from hypothesis import assume
from hypothesis import strategies as st

from coursekit.kernels.ops import OPS

edges = st.sampled_from([0, 1, 2, 3, 5, 8, 17])


@st.composite
def any_call(draw, op):
    """Every symbol of the shapes drawn by itself, every option among those that are known here."""
    sizes = {}
    for symbol in (s for a in op.inputs for s in a.shape):
        few = st.lists(edges, min_size=len(op.inputs[0].shape) == 1, max_size=3)
        sizes[symbol] = tuple(draw(few)) if symbol == "..." else draw(edges)
    options = {}
    if "axis" in op.options:
        ndim = len(op.inputs[0].dims(sizes))
        options["axis"] = draw(st.integers(-ndim, ndim - 1))
    if "approximate" in op.options:
        options["approximate"] = draw(st.sampled_from(["none", "tanh"]))
    if "by" in op.options:
        options["by"] = draw(st.sampled_from(["sum", "mean", "max"]))
    if "causal" in op.options:
        options["causal"] = draw(st.booleans())
    return sizes, options


@st.composite
def convolution(draw, op):
    """Filters that fit into the padded image, in groups that divide the channels."""
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    small = st.integers(1, 3)
    options = {"stride": draw(small), "padding": draw(st.integers(0, 3)), "dilation": draw(small)}
    sizes = {"B": draw(st.integers(0, 3)), "R": draw(small), "S": draw(small)}
    sizes |= {"C": groups * draw(st.integers(0, 4)), "K": groups * draw(st.integers(0, 5))}
    for side, taps in (("H", "R"), ("W", "S")):
        least = options["dilation"] * (sizes[taps] - 1) + 1 - 2 * options["padding"]
        sizes[side] = max(least, 0) + draw(st.integers(0, 9))
    return sizes, {**options, "groups": groups}


@st.composite
def convolution_gradient(draw, size, without):
    """A convolution, and its gradient: the ``size`` of what is asked for as an option, the others from the arrays."""
    op = OPS["conv2d"]
    sizes, options = draw(convolution(op))
    sizes = op.sizes(sizes, options)
    options["size"] = tuple(sizes[n] for n in size)
    assume(all(options["size"]))
    return {name: sizes[name] for name in sizes if name not in without}, options


@st.composite
def a_look_up(draw, op):
    """A table with a row or more, since each number needs one."""
    sizes = {"V": draw(edges.filter(bool)), "D": draw(edges)}
    return {"...": tuple(draw(st.lists(edges, min_size=1, max_size=3))), **sizes}, {}


@st.composite
def a_packed_product(draw, op):
    """The columns are told, the panels follow."""
    return {"M": draw(edges), "K": draw(edges)}, {"columns": draw(edges)}


@st.composite
def a_sparse_product(draw, op, tall):
    """Rows in blocks of ``tall``, and numbers only where there is a place for them."""
    sizes = {"R": tall * draw(edges), "K": draw(edges), "N": draw(st.sampled_from([0, 1, 3, 8, 17, 70]))}
    return {**sizes, "Z": draw(st.sampled_from([0, 1, 5, 40])) if sizes["R"] and sizes["K"] else 0}, {}


@st.composite
def a_binary_product(draw, op):
    """A number of entries that takes the words there are."""
    W = draw(edges)
    k = draw(st.sampled_from([0, 64 * W, max(64 * W - 63, 0)]))
    return {"M": draw(edges), "N": draw(st.sampled_from([0, 1, 3, 17, 70])), "W": W}, {"k": k}


@st.composite
def a_histogram(draw, op):
    low, span = draw(st.sampled_from([-1.0, 0.0, 0.3])), draw(st.sampled_from([0.5, 1.0, 3.7]))
    options = {"bins": draw(st.sampled_from([1, 2, 7, 300])), "low": low, "high": low + span}
    return {"...": tuple(draw(st.lists(edges, min_size=1, max_size=3)))}, options


@st.composite
def pooling(draw, op):
    """Windows that fit into the padded image; for a gradient, the sizes of what it is given."""
    k = draw(st.integers(1, 4))
    options = {"kernel_size": k, "stride": draw(st.integers(1, 4)), "padding": draw(st.integers(0, k // 2))}
    sizes = {"B": draw(st.integers(0, 3)), "C": draw(st.integers(0, 4))}
    for side in "HW":
        sizes[side] = max(k - 2 * options["padding"], 1) + draw(st.integers(0, 40))
    full = OPS["max_pool2d"].sizes(sizes, options)
    if "size" in op.options:
        options["size"] = (sizes["H"], sizes["W"])
    return {symbol: full[symbol] for a in op.inputs for symbol in a.shape}, options


@st.composite
def to_int8(draw, op):
    """Any sizes, and ends that are in order."""
    sizes, _ = draw(any_call(op))
    low, high = sorted(draw(st.tuples(st.integers(-128, 127), st.integers(-128, 127))))
    return sizes, {"zero": draw(st.integers(-128, 127)), "low": low, "high": high}


@st.composite
def an_int8_convolution(draw, op):
    """Filters that fit into the padded image, channels last, pooled or not."""
    sizes, options = draw(convolution(op))
    options = {name: options[name] for name in ("stride", "padding")} | {"taps": (sizes["R"], sizes["S"])}
    options |= {"fill": draw(st.integers(-128, 127)), "pool": draw(st.sampled_from([1, 2]))}
    sizes = {name: sizes[name] for name in "BHWC"} | {"N": draw(edges)}
    sizes["H"], sizes["W"] = (max(sizes[n], t) for n, t in zip("HW", options["taps"], strict=True))
    return sizes, options | draw(to_int8(op))[1]


@st.composite
def int8_pooling(draw, op):
    sizes, options = draw(pooling(OPS["max_pool2d"]))
    return sizes, options


# Operations whose sizes or options hang together have a strategy of their own: name -> function of op.
OWN = {
    "embedding": a_look_up,
    "int8_matmul_packed": a_packed_product,
    "quantize_int8": lambda op: st.tuples(
        any_call(op).map(lambda call: call[0]),
        st.fixed_dictionaries(
            {"scale": st.sampled_from([0.01, 0.1, 1.0]), "zero": st.integers(-128, 127)},
        ),
    ),
    "requantize": to_int8,
    "int8_linear": lambda op: st.tuples(
        st.fixed_dictionaries({"M": edges, "K": edges, "N": edges}), to_int8(op).map(lambda call: call[1])
    ),
    "pack_int8_filters": lambda op: st.tuples(
        st.fixed_dictionaries({"K": edges, "C": edges, "R": edges.filter(bool), "S": edges.filter(bool)}),
        st.just({}),
    ),
    "int8_conv2d": an_int8_convolution,
    "int8_max_pool2d": int8_pooling,
    "csr_matmul": lambda op: a_sparse_product(op, 1),
    "block_sparse_matmul": lambda op: a_sparse_product(op, 8),
    "two_four_matmul": lambda op: st.tuples(
        st.fixed_dictionaries({"R": edges, "K": st.sampled_from([0, 8, 24]), "N": edges}), st.just({})
    ),
    "binary_matmul": a_binary_product,
    "histogram": a_histogram,
    "kmeans_step": lambda op: st.tuples(
        st.fixed_dictionaries({"N": edges, "C": edges.filter(bool)}), st.just({})
    ),
    "conv2d": convolution,
    "conv2d_grad_input": lambda op: convolution_gradient("HW", "CHW"),
    **dict.fromkeys(["max_pool2d", "avg_pool2d", "max_pool2d_grad", "avg_pool2d_grad"], pooling),
    "conv2d_grad_weight": lambda op: convolution_gradient("RS", "DRS"),
}


def calls(op):
    """A strategy for (sizes, options) of calls of ``op``."""
    return OWN.get(op.name, any_call)(op)
