"""Wrong calls are answered alike by every backend, with a message that names the argument."""

import re

import numpy as np
import pytest
import torch

from coursekit.kernels import cpu, reference

from .misuse import MISUSES, f4

BACKENDS = pytest.mark.parametrize("backend", [reference, cpu], ids=["reference", "cpu"])


@BACKENDS
@pytest.mark.parametrize("name", MISUSES)
def test_misuse(backend, name):
    call, error, message = MISUSES[name]
    with pytest.raises(error, match=re.escape(message)):
        call(backend)


@BACKENDS
def test_versions_check_as_the_public_one_does(backend):
    for function in backend.rungs("matmul").values():
        with pytest.raises(ValueError, match="K = 5 to match a"):
            function(f4(4, 5), f4(6, 3))


@BACKENDS
def test_numpy_beside_torch(backend):
    with pytest.raises(TypeError, match=r"matmul: b must be a NumPy array like a; got torch.Tensor"):
        backend.matmul(f4(2, 2), torch.ones(2, 2))
    with pytest.raises(TypeError, match=r"softmax: out must be a torch tensor like x; got numpy.ndarray"):
        backend.softmax(torch.ones(2), out=f4(2))


@BACKENDS
def test_two_devices(backend):
    with pytest.raises(ValueError, match=r"matmul: b must be on (the CPU|cpu like a); got .*meta"):
        backend.matmul(torch.ones(2, 2), torch.ones(2, 2, device="meta"))


def test_the_cpu_backend_wants_the_cpu():
    with pytest.raises(ValueError, match=r"softmax: x must be on the CPU; got a tensor on meta"):
        cpu.softmax(torch.ones(2, device="meta"))


@BACKENDS
def test_torch_tensors_that_hold_more_than_numbers(backend):
    with pytest.raises(ValueError, match=r"softmax: x must not require a gradient"):
        backend.softmax(torch.ones(2, requires_grad=True))
    with pytest.raises(ValueError, match=r"softmax: x must be a dense tensor"):
        backend.softmax(torch.ones(2, 2).to_sparse())
    with pytest.raises(ValueError, match=r"softmax: x must hold its own values"):
        backend.softmax(torch.ones(2, dtype=torch.complex64).conj().imag)
    with pytest.raises(TypeError, match=r"softmax: x must be float32 or float64; got bfloat16"):
        backend.softmax(torch.ones(2, dtype=torch.bfloat16))
    with pytest.raises(ValueError, match=r"softmax: out must have a place for each element"):
        backend.softmax(torch.ones(2, 3), out=torch.ones(1, 3).expand(2, 3))


@BACKENDS
def test_a_refused_call_leaves_out_alone(backend):
    out = np.full((4, 3), np.nan, np.float32)
    with pytest.raises(ValueError):
        backend.matmul(f4(4, 5), f4(6, 3), out=out)
    assert np.isnan(out).all()


@BACKENDS
def test_an_empty_out_has_a_place_for_each_of_its_elements(backend):
    """NumPy gives empty arrays strides of 0."""
    out = np.empty((4, 0), np.float32)
    assert backend.matmul(f4(4, 3), f4(3, 0), out=out) is out


@BACKENDS
def test_interleaved_memory_is_no_overlap(backend):
    buffer = np.zeros((4, 6), np.float32)
    backend.softmax(buffer[:, ::2], out=buffer[:, 1::2])
    np.testing.assert_allclose(buffer[:, 1::2], 1 / 3, rtol=1e-6)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda a: torch.complex(a, a).conj().imag, "resolve_neg"),
        (lambda a: a.clone().requires_grad_(), "detach"),
        (lambda a: a.to_sparse(), "dense"),
        (lambda a: a.to("meta"), "on the CPU"),
    ],
)
def test_a_call_that_was_right_before_is_still_checked(spoil, words):
    """What is remembered of a call are types, dtypes and shapes, which say nothing of these."""
    a = torch.ones(4, 4)
    cpu.matmul(a, a)
    with pytest.raises(ValueError, match=words):
        cpu.matmul(a, spoil(a))
