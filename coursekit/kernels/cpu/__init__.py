"""The operations in Numba, on one core unless more are asked for. Each file climbs from the textbook to the public one.

NumPy arrays give NumPy arrays; torch tensors on the CPU are read in place and give torch tensors. An
input that is not contiguous is copied first. ``cpu.rungs("matmul")`` lists the versions by name.
"""

from coursekit.kernels.cpu.activation_gradients import (
    bias_gelu_grad,
    bias_gelu_grad_fused,
    bias_gelu_grad_textbook,
    bias_relu_grad,
    bias_relu_grad_fused,
    bias_relu_grad_textbook,
    bias_silu_grad,
    bias_silu_grad_fused,
    bias_silu_grad_textbook,
)
from coursekit.kernels.cpu.adam_step import adam_step, adam_step_fused, adam_step_textbook
from coursekit.kernels.cpu.add_layer_norm import add_layer_norm, add_layer_norm_fused, add_layer_norm_textbook
from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.attention import attention, attention_flash, attention_textbook
from coursekit.kernels.cpu.attention_gradients import (
    attention_grad,
    attention_grad_flash,
    attention_grad_textbook,
)
from coursekit.kernels.cpu.batched_matmul import (
    batched_matmul,
    batched_matmul_rows,
    batched_matmul_textbook,
)
from coursekit.kernels.cpu.bfloat16_matmul import bfloat16_matmul, bfloat16_matmul_textbook
from coursekit.kernels.cpu.bias_gelu import bias_gelu, bias_gelu_fused, bias_gelu_textbook
from coursekit.kernels.cpu.bias_relu import bias_relu, bias_relu_fused, bias_relu_textbook
from coursekit.kernels.cpu.bias_silu import bias_silu, bias_silu_fused, bias_silu_textbook
from coursekit.kernels.cpu.binary_matmul import (
    binary_matmul,
    binary_matmul_tables,
    binary_matmul_textbook,
    binary_matmul_vectors,
    binary_matmul_words,
)
from coursekit.kernels.cpu.block_sparse_matmul import (
    block_sparse_matmul,
    block_sparse_matmul_rows,
    block_sparse_matmul_textbook,
)
from coursekit.kernels.cpu.conv2d import (
    conv2d,
    conv2d_direct,
    conv2d_fft,
    conv2d_im2col,
    conv2d_tiled,
    conv2d_winograd,
    conv2d_winograd_small,
)
from coursekit.kernels.cpu.conv2d_gradients import (
    conv2d_grad_input,
    conv2d_grad_input_direct,
    conv2d_grad_input_im2col,
    conv2d_grad_weight,
    conv2d_grad_weight_direct,
    conv2d_grad_weight_im2col,
)
from coursekit.kernels.cpu.csr_matmul import csr_matmul, csr_matmul_rows, csr_matmul_textbook
from coursekit.kernels.cpu.elementwise import (
    add,
    add_textbook,
    exp,
    exp_textbook,
    gelu,
    gelu_textbook,
    multiply,
    multiply_textbook,
    relu,
    relu_textbook,
    sigmoid,
    sigmoid_textbook,
    silu,
    silu_textbook,
    tanh,
    tanh_textbook,
)
from coursekit.kernels.cpu.embedding import embedding, embedding_rows, embedding_textbook
from coursekit.kernels.cpu.gru import gru, gru_product, gru_textbook
from coursekit.kernels.cpu.half_matmul import half_matmul, half_matmul_textbook
from coursekit.kernels.cpu.histogram import histogram, histogram_private, histogram_textbook
from coursekit.kernels.cpu.int4_linear import (
    int4_linear,
    int4_linear_panels,
    int4_linear_textbook,
    pack_int4,
)
from coursekit.kernels.cpu.int8_conv2d import (
    int8_conv2d,
    int8_conv2d_textbook,
    pack_int8_filters,
    pack_int8_filters_textbook,
)
from coursekit.kernels.cpu.int8_linear import int8_linear, int8_linear_textbook
from coursekit.kernels.cpu.int8_matmul import (
    int8_matmul,
    int8_matmul_packed,
    int8_matmul_packed_textbook,
    int8_matmul_rows,
    int8_matmul_textbook,
)
from coursekit.kernels.cpu.int8_pooling import int8_max_pool2d, int8_max_pool2d_textbook
from coursekit.kernels.cpu.kmeans_step import kmeans_step, kmeans_step_search, kmeans_step_textbook
from coursekit.kernels.cpu.layer_norm import layer_norm, layer_norm_corrected, layer_norm_textbook
from coursekit.kernels.cpu.layer_norm_grad import (
    layer_norm_grad,
    layer_norm_grad_rows,
    layer_norm_grad_textbook,
)
from coursekit.kernels.cpu.linear import linear, linear_textbook, linear_turned
from coursekit.kernels.cpu.linear_packed import linear_packed, linear_packed_panels, linear_packed_textbook
from coursekit.kernels.cpu.linear_recurrence import (
    linear_recurrence,
    linear_recurrence_doubling,
    linear_recurrence_textbook,
)
from coursekit.kernels.cpu.log_sum_exp import log_sum_exp, log_sum_exp_rows, log_sum_exp_textbook
from coursekit.kernels.cpu.log_sum_exp_grad import (
    log_sum_exp_grad,
    log_sum_exp_grad_rows,
    log_sum_exp_grad_textbook,
)
from coursekit.kernels.cpu.lstm import lstm, lstm_product, lstm_textbook
from coursekit.kernels.cpu.matmul import matmul, matmul_blocked, matmul_rows, matmul_textbook
from coursekit.kernels.cpu.pack_int8 import pack_int8, pack_int8_textbook, pack_int8_words
from coursekit.kernels.cpu.pack_linear import pack_linear, pack_linear_blocks, pack_linear_textbook
from coursekit.kernels.cpu.pack_signs import (
    pack_signs,
    pack_signs_textbook,
    pack_signs_words,
)
from coursekit.kernels.cpu.pooling import (
    avg_pool2d,
    avg_pool2d_rows,
    avg_pool2d_textbook,
    max_pool2d,
    max_pool2d_rows,
    max_pool2d_textbook,
)
from coursekit.kernels.cpu.pooling_gradients import (
    avg_pool2d_grad,
    avg_pool2d_grad_rows,
    avg_pool2d_grad_textbook,
    max_pool2d_grad,
    max_pool2d_grad_rows,
    max_pool2d_grad_textbook,
)
from coursekit.kernels.cpu.quantize_int8 import quantize_int8, quantize_int8_textbook
from coursekit.kernels.cpu.recurrence_gradients import (
    gru_grad,
    gru_grad_product,
    gru_grad_textbook,
    lstm_grad,
    lstm_grad_product,
    lstm_grad_textbook,
    rnn_grad,
    rnn_grad_product,
    rnn_grad_textbook,
)
from coursekit.kernels.cpu.reduce import reduce, reduce_in_parts, reduce_textbook
from coursekit.kernels.cpu.requantize import requantize, requantize_textbook
from coursekit.kernels.cpu.rms_norm import rms_norm, rms_norm_rows, rms_norm_textbook
from coursekit.kernels.cpu.rms_norm_grad import rms_norm_grad, rms_norm_grad_rows, rms_norm_grad_textbook
from coursekit.kernels.cpu.rnn import rnn, rnn_product, rnn_textbook
from coursekit.kernels.cpu.scale_shift_gelu_scale_shift_clip import (
    scale_shift_gelu_scale_shift_clip,
    scale_shift_gelu_scale_shift_clip_fused,
    scale_shift_gelu_scale_shift_clip_textbook,
)
from coursekit.kernels.cpu.softmax import softmax, softmax_rows, softmax_textbook
from coursekit.kernels.cpu.softmax_grad import (
    softmax_grad,
    softmax_grad_rows,
    softmax_grad_textbook,
)
from coursekit.kernels.cpu.threads import get_num_threads, set_num_threads
from coursekit.kernels.cpu.two_four_matmul import (
    two_four_matmul,
    two_four_matmul_rows,
    two_four_matmul_textbook,
)

