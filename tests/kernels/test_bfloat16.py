"""bfloat16 as bits: rounding and widening over all patterns, and products that tell the bits apart."""

import numpy as np
import pytest
import torch

from coursekit.kernels import cpu, reference
from coursekit.kernels.bfloat16 import from_bfloat16, to_bfloat16
from coursekit.kernels.ops import OPS

from .misuse import f4

PATTERNS = np.arange(2**16, dtype=np.uint16)
IS_NAN = (PATTERNS & 0x7FFF) > 0x7F80
FINITE = PATTERNS[(PATTERNS & 0x7FFF) < 0x7F80]
VERSIONS = [
    pytest.param(function, id=f"{backend.__name__.rpartition('.')[2]}.{name}")
    for backend in (reference, cpu)
    for name, function in backend.rungs("bfloat16_matmul").items()
]


def worth(pattern: int) -> float:
    """What a bfloat16 is worth, by the definition of its fields."""
    sign, exponent, fraction = pattern >> 15, pattern >> 7 & 0xFF, pattern & 0x7F
    if exponent == 0xFF:
        size = np.nan if fraction else np.inf
    elif exponent:
        size = (1 + fraction / 2**7) * 2.0 ** (exponent - 127)
    else:
        size = fraction / 2**7 * 2.0**-126
    return -size if sign else size


WORTH = np.array([worth(int(pattern)) for pattern in PATTERNS])


def test_each_pattern_is_worth_what_its_fields_say():
    wide = from_bfloat16(PATTERNS)
    assert wide.dtype == np.float32
    np.testing.assert_array_equal(wide, WORTH)
    np.testing.assert_array_equal(np.signbit(wide), PATTERNS >= 0x8000)


def test_each_pattern_comes_back():
    back = to_bfloat16(from_bfloat16(PATTERNS))
    assert back.dtype == np.uint16
    np.testing.assert_array_equal(back[~IS_NAN], PATTERNS[~IS_NAN])
    np.testing.assert_array_equal(back[IS_NAN], PATTERNS[IS_NAN] | 0x40)


def test_between_two_neighbours_the_nearer_one_and_the_even_one_at_a_tie():
    """For both signs, and from the least number to infinity: one float32 below the middle, the middle, one above."""
    for sign in (0, 0x8000):
        low = np.arange(0x7F80, dtype=np.uint32) | sign
        middle = low << 16 | 0x8000
        even = low + (low & 1)
        for bits, wanted in ((middle - 1, low), (middle, even), (middle + 1, low + 1)):
            np.testing.assert_array_equal(to_bfloat16(bits.view(np.float32)), wanted)


def test_rounded_as_torch_does_it():
    x = np.random.default_rng(1).integers(0, 2**32, 10**5, np.uint32).view(np.float32)
    ours, torchs = to_bfloat16(x), torch.from_numpy(x).bfloat16().view(torch.uint16).numpy()
    nan = np.isnan(x)
    assert nan.any()
    np.testing.assert_array_equal(ours[~nan], torchs[~nan])
    assert np.isnan(from_bfloat16(ours[nan])).all()


@pytest.mark.parametrize("bits", [0x7F800001, 0x7FFFFFFF, 0xFF800001, 0xFFFFFFFF, 0x7FC00000])
def test_nan_stays_nan_and_keeps_its_sign(bits):
    """Some have all their bits in the lower half, and some overflow where they are rounded."""
    got = from_bfloat16(to_bfloat16(np.array(bits, np.uint32).view(np.float32)))
    assert np.isnan(got) and np.signbit(got) == (bits >= 2**31)


@pytest.mark.parametrize("shape", [(), (0,), (2, 3, 4)])
def test_shapes_and_strides_are_kept(shape):
    x = np.random.default_rng(2).standard_normal(shape).astype(np.float32)
    assert to_bfloat16(x).shape == shape == from_bfloat16(to_bfloat16(x)).shape
    np.testing.assert_array_equal(to_bfloat16(x.T), to_bfloat16(x).T)
    if shape:
        np.testing.assert_array_equal(to_bfloat16(x[::-1]), to_bfloat16(x)[::-1])


def test_other_dtypes_are_refused():
    with pytest.raises(TypeError, match=r"to_bfloat16: x must be float32; got float64 \(call \.astype"):
        to_bfloat16(np.ones(2))
    with pytest.raises(TypeError, match="from_bfloat16: bits must be uint16; got float32"):
        from_bfloat16(f4(2))


@pytest.mark.parametrize("function", VERSIONS)
@pytest.mark.parametrize("rows", [1, 30], ids=["one row", "rows for tiles"])
def test_every_finite_number_by_one(function, rows):
    """Along a row of b and down a column of a: each is the product itself."""
    one = to_bfloat16(f4(rows, 1))
    wanted = np.broadcast_to(from_bfloat16(FINITE), (rows, FINITE.size))
    np.testing.assert_array_equal(function(one, FINITE[None]), wanted)
    np.testing.assert_array_equal(function(FINITE[:, None], one.T), wanted.T)


@pytest.mark.parametrize("function", VERSIONS)
@pytest.mark.parametrize("rows", [1, 30], ids=["one row", "rows for tiles"])
def test_sums_are_not_rounded_to_16_bits(function, rows):
    """257 has nine bits: a sum kept in bfloat16 stays at 256, and so does one that is rounded in the end."""
    np.testing.assert_array_equal(function(to_bfloat16(f4(rows, 257)), to_bfloat16(f4(257, 2))), 257)


@pytest.mark.parametrize("M", [1, 5, 70])
def test_the_same_bits_as_the_product_of_what_was_widened(M):
    a, b = OPS["bfloat16_matmul"].draw(np.random.default_rng(3), {"M": M, "K": 600, "N": 90})
    wanted = cpu.matmul(from_bfloat16(a), from_bfloat16(b))
    np.testing.assert_array_equal(cpu.bfloat16_matmul(a, b), wanted)


@pytest.mark.parametrize("backend", [reference, cpu], ids=["reference", "cpu"])
def test_a_tensor_of_bfloat16_is_shown_the_way(backend):
    x = torch.ones(2, 2, dtype=torch.bfloat16)
    message = r"bfloat16_matmul: a must be uint16; got bfloat16 \(call \.view\(torch\.uint16\) on it\)"
    with pytest.raises(TypeError, match=message):
        backend.bfloat16_matmul(x, x)
    bits = x.view(torch.uint16)
    torch.testing.assert_close(backend.bfloat16_matmul(bits, bits), torch.full((2, 2), 2.0))
