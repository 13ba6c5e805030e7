"""Layers that lay their weight out anew for a kernel, once, and never save that layout."""

from abc import abstractmethod

import torch

from ..layers import CompressedLayer


class PackedLayer(CompressedLayer):
    """What is saved is small and plain; what the kernel reads is made from it at the first call, and kept.

    It is made anew after a state was loaded, or the layer moved. Whoever writes to the buffers by hand calls `forget`.
    """

    _kept = None

    @abstractmethod
    def _make_panels(self):
        """The weight as the kernel reads it."""

    def panels(self):
        """The weight as the kernel reads it, made once."""
        if self._kept is None:
            self._kept = self._make_panels()
        return self._kept

    def forget(self) -> None:
        """Make the layout anew at the next call."""
        self._kept = None

    def integers(self, x: torch.Tensor) -> bool:
        """Whether the kernel can be used: on the CPU in float32, and no gradient has to pass through."""
        gradient = torch.is_grad_enabled() and x.requires_grad
        return x.device.type == "cpu" and x.dtype == torch.float32 and not gradient

    def _load_from_state_dict(self, *args, **kwargs):
        super()._load_from_state_dict(*args, **kwargs)
        self.forget()

    def _apply(self, *args, **kwargs):
        self.forget()
        return super()._apply(*args, **kwargs)

    def __getstate__(self):
        return {name: value for name, value in super().__getstate__().items() if name != "_kept"}
