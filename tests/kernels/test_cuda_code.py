"""The machine code of every CUDA kernel, for each architecture: no spills where it is tuned, and what it promises."""

import pytest

from coursekit.kernels.cuda import KERNELS, report

MISSING = report.what_is_missing()
CODES = [
    pytest.param(
        kernel, signature, capability, id=f"{kernel.name}-{number}-sm_{capability[0]}{capability[1]}"
    )
    for kernel in KERNELS
    for number, signature in enumerate(kernel.signatures)
    for capability in report.ARCHITECTURES
]


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason=MISSING)
@pytest.mark.parametrize(("kernel", "signature", "capability"), CODES)
def test_machine_code(kernel, signature, capability, record_property):
    code = report.compile_kernel(kernel, signature, capability)
    record_property("cuda code", report.row(kernel, capability, code))
    assert not code.shortcomings(kernel)


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason=MISSING)
def test_shortcomings_are_seen():
    """A kernel that spills, one without what it promises, and one that calculates in the wrong precision."""
    kernel = next(k for k in KERNELS if k.name == "softmax.rows")
    code = report.compile_kernel(kernel, kernel.signatures[0], (8, 0))
    assert not code.shortcomings(kernel)
    spilling = report.Code(255, 16, 0, code.instructions + report.Counter({"DFMA": 1}))
    assert len(spilling.shortcomings(kernel)) == 2
    assert report.Code(8, 0, 0, report.Counter()).shortcomings(kernel) == [
        f"there is no {name} in it" for name in kernel.expects
    ]


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason=MISSING)
@pytest.mark.parametrize(("name", "instruction"), [("halves", ""), ("bfloat16s", ".BF16")])
def test_each_kind_of_16_bits_has_its_own_instruction(name, instruction):
    """The one for float16 is how the other's name begins."""
    kernel = next(k for k in KERNELS if k.name == f"word_tiles.{name}_32x16")
    code = report.compile_kernel(kernel, kernel.signatures[0], (9, 0))
    products = {found for found in code.instructions if found.startswith("HMMA")}
    assert products == {f"HMMA.16816.F32{instruction}"}


def test_kernels_have_names_of_their_own():
    names = [kernel.name for kernel in KERNELS]
    assert len(set(names)) == len(names)
