"""What is special about convolutions: the geometry, the error of Winograd's, and gradients that fit."""

import numpy as np
import pytest
import torch

from coursekit.kernels import cpu, reference
from coursekit.kernels.ops import OPS

from .agreement import assert_agrees

VERSIONS = [
    pytest.param(function, id=f"{backend.__name__.split('.')[-1]}.{name}")
    for backend in (reference, cpu)
    for name, function in backend.rungs("conv2d").items()
]
WAYS = [
    {},
    {"stride": 2, "padding": 1},
    {"stride": 3, "padding": 2, "dilation": 2},
    {"groups": 2, "padding": 4},
    {"stride": 4},  # more than the filter is long: some pixels meet no tap
]


def drawn(B=2, C=4, H=19, W=23, K=6, R=3, S=3, dtype="float32", **options):
    sizes = {"B": B, "C": C, "H": H, "W": W, "K": K, "R": R, "S": S}
    return OPS["conv2d"].draw(np.random.default_rng(0), sizes, dtype, **options)


@pytest.fixture(autouse=True)
def restored():
    before = cpu.get_num_threads()
    yield
    cpu.set_num_threads(before)


@pytest.mark.parametrize("function", VERSIONS)
def test_the_filter_is_not_turned_around(function):
    x = np.arange(12, dtype=np.float32).reshape(1, 1, 3, 4)
    weight = np.zeros((1, 1, 2, 2), np.float32)
    weight[0, 0, 0, 1] = 1
    np.testing.assert_allclose(function(x, weight)[0, 0], x[0, 0, :2, 1:], rtol=1e-5)


@pytest.mark.parametrize("function", VERSIONS)
def test_without_bias(function):
    x, weight, _ = drawn()
    assert_agrees(OPS["conv2d"], function(x, weight), (x, weight), {}, "float32")


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("C", [16, 64, 300])
@pytest.mark.parametrize(("name", "factor"), [("conv2d_winograd", 60), ("conv2d_winograd_small", 12)])
def test_the_error_of_winograd(name, factor, C, padding):
    x, weight, bias = drawn(B=1, C=C, K=16, H=33, W=30)
    wanted = OPS["conv2d"].reference(x, weight, bias, padding=padding)
    plain = np.abs(cpu.conv2d_tiled(x, weight, bias, padding=padding) - wanted).max()
    error = np.abs(cpu.rungs("conv2d")[name](x, weight, bias, padding=padding) - wanted).max()
    assert plain < 1e-5 and error < factor * plain and error < 8e-5


@pytest.mark.parametrize("bad", [np.inf, np.nan])
@pytest.mark.parametrize("function", [p for p in VERSIONS if "fft" not in p.id])
def test_a_bad_pixel_spoils_its_tile_at_most(function, bad):
    x, weight, bias = drawn(B=2, C=16, K=16, H=30, W=30)
    good = function(x, weight, bias, padding=1)
    x[0, 3, 13, 14] = bad
    spoilt = function(x, weight, bias, padding=1)
    assert not np.isfinite(spoilt[0, :, 12:15, 13:16]).any()
    spoilt[0, :, 8:20, 8:20] = good[0, :, 8:20, 8:20]
    np.testing.assert_array_equal(spoilt, good)


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_a_bad_pixel_spoils_its_image_at_most_by_spectra(bad):
    x, weight, bias = drawn(B=3)
    good = cpu.conv2d_fft(x, weight, bias)
    x[1, 3, 13, 14] = bad
    spoilt = cpu.conv2d_fft(x, weight, bias)
    assert not np.isfinite(spoilt[1]).any()
    np.testing.assert_array_equal(spoilt[[0, 2]], good[[0, 2]])


@pytest.mark.parametrize("taps", [3, 12, 31])
def test_the_error_by_spectra_does_not_grow_with_the_taps(taps):
    """As a share of the largest result; sums of products one after the other lose digits with their number."""
    x, weight, bias = drawn(B=1, C=16, K=4, H=40, W=45, R=taps, S=taps)
    wanted = OPS["conv2d"].reference(x, weight, bias)
    error = np.abs(cpu.conv2d_fft(x, weight, bias) - wanted).max() / np.abs(wanted).max()
    assert error < 2e-6


