"""Rows of lesson 11's integer inference, and of the rivals': ONNX Runtime's and torchao's int8 of the same model."""

import compress_rivals as rivals
import torch
from techniques import Foreign, technique

from coursekit import compress


def calibration(task) -> torch.Tensor:
    """The same images for all."""
    return torch.as_tensor(task.split.x_train[:512])


@technique("integers alone, int8")
def integers(model, task):
    return compress.to_integer(model, calibration(task))


def _foreign(name, models=("cnn", "mlp", "lenet300")):
    @technique(name, models=models)
    def make(model, task):
        call = rivals.RIVALS[name](model, calibration(task), threads=torch.get_num_threads())
        return Foreign(call, call.bytes_on_disk)


_foreign("ONNX Runtime, float32")
_foreign("ONNX Runtime, int8 (QDQ)")
_foreign("ONNX Runtime, int8 (QOperator)")
_foreign("ONNX Runtime, int8 dynamic", ("mlp", "lenet300"))
_foreign("torchao, int8 dynamic", ("mlp", "lenet300"))
_foreign("torchao, int8 weights", ("mlp", "lenet300"))
