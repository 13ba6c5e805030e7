"""The operations in Numba's CUDA. Each file climbs from the textbook version to the public one.

Device arrays (``numba.cuda.to_device``) and torch tensors on the GPU stay there and give their own kind;
NumPy arrays are copied to the GPU and back. Work is queued on torch's current stream where torch uses the GPU, else on
the default one, or on the one of ``with cuda.stream(...)``: a result on the device is ready when that stream is
synchronised, or for whatever is queued behind it.

Without a GPU, ``NUMBA_ENABLE_CUDASIM=1`` in the environment runs all of this in Numba's simulator.
"""

from coursekit.kernels.cuda.adam_step import adam_step, adam_step_fused, adam_step_textbook
from coursekit.kernels.cuda.add_layer_norm import (
    add_layer_norm,
    add_layer_norm_fused,
    add_layer_norm_textbook,
)
from coursekit.kernels.cuda.arrays import boundary
from coursekit.kernels.cuda.attention import attention, attention_rows, attention_textbook
from coursekit.kernels.cuda.batched_matmul import (
    batched_matmul,
    batched_matmul_textbook,
    batched_matmul_tiled,
)
from coursekit.kernels.cuda.bfloat16_matmul import (
    bfloat16_matmul,
    bfloat16_matmul_textbook,
    bfloat16_matmul_tiled,
)
from coursekit.kernels.cuda.bias_gelu import bias_gelu, bias_gelu_fused, bias_gelu_textbook
from coursekit.kernels.cuda.bias_relu import bias_relu, bias_relu_fused, bias_relu_textbook
from coursekit.kernels.cuda.bias_silu import bias_silu, bias_silu_fused, bias_silu_textbook
from coursekit.kernels.cuda.conv2d import conv2d, conv2d_direct
from coursekit.kernels.cuda.csr_matmul import (
    csr_matmul,
    csr_matmul_columns,
    csr_matmul_rows,
    csr_matmul_textbook,
)
from coursekit.kernels.cuda.device import stream
from coursekit.kernels.cuda.elementwise import (
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
from coursekit.kernels.cuda.embedding import embedding, embedding_numbers, embedding_textbook
from coursekit.kernels.cuda.half_matmul import half_matmul, half_matmul_textbook, half_matmul_tiled
from coursekit.kernels.cuda.histogram import histogram, histogram_shared, histogram_textbook
from coursekit.kernels.cuda.int8_matmul import (
    int8_matmul,
    int8_matmul_fours,
    int8_matmul_packed,
    int8_matmul_packed_textbook,
    int8_matmul_textbook,
)
from coursekit.kernels.cuda.kernel import KERNELS
from coursekit.kernels.cuda.layer_norm import layer_norm, layer_norm_blocks, layer_norm_textbook
from coursekit.kernels.cuda.layer_norm_grad import (
    layer_norm_grad,
    layer_norm_grad_blocks,
    layer_norm_grad_textbook,
)
from coursekit.kernels.cuda.linear import linear, linear_textbook, linear_tiled
from coursekit.kernels.cuda.log_sum_exp import log_sum_exp, log_sum_exp_blocks, log_sum_exp_textbook
from coursekit.kernels.cuda.log_sum_exp_grad import (
    log_sum_exp_grad,
    log_sum_exp_grad_blocks,
    log_sum_exp_grad_textbook,
)
from coursekit.kernels.cuda.matmul import matmul, matmul_textbook, matmul_tiled
from coursekit.kernels.cuda.pooling import avg_pool2d, avg_pool2d_direct, max_pool2d, max_pool2d_direct
from coursekit.kernels.cuda.reduce import reduce, reduce_shuffles, reduce_textbook, reduce_tree
from coursekit.kernels.cuda.rms_norm import rms_norm, rms_norm_blocks, rms_norm_textbook
from coursekit.kernels.cuda.rms_norm_grad import rms_norm_grad, rms_norm_grad_blocks, rms_norm_grad_textbook
from coursekit.kernels.cuda.rnn import rnn, rnn_product, rnn_textbook
from coursekit.kernels.cuda.scale_shift_gelu_scale_shift_clip import (
    scale_shift_gelu_scale_shift_clip,
    scale_shift_gelu_scale_shift_clip_fused,
    scale_shift_gelu_scale_shift_clip_textbook,
)
from coursekit.kernels.cuda.softmax import softmax, softmax_blocks, softmax_textbook
from coursekit.kernels.cuda.softmax_grad import softmax_grad, softmax_grad_blocks, softmax_grad_textbook
from coursekit.kernels.cuda.two_four_matmul import two_four_matmul, two_four_matmul_textbook

rungs = boundary.rungs

__all__ = [
    "KERNELS",
    "adam_step",
    "adam_step_fused",
    "adam_step_textbook",
    "add",
    "add_layer_norm",
    "add_layer_norm_fused",
    "add_layer_norm_textbook",
    "add_textbook",
    "attention",
    "attention_rows",
    "attention_textbook",
    "avg_pool2d",
    "avg_pool2d_direct",
    "batched_matmul",
    "batched_matmul_textbook",
    "batched_matmul_tiled",
    "bfloat16_matmul",
    "bfloat16_matmul_textbook",
    "bfloat16_matmul_tiled",
    "bias_gelu",
    "bias_gelu_fused",
    "bias_gelu_textbook",
    "bias_relu",
    "bias_relu_fused",
    "bias_relu_textbook",
    "bias_silu",
    "bias_silu_fused",
    "bias_silu_textbook",
    "conv2d",
    "conv2d_direct",
    "csr_matmul",
    "csr_matmul_columns",
    "csr_matmul_rows",
    "csr_matmul_textbook",
    "embedding",
    "embedding_numbers",
    "embedding_textbook",
    "exp",
    "exp_textbook",
    "gelu",
    "gelu_textbook",
    "half_matmul",
    "half_matmul_textbook",
    "half_matmul_tiled",
    "histogram",
    "histogram_shared",
    "histogram_textbook",
    "int8_matmul",
    "int8_matmul_fours",
    "int8_matmul_packed",
    "int8_matmul_packed_textbook",
    "int8_matmul_textbook",
    "layer_norm",
    "layer_norm_blocks",
    "layer_norm_grad",
    "layer_norm_grad_blocks",
    "layer_norm_grad_textbook",
    "layer_norm_textbook",
    "linear",
    "linear_textbook",
    "linear_tiled",
    "log_sum_exp",
    "log_sum_exp_blocks",
    "log_sum_exp_grad",
    "log_sum_exp_grad_blocks",
    "log_sum_exp_grad_textbook",
    "log_sum_exp_textbook",
    "matmul",
    "matmul_textbook",
    "matmul_tiled",
    "max_pool2d",
    "max_pool2d_direct",
    "multiply",
    "multiply_textbook",
    "reduce",
    "reduce_shuffles",
    "reduce_textbook",
    "reduce_tree",
    "relu",
    "relu_textbook",
    "rms_norm",
    "rms_norm_blocks",
    "rms_norm_grad",
    "rms_norm_grad_blocks",
    "rms_norm_grad_textbook",
    "rms_norm_textbook",
    "rnn",
    "rnn_product",
    "rnn_textbook",
    "rungs",
    "scale_shift_gelu_scale_shift_clip",
    "scale_shift_gelu_scale_shift_clip_fused",
    "scale_shift_gelu_scale_shift_clip_textbook",
    "sigmoid",
    "sigmoid_textbook",
    "silu",
    "silu_textbook",
    "softmax",
    "softmax_blocks",
    "softmax_grad",
    "softmax_grad_blocks",
    "softmax_grad_textbook",
    "softmax_textbook",
    "stream",
    "tanh",
    "tanh_textbook",
    "two_four_matmul",
    "two_four_matmul_textbook",
]