@pytest.mark.parametrize(
    "function",
    [p for p in VERSIONS if not any(word in p.id for word in ("winograd", "fft")) and p.id != "cpu.conv2d"],
)
@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_a_bad_pixel_reaches_no_place_that_does_not_see_it(function, bad):
    x, weight, bias = drawn(stride=2, padding=1)
    x[0, -1, -1, -1] = bad
    got = function(x, weight, bias, stride=2, padding=1)
    assert_agrees(OPS["conv2d"], got, (x, weight, bias), {"stride": 2, "padding": 1}, "float32")


@pytest.mark.parametrize("options", WAYS, ids=str)
@pytest.mark.parametrize("backend", [reference, cpu], ids=["reference", "cpu"])
def test_gradients_are_autograds(backend, options):
    x, weight, bias = (torch.from_numpy(a).requires_grad_() for a in drawn(dtype="float64", **options))
    out = torch.nn.functional.conv2d(x, weight, bias, **{"stride": 1, **options})
    grad = torch.from_numpy(np.random.default_rng(1).standard_normal(out.shape))
    out.backward(grad)
    with torch.no_grad():
        got_x = backend.conv2d_grad_input(grad, weight, size=tuple(x.shape[2:]), **options)
        got_weight = backend.conv2d_grad_weight(grad, x, size=tuple(weight.shape[2:]), **options)
    torch.testing.assert_close(got_x, x.grad, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(got_weight, weight.grad, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(grad.sum((0, 2, 3)), bias.grad)


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_gradients_are_transposes(options):
    """⟨grad, conv2d(x, weight)⟩ is linear in x and in weight, and the gradients are its coefficients."""
    x, weight, _ = drawn(dtype="float64", **options)
    out = OPS["conv2d"].reference(x, weight, **options)
    grad = np.random.default_rng(1).standard_normal(out.shape)
    by_input = OPS["conv2d_grad_input"].reference(grad, weight, size=x.shape[2:], **options)
    by_weight = OPS["conv2d_grad_weight"].reference(grad, x, size=weight.shape[2:], **options)
    for gradient, argument in ((by_input, x), (by_weight, weight)):
        np.testing.assert_allclose((gradient * argument).sum(), (grad * out).sum(), rtol=1e-10)


def test_sizes_left_out_are_the_smallest():
    grad, weight, x = (np.ones(s, np.float32) for s in ((1, 2, 3, 4), (2, 5, 3, 2), (1, 5, 8, 9)))
    assert cpu.conv2d_grad_input(grad, weight, stride=2).shape == (1, 5, 7, 8)
    assert cpu.conv2d_grad_weight(grad, x, stride=2).shape == (2, 5, 3, 2)


@pytest.mark.parametrize("options", [{}, {"stride": 2}, {"groups": 4}], ids=str)
def test_the_same_bits_on_any_number_of_threads(options):
    x, weight, bias = drawn(B=5, C=32, H=40, W=41, K=32, **options)
    results = []
    for number in (1, 2, 3):
        cpu.set_num_threads(number)
        spectra = cpu.conv2d_fft(x[:2], weight, bias, **options)
        out = cpu.conv2d(x, weight, bias, **options)
        by_input = cpu.conv2d_grad_input(out, weight, size=x.shape[2:], **options)
        by_weight = cpu.conv2d_grad_weight(out, x, size=weight.shape[2:], **options)
        results.append((out, by_input, by_weight, spectra))
    for other in results[1:]:
        for one, same in zip(other, results[0], strict=True):
            np.testing.assert_array_equal(one, same)


@pytest.mark.parametrize(
    "sizes",
    [
        {"C": 5, "K": 10, "H": 7, "W": 9, "padding": 2, "groups": 5},  # depthwise, rows of eleven
        {"C": 3, "K": 3, "H": 3, "W": 3, "groups": 3},  # depthwise, one place
        {"C": 40, "K": 48, "R": 1, "S": 1, "groups": 2},
        {"C": 20, "K": 3, "H": 2, "W": 3, "R": 1, "S": 1, "padding": 70},  # more zeros than a tile is wide
        {"C": 17, "K": 16, "H": 30, "W": 41, "padding": 1},  # Winograd, tiles cut off
    ],
    ids=str,
)
def test_kernels_for_special_filters(sizes):
    """One image on any number of threads, and its gradients."""
    options = {name: sizes[name] for name in ("padding", "groups") if name in sizes}
    arrays = drawn(B=2, **sizes)
    assert_agrees(OPS["conv2d"], cpu.conv2d(*arrays, **options), arrays, options, "float32")
    x, weight, bias = arrays
    one = cpu.conv2d(x[:1], weight, bias, **options)
    pair = {**options, "size": weight.shape[2:]}, {**options, "size": x.shape[2:]}
    by_weight = cpu.conv2d_grad_weight(one, x[:1], **pair[0])
    by_input = cpu.conv2d_grad_input(one, weight, **pair[1])
    scale = np.abs(by_weight).max(), np.abs(by_input).max()
    wanted = OPS["conv2d_grad_weight"].reference(one, x[:1], **pair[0])
    np.testing.assert_allclose(by_weight, wanted, rtol=0, atol=2e-6 * scale[0])
    wanted = OPS["conv2d_grad_input"].reference(one, weight, **pair[1])
    np.testing.assert_allclose(by_input, wanted, rtol=0, atol=2e-6 * scale[1])


@pytest.mark.parametrize("sizes", [{}, {"groups": 32}, {"R": 1, "S": 1, "K": 256}, {"stride": 2}], ids=str)
def test_one_image_has_the_same_bits_on_any_number_of_threads(sizes):
    sizes = {"B": 1, "C": 32, "K": 32, "H": 80, "W": 81, **sizes}
    options = {name: sizes[name] for name in ("stride", "groups") if name in sizes}
    arrays, results = drawn(**sizes), []
    for number in (1, 2, 3):
        cpu.set_num_threads(number)
        results.append(cpu.conv2d(*arrays, **options))
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


def f4(*shape):
    return np.ones(shape, np.float32)


@pytest.mark.parametrize("backend", [reference, cpu], ids=["reference", "cpu"])
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda k: k.conv2d(f4(1, 4, 5, 5), f4(6, 3, 3, 3)),
            r"weight must have shape \(K, D, R, S\) = \(6, 4",
        ),
        (
            lambda k: k.conv2d(f4(1, 4, 5, 5), f4(6, 2, 3, 3), groups=4),
            "groups must be a divisor .* 6 of weight",
        ),
        (lambda k: k.conv2d(f4(1, 4, 5, 5), f4(6, 4, 6, 1)), "must fit into x of 5 x 5 pixels"),
        (lambda k: k.conv2d(f4(1, 4, 5, 5), f4(6, 4, 0, 1)), "weight must have a tap"),
        (lambda k: k.conv2d(f4(1, 4, 5, 5), f4(6, 4, 1, 1), stride=0), "stride must be positive; got 0"),
        (lambda k: k.conv2d(f4(1, 4, 5, 5), f4(6, 4, 1, 1), padding=-1), "padding must be 0 or more"),
        (
            lambda k: k.conv2d_grad_input(f4(1, 2, 3, 3), f4(2, 1, 3, 3), size=(6, 5)),
            "size must be .* 3 x 3 places",
        ),
        (
            lambda k: k.conv2d_grad_weight(f4(1, 2, 3, 3), f4(1, 1, 5, 5), size=(2, 3)),
            "size must be .* got 2 x 3",
        ),
        (lambda k: k.conv2d_grad_weight(f4(1, 2, 3, 3), f4(1, 1, 5, 5), size=(3,)), "size must be a pair"),
    ],
)
def test_calls_that_do_not_fit(backend, call, message):
    with pytest.raises(ValueError, match=message):
        call(backend)
