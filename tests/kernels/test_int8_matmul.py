"""Products of int8 at the ends of their range, where they wrap around, and by the other instructions' way."""

import os
import subprocess
import sys

import numpy as np
import pytest

from coursekit.kernels import cpu, reference
from coursekit.kernels.ops import OPS

BACKENDS = pytest.mark.parametrize("backend", [reference, cpu], ids=["reference", "cpu"])


def products(backend, a, b):
    """The product by every version."""
    for function in backend.rungs("int8_matmul").values():
        yield function(a, b)
    panels = backend.pack_int8(b)
    for function in backend.rungs("int8_matmul_packed").values():
        yield function(a, panels, columns=b.shape[1])


@BACKENDS
@pytest.mark.parametrize("ends", [(-128, -128), (-128, 127), (127, 127), (127, -128)])
def test_the_ends_of_the_range(backend, ends):
    """Neighbours' products added in int16, as some instructions do, would saturate here."""
    a, b = np.full((7, 99), ends[0], np.int8), np.full((99, 18), ends[1], np.int8)
    for got in products(backend, a, b):
        np.testing.assert_array_equal(got, ends[0] * ends[1] * 99)


@BACKENDS
def test_the_longest_exact_sum_and_the_first_that_wraps_around(backend):
    a, b = np.full((4, 131072), -128, np.int8), np.full((131072, 1), -128, np.int8)
    for got in products(backend, a, b):
        np.testing.assert_array_equal(got, -(2**31))
    for got in products(backend, a[:, 1:], b[1:]):
        np.testing.assert_array_equal(got, 2**31 - 2**14)


@pytest.mark.parametrize("M", [1, 70])
@pytest.mark.parametrize("name", ["int8_matmul", "int8_matmul_packed"])
def test_any_number_of_threads_gives_the_same_bits(name, M):
    a, b = OPS["int8_matmul"].draw(np.random.default_rng(9), {"M": M, "K": 1500, "N": 333})
    wanted = OPS["int8_matmul"].reference(a, b)
    call = {
        "int8_matmul": lambda: cpu.int8_matmul(a, b),
        "int8_matmul_packed": lambda: cpu.int8_matmul_packed(a, cpu.pack_int8(b), columns=333),
    }[name]
    try:
        for number in (1, 2, 3):
            cpu.set_num_threads(number)
            np.testing.assert_array_equal(call(), wanted)
    finally:
        cpu.set_num_threads(1)


@BACKENDS
def test_the_columns_have_to_be_told(backend):
    a, b = np.ones((2, 6), np.int8), np.ones((6, 17), np.int8)
    panels = backend.pack_int8(b)
    with pytest.raises(ValueError, match=r"int8_matmul_packed: panels must have shape .* = \(0, 2, 16, 4\)"):
        backend.int8_matmul_packed(a, panels)
    with pytest.raises(ValueError, match=r"int8_matmul_packed: columns must be 0 or more; got -1"):
        backend.int8_matmul_packed(a, panels, columns=-1)
    with pytest.raises(TypeError, match=r"int8_matmul: b must be int8; got uint8"):
        backend.int8_matmul(a, b.view(np.uint8))


AS_WITH_VNNI = """
from coursekit.kernels.cpu import simd_integers
simd_integers.HAS_FOURS = True
import importlib, sys
for name in [n for n in sys.modules if n.startswith("coursekit.kernels.cpu") and not n.endswith(("simd", "integers"))]:
    del sys.modules[name]
import numpy as np
from coursekit.kernels.ops import OPS
cpu = importlib.import_module("coursekit.kernels.cpu")
assert sys.modules["coursekit.kernels.cpu.int8_matmul"].SIGN == -128
for M in (1, 5, 14, 110):
    a, b = OPS["int8_matmul"].draw(np.random.default_rng(M), {"M": M, "K": 135, "N": 45})
    a[:, :9], b[:9] = -128, -128
    got = cpu.int8_matmul_packed(a, cpu.pack_int8(b), columns=45)
    np.testing.assert_array_equal(got, OPS["int8_matmul"].reference(a, b))
"""


@pytest.mark.slow
def test_the_way_of_machines_with_vnni(tmp_path):
    """With that instruction done step by step where it is missing."""
    run = [sys.executable, "-c", AS_WITH_VNNI]
    subprocess.run(run, env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}, check=True)
