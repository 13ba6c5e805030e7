"""What the CPU backend takes: NumPy arrays, and torch tensors on the CPU as views of their memory.

Kernels always get contiguous arrays: Numba compiles one version for each dtype, and inner loops have
unit stride, without which they are not vectorised.
"""

import sys

import numpy as np

from coursekit.kernels.boundary import Boundary, NumPyKind


class NumPyArray(NumPyKind):
    """A NumPy array."""

    def enter(self, array):
        view = self.memory(array)
        flags = view.flags
        return (
            view if flags.c_contiguous and flags.aligned else np.require(view, requirements=["C", "ALIGNED"])
        )

    def target(self, out):
        view = self.memory(out)
        return view if view.flags.carray else np.empty(view.shape, view.dtype)

    def leave(self, target, out) -> None:
        view = self.memory(out)
        if not view.flags.carray:
            view[...] = target


class TorchTensor(NumPyArray):
    """A dense torch tensor on the CPU."""

    label = "a torch tensor"

    def owns(self, array) -> bool:
        torch = sys.modules.get("torch")
        return torch is not None and isinstance(array, torch.Tensor)

    def problem(self, array) -> str:
        if array.device.type != "cpu":
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
        return (array.detach() if array.requires_grad else array).numpy()

    def new(self, shape, dtype, like):
        return like.new_empty(shape, dtype=getattr(sys.modules["torch"], dtype))


boundary = Boundary(NumPyArray(), TorchTensor())
