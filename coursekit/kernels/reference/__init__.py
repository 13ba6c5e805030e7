"""The operations as torch has them: what the other backends must agree with, and race against.

NumPy arrays give NumPy arrays, torch tensors (on any device) give torch tensors.
"""

from coursekit.kernels.reference.activation import bias_relu, bias_silu, scale_shift_gelu_scale_shift_clip
from coursekit.kernels.reference.activation_gradients import bias_gelu_grad, bias_relu_grad, bias_silu_grad
from coursekit.kernels.reference.arrays import boundary
from coursekit.kernels.reference.attention import attention
from coursekit.kernels.reference.attention_gradients import attention_grad
from coursekit.kernels.reference.batched_matmul import batched_matmul
from coursekit.kernels.reference.bfloat16_matmul import bfloat16_matmul
from coursekit.kernels.reference.bias_gelu import bias_gelu
from coursekit.kernels.reference.binary import binary_matmul, pack_signs
from coursekit.kernels.reference.codebook import histogram, kmeans_step
from coursekit.kernels.reference.conv2d import conv2d, conv2d_grad_input, conv2d_grad_weight
from coursekit.kernels.reference.elementwise import add, exp, gelu, multiply, relu, sigmoid, silu, tanh
from coursekit.kernels.reference.half_matmul import half_matmul
from coursekit.kernels.reference.int4_linear import int4_linear, pack_int4
from coursekit.kernels.reference.int8_matmul import int8_matmul, int8_matmul_packed, pack_int8
from coursekit.kernels.reference.layer_norm import add_layer_norm, layer_norm
from coursekit.kernels.reference.linear import linear, linear_packed, pack_linear
from coursekit.kernels.reference.linear_recurrence import linear_recurrence
from coursekit.kernels.reference.matmul import matmul
from coursekit.kernels.reference.pooling import avg_pool2d, avg_pool2d_grad, max_pool2d, max_pool2d_grad
from coursekit.kernels.reference.quantised import (
    int8_conv2d,
    int8_linear,
    int8_max_pool2d,
    pack_int8_filters,
    quantize_int8,
    requantize,
)
from coursekit.kernels.reference.recurrence import gru, lstm, rnn
from coursekit.kernels.reference.recurrence_gradients import gru_grad, lstm_grad, rnn_grad
from coursekit.kernels.reference.reduce import log_sum_exp, reduce
from coursekit.kernels.reference.rms_norm import rms_norm
from coursekit.kernels.reference.softmax import softmax
from coursekit.kernels.reference.sparse import block_sparse_matmul, csr_matmul, two_four_matmul
from coursekit.kernels.reference.training import (
    adam_step,
    embedding,
    layer_norm_grad,
    log_sum_exp_grad,
    rms_norm_grad,
    softmax_grad,
)

rungs = boundary.rungs

__all__ = [
    "adam_step",
    "add",
    "add_layer_norm",
    "attention",
    "attention_grad",
    "avg_pool2d",
    "avg_pool2d_grad",
    "batched_matmul",
    "bfloat16_matmul",
    "bias_gelu",
    "bias_gelu_grad",
    "bias_relu",
    "bias_relu_grad",
    "bias_silu",
    "bias_silu_grad",
    "binary_matmul",
    "block_sparse_matmul",
    "conv2d",
    "conv2d_grad_input",
    "conv2d_grad_weight",
    "csr_matmul",
    "embedding",
    "exp",
    "gelu",
    "gru",
    "gru_grad",
    "half_matmul",
    "histogram",
    "int4_linear",
    "int8_conv2d",
    "int8_linear",
    "int8_matmul",
    "int8_matmul_packed",
    "int8_max_pool2d",
    "kmeans_step",
    "layer_norm",
    "layer_norm_grad",
    "linear",
    "linear_packed",
    "linear_recurrence",
    "log_sum_exp",
    "log_sum_exp_grad",
    "lstm",
    "lstm_grad",
    "matmul",
    "max_pool2d",
    "max_pool2d_grad",
    "multiply",
    "pack_int4",
    "pack_int8",
    "pack_int8_filters",
    "pack_linear",
    "pack_signs",
    "quantize_int8",
    "reduce",
    "relu",
    "requantize",
    "rms_norm",
    "rms_norm_grad",
    "rnn",
    "rnn_grad",
    "rungs",
    "scale_shift_gelu_scale_shift_clip",
    "sigmoid",
    "silu",
    "softmax",
    "softmax_grad",
    "tanh",
    "two_four_matmul",
]
