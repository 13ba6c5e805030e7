"""Every operation is somewhere, once."""

from collections import Counter

from coursekit.kernels.ops import OPS

from . import test_attention, test_convolution, test_elementwise, test_products, test_recurrence, test_rows
from .suite import BACKENDS, family

FILES = (test_attention, test_convolution, test_elementwise, test_products, test_recurrence, test_rows)


def test_every_operation_is_in_every_backend():
    for module in BACKENDS.values():
        for name in OPS:
            assert list(module.rungs(name))[-1] == name
            assert module.rungs(name)[name] is getattr(module, name)


def test_every_family_is_in_one_file():
    assert Counter(name for file in FILES for name in file.FAMILIES) == Counter(
        {family(op) for op in OPS.values()}
    )


def test_what_may_be_in_place_is_tried_in_place():
    for file in FILES:
        allowed = any(op.inplace for op in OPS.values() if family(op) in file.FAMILIES)
        assert hasattr(file, "test_in_place") == allowed
