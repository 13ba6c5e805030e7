"""What the CUDA backend takes: device arrays and torch tensors on the GPU in place, NumPy arrays by copy.

Kernels always get contiguous arrays, so that neighbouring threads touch neighbouring addresses. And the arrays start at
multiples of 16 bytes, which loads of 128 bits need: a slice that does not is copied.
"""

import sys

import numpy as np
from numba import config, cuda

from coursekit.kernels.boundary import Boundary, Kind, NumPyKind
from coursekit.kernels.cuda.device import blocks, launch
from coursekit.kernels.cuda.kernel import kernel

COPY_THREADS = 64
ALIGNED = 16
"""Bytes. What the GPU's allocator gives starts at a multiple of many more."""


def _aligned(memory: np.ndarray) -> bool:
    return memory.__array_interface__["data"][0] % ALIGNED == 0


def check_gpu() -> None:
    if not cuda.is_available():
        raise RuntimeError(
            "no CUDA GPU was found; set NUMBA_ENABLE_CUDASIM=1 in the environment before Python starts "
            "to run the CUDA kernels in Numba's simulator"
        )


@kernel("(float32[:], float32[:])")
def _copy_vector(source, target):
    n = cuda.grid(1)
    if n < target.shape[0]:
        target[n] = source[n]


@kernel("(float32[:, :], float32[:, :])")
def _copy_matrix(source, target):
    m, n = cuda.blockIdx.x, cuda.threadIdx.x
    while n < target.shape[1]:
        target[m, n] = source[m, n]
        n += cuda.blockDim.x


def copy(source, target) -> None:
    """Copy between device arrays with any strides, one launch for each matrix in them."""
    shape = tuple(source.shape)
    if 0 in shape:
        return
    if len(shape) == 1:
        launch(_copy_vector, blocks(shape[0], COPY_THREADS), COPY_THREADS, source, target)
        return
    for i in np.ndindex(shape[:-2]):
        a, b = (source[i], target[i]) if i else (source, target)
        launch(_copy_matrix, shape[-2], COPY_THREADS, a, b)


class DeviceArray(Kind):
    """An array on the GPU, made by ``numba.cuda.to_device`` or ``numba.cuda.device_array``."""

    label = "a CUDA device array"

    def owns(self, array) -> bool:
        return hasattr(array, "__cuda_ndarray__")

    def memory(self, array) -> np.ndarray:
        return array._ary if config.ENABLE_CUDASIM else np.asarray(_Addresses(array))

    def new(self, shape, dtype, like):
        return cuda.device_array(shape, dtype)

    def enter(self, array, memory):
        if array.is_c_contiguous() and _aligned(memory):
            return array
        whole = cuda.device_array(array.shape, array.dtype)
        copy(array, whole)
        return whole

    def target(self, out, memory):
        return out if out.is_c_contiguous() and _aligned(memory) else cuda.device_array(out.shape, out.dtype)

    def leave(self, target, out, memory) -> None:
        if target is not out:
            copy(target, out)


class _Addresses:
    """Device memory in NumPy's words, to compare addresses."""

    def __init__(self, array):
        words = array.__cuda_array_interface__
        self.__array_interface__ = {
            "data": words["data"],
            "shape": words["shape"],
            "strides": words.get("strides"),
            "typestr": words["typestr"],
            "version": 3,
        }


class NumPyArray(NumPyKind):
    """A NumPy array, copied to the GPU and back."""

    def enter(self, array, memory):
        return cuda.to_device(np.ascontiguousarray(array))

    def target(self, out, memory):
        return cuda.device_array(out.shape, out.dtype)

    def leave(self, target, out, memory) -> None:
        out[...] = target.copy_to_host()


class TorchTensor(Kind):
    """A dense torch tensor on the GPU."""

    label = "a torch tensor"

    def owns(self, array) -> bool:
        torch = sys.modules.get("torch")
        return torch is not None and isinstance(array, torch.Tensor)

    def problem(self, array) -> str:
        if array.device.type != "cuda":
            return (
                f"must be on the GPU; got a tensor on {array.device} (call .cuda() on it, or pass .numpy())"
            )
        if str(array.layout) != "torch.strided":
            return f"must be a dense tensor; got layout {array.layout}"
        if array.requires_grad and sys.modules["torch"].is_grad_enabled():
            return "must not require a gradient, which the kernels do not record; got one that does (.detach() it)"
        return ""

    def memory(self, array) -> np.ndarray:
        return np.asarray(_Addresses(array.detach()))

    def new(self, shape, dtype, like):
        return like.new_empty(shape, dtype=getattr(sys.modules["torch"], dtype))

    def enter(self, array, memory):
        array = array.detach()
        if not (array.is_contiguous() and _aligned(memory)):
            array = array.clone(memory_format=sys.modules["torch"].contiguous_format)
        return cuda.as_cuda_array(array)

    def target(self, out, memory):
        out = out.detach()
        fits = out.is_contiguous() and _aligned(memory)
        return cuda.as_cuda_array(out if fits else out.new_empty(out.shape))

    def leave(self, target, out, memory) -> None:
        if not (out.is_contiguous() and _aligned(memory)):
            out.detach().copy_(sys.modules["torch"].as_tensor(target, device=out.device))


boundary = Boundary(NumPyArray(), DeviceArray(), TorchTensor(), ready=check_gpu)
