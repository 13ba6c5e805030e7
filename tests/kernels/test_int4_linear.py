"""Weights of four bits: how near they are, what is kept exactly, and bits that do not depend on threads."""

import numpy as np
import pytest

from coursekit.kernels import cpu, reference
from coursekit.kernels.ops import OPS

BACKENDS = pytest.mark.parametrize("backend", [reference, cpu], ids=["reference", "cpu"])


def drawn(M, K, N):
    return OPS["linear"].draw(np.random.default_rng(8), {"M": M, "K": K, "N": N})


def unpacked(backend, weight):
    """What the packed weight stands for: a linear layer of the unit matrix."""
    N, K = weight.shape
    packed, scales = backend.pack_int4(weight)
    return backend.int4_linear(np.eye(K, dtype=np.float32), packed, scales, np.zeros(N, np.float32)).T


@BACKENDS
def test_each_number_is_off_by_half_a_scale_at_most(backend):
    weight = drawn(1, 70, 21)[1] * np.logspace(-6, 6, 21, dtype=np.float32)[:, None]
    error = np.abs(unpacked(backend, weight) - weight)
    for k in range(0, 70, 32):
        half = np.abs(weight[:, k : k + 32]).max(1, keepdims=True) / 14
        assert (error[:, k : k + 32] <= half * 1.0001).all()


@BACKENDS
def test_integers_to_seven_and_zeros_are_exact(backend):
    weight = np.random.default_rng(0).integers(-7, 8, (19, 96)).astype(np.float32)
    weight[:, ::32] = -7
    weight[3, 32:64] = 0
    np.testing.assert_array_equal(unpacked(backend, weight), weight)


@BACKENDS
def test_halves_are_rounded_to_even(backend):
    weight = np.float32([[7, 0.5, 1.5, 2.5, -0.5, -1.5, 3.5]])
    np.testing.assert_array_equal(unpacked(backend, weight), [[7, 0, 2, 2, 0, -2, 4]])


def test_any_number_of_threads_gives_the_same_bits():
    x, weight, bias = drawn(3, 1500, 1037)
    packed, scales = cpu.pack_int4(weight)
    alone = cpu.int4_linear(x, packed, scales, bias)
    np.testing.assert_array_equal(cpu.int4_linear(x[:1], packed, scales, bias), alone[:1])
    try:
        for number in (2, 3):
            cpu.set_num_threads(number)
            np.testing.assert_array_equal(cpu.int4_linear(x, packed, scales, bias), alone)
    finally:
        cpu.set_num_threads(1)
