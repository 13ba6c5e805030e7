"""What the torch backend takes: torch tensors as they are, NumPy arrays as tensors on their memory."""

import numpy as np
import torch

from coursekit.kernels.boundary import Boundary, Kind, NumPyKind
from coursekit.kernels.checks import device


class TorchTensor(Kind):
    """A dense torch tensor, on any device."""

    label = "a torch tensor"

    def owns(self, array) -> bool:
        return isinstance(array, torch.Tensor)

    def problem(self, array) -> str:
        if array.layout != torch.strided:
            return f"must be a dense tensor; got layout {array.layout}"
        if array.is_neg() or array.is_conj():
            return "must hold its own values; got a lazily negated view (call .resolve_neg() on it)"
        if array.requires_grad and torch.is_grad_enabled():
            return "must not require a gradient, which the kernels do not record; got one that does (.detach() it)"
        return ""

    def memory(self, array) -> np.ndarray:
        if device(array) == "cpu":
            return array.detach().numpy()
        return np.asarray(_Addresses(array))

    def new(self, shape, dtype, like):
        return torch.empty(shape, dtype=getattr(torch, dtype), device=like.device)

    def enter(self, array, memory):
        return array.detach()

    def target(self, out, memory):
        return out.detach()

    def leave(self, target, out, memory) -> None:
        pass


class _Addresses:
    """Device memory in NumPy's words."""

    def __init__(self, tensor):
        self.__array_interface__ = {
            "data": (tensor.data_ptr(), False),
            "shape": tuple(tensor.shape),
            "strides": tuple(s * tensor.element_size() for s in tensor.stride()),
            "typestr": f"|V{tensor.element_size()}",
            "version": 3,
        }


class NumPyArray(NumPyKind):
    """A NumPy array in memory order that torch can stand on, or a copy of it."""

    def enter(self, array, memory):
        return torch.from_numpy(array if _torch_can_hold(array) else array.copy())

    def target(self, out, memory):
        return (
            torch.from_numpy(out)
            if _torch_can_hold(out)
            else torch.from_numpy(np.empty(out.shape, out.dtype))
        )

    def leave(self, target, out, memory) -> None:
        if not _torch_can_hold(out):
            out[...] = target.numpy()


def _torch_can_hold(array) -> bool:
    """Torch has no negative strides, counts strides in whole elements, and knows no read-only memory."""
    steps = (stride >= 0 and stride % array.itemsize == 0 for stride in array.strides)
    return array.flags.writeable and array.flags.aligned and all(steps)


boundary = Boundary(NumPyArray(), TorchTensor())