rungs = boundary.rungs

__all__ = [
    "adam_step",
    "adam_step_fused",
    "adam_step_textbook",
    "add",
    "add_layer_norm",
    "add_layer_norm_fused",
    "add_layer_norm_textbook",
    "add_textbook",
    "attention",
    "attention_flash",
    "attention_grad",
    "attention_grad_flash",
    "attention_grad_textbook",
    "attention_textbook",
    "avg_pool2d",
    "avg_pool2d_grad",
    "avg_pool2d_grad_rows",
    "avg_pool2d_grad_textbook",
    "avg_pool2d_rows",
    "avg_pool2d_textbook",
    "batched_matmul",
    "batched_matmul_rows",
    "batched_matmul_textbook",
    "bfloat16_matmul",
    "bfloat16_matmul_textbook",
    "bias_gelu",
    "bias_gelu_fused",
    "bias_gelu_grad",
    "bias_gelu_grad_fused",
    "bias_gelu_grad_textbook",
    "bias_gelu_textbook",
    "bias_relu",
    "bias_relu_fused",
    "bias_relu_grad",
    "bias_relu_grad_fused",
    "bias_relu_grad_textbook",
    "bias_relu_textbook",
    "bias_silu",
    "bias_silu_fused",
    "bias_silu_grad",
    "bias_silu_grad_fused",
    "bias_silu_grad_textbook",
    "bias_silu_textbook",
    "binary_matmul",
    "binary_matmul_tables",
    "binary_matmul_textbook",
    "binary_matmul_vectors",
    "binary_matmul_words",
    "block_sparse_matmul",
    "block_sparse_matmul_rows",
    "block_sparse_matmul_textbook",
    "conv2d",
    "conv2d_direct",
    "conv2d_fft",
    "conv2d_grad_input",
    "conv2d_grad_input_direct",
    "conv2d_grad_input_im2col",
    "conv2d_grad_weight",
    "conv2d_grad_weight_direct",
    "conv2d_grad_weight_im2col",
    "conv2d_im2col",
    "conv2d_tiled",
    "conv2d_winograd",
    "conv2d_winograd_small",
    "csr_matmul",
    "csr_matmul_rows",
    "csr_matmul_textbook",
    "embedding",
    "embedding_rows",
    "embedding_textbook",
    "exp",
    "exp_textbook",
    "gelu",
    "gelu_textbook",
    "get_num_threads",
    "gru",
    "gru_grad",
    "gru_grad_product",
    "gru_grad_textbook",
    "gru_product",
    "gru_textbook",
    "half_matmul",
    "half_matmul_textbook",
    "histogram",
    "histogram_private",
    "histogram_textbook",
    "int4_linear",
    "int4_linear_panels",
    "int4_linear_textbook",
    "int8_conv2d",
    "int8_conv2d_textbook",
    "int8_linear",
    "int8_linear_textbook",
    "int8_matmul",
    "int8_matmul_packed",
    "int8_matmul_packed_textbook",
    "int8_matmul_rows",
    "int8_matmul_textbook",
    "int8_max_pool2d",
    "int8_max_pool2d_textbook",
    "kmeans_step",
    "kmeans_step_search",
    "kmeans_step_textbook",
    "layer_norm",
    "layer_norm_corrected",
    "layer_norm_grad",
    "layer_norm_grad_rows",
    "layer_norm_grad_textbook",
    "layer_norm_textbook",
    "linear",
    "linear_packed",
    "linear_packed_panels",
    "linear_packed_textbook",
    "linear_recurrence",
    "linear_recurrence_doubling",
    "linear_recurrence_textbook",
    "linear_textbook",
    "linear_turned",
    "log_sum_exp",
    "log_sum_exp_grad",
    "log_sum_exp_grad_rows",
    "log_sum_exp_grad_textbook",
    "log_sum_exp_rows",
    "log_sum_exp_textbook",
    "lstm",
    "lstm_grad",
    "lstm_grad_product",
    "lstm_grad_textbook",
    "lstm_product",
    "lstm_textbook",
    "matmul",
    "matmul_blocked",
    "matmul_rows",
    "matmul_textbook",
    "max_pool2d",
    "max_pool2d_grad",
    "max_pool2d_grad_rows",
    "max_pool2d_grad_textbook",
    "max_pool2d_rows",
    "max_pool2d_textbook",
    "multiply",
    "multiply_textbook",
    "pack_int4",
    "pack_int8",
    "pack_int8_filters",
    "pack_int8_filters_textbook",
    "pack_int8_textbook",
    "pack_int8_words",
    "pack_linear",
    "pack_linear_blocks",
    "pack_linear_textbook",
    "pack_signs",
    "pack_signs_textbook",
    "pack_signs_words",
    "quantize_int8",
    "quantize_int8_textbook",
    "reduce",
    "reduce_in_parts",
    "reduce_textbook",
    "relu",
    "relu_textbook",
    "requantize",
    "requantize_textbook",
    "rms_norm",
    "rms_norm_grad",
    "rms_norm_grad_rows",
    "rms_norm_grad_textbook",
    "rms_norm_rows",
    "rms_norm_textbook",
    "rnn",
    "rnn_grad",
    "rnn_grad_product",
    "rnn_grad_textbook",
    "rnn_product",
    "rnn_textbook",
    "rungs",
    "scale_shift_gelu_scale_shift_clip",
    "scale_shift_gelu_scale_shift_clip_fused",
    "scale_shift_gelu_scale_shift_clip_textbook",
    "set_num_threads",
    "sigmoid",
    "sigmoid_textbook",
    "silu",
    "silu_textbook",
    "softmax",
    "softmax_grad",
    "softmax_grad_rows",
    "softmax_grad_textbook",
    "softmax_rows",
    "softmax_textbook",
    "tanh",
    "tanh_textbook",
    "two_four_matmul",
    "two_four_matmul_rows",
    "two_four_matmul_textbook",
]
