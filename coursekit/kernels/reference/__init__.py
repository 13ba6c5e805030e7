"""The operations as torch has them: what the other backends must agree with, and race against.

NumPy arrays give NumPy arrays, torch tensors (on any device) give torch tensors.
"""

from coursekit.kernels.reference.arrays import boundary
from coursekit.kernels.reference.attention import attention
from coursekit.kernels.reference.batched_matmul import batched_matmul
from coursekit.kernels.reference.bias_gelu import bias_gelu
from coursekit.kernels.reference.conv2d import conv2d, conv2d_grad_input, conv2d_grad_weight
from coursekit.kernels.reference.matmul import matmul
from coursekit.kernels.reference.recurrence import gru, lstm, rnn
from coursekit.kernels.reference.softmax import softmax

rungs = boundary.rungs

__all__ = [
    "attention",
    "batched_matmul",
    "bias_gelu",
    "conv2d",
    "conv2d_grad_input",
    "conv2d_grad_weight",
    "gru",
    "lstm",
    "matmul",
    "rnn",
    "rungs",
    "softmax",
]
