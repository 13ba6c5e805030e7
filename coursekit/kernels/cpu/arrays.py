"""What the CPU backend takes: NumPy arrays, and torch tensors on the CPU as views of their memory.

Kernels always get contiguous arrays: Numba compiles one version for each dtype, and inner loops have
unit stride, without which they are not vectorised.
"""

import sys

import numpy as np

from coursekit.kernels.boundary import Boundary, NumPyKind


class NumPyArray(NumPyKind):
    """A NumPy array."""

    def enter(self, array, memory):
        flags = memory.flags
        whole = flags.c_contiguous and flags.aligned
        return memory if whole else np.require(memory, requirements=["C", "ALIGNED"])

    def target(self, out, memory):
        return memory if memory.flags.carray else np.empty(memory.shape, memory.dtype)

    def leave(self, target, out, memory) -> None:
        if target is not memory:
            memory[...] = target


class TorchTensor(NumPyArray):
    """A dense torch tensor on the CPU."""

    label = "a torch tensor"
    refuses = True

    def owns(self, array) -> bool:
        torch = sys.modules.get("torch")
        return torch is not None and isinstance(array, torch.Tensor)

    def problem(self, array) -> str:
        if not array.is_cpu:
            return f"must be on the CPU; got a tensor on {array.device} (call .cpu() on it)"
        torch = sys.modules["torch"]
        if array.layout is not torch.strided:
            return f"must be a dense tensor; got layout {array.layout}"
        if array.is_neg() or array.is_conj():
            return "must hold its own values; got a lazily negated view (call .resolve_neg() on it)"
        if array.requires_grad and torch.is_grad_enabled():
            return "must not require a gradient, which the kernels do not record; got one that does (.detach() it)"
        return ""

    def memory(self, array) -> np.ndarray:
        if array.requires_grad:
            if sys.modules["torch"].is_grad_enabled():
                raise ValueError("a gradient would not be recorded")
            array = array.detach()
        return array.numpy()

    def new(self, shape, dtype, like):
        torch = sys.modules["torch"]
        return torch.empty(shape, dtype=getattr(torch, dtype))


boundary = Boundary(NumPyArray(), TorchTensor())
