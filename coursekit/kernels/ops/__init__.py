"""The contract: what each operation is, what it costs, and how exact it must be.

The agreement tests, the benchmarks, the roofline and the lessons' tables read :data:`OPS`, so that an
operation is described once. Importing this module loads NumPy and nothing heavier.

FLOPs count the mathematics, not an implementation: +, -, ·, /, a comparison, exp, erf, tanh and sqrt
count 1 each, and a reduction over n elements counts n. So a multiply-add is 2. A polynomial for exp or
erf costs ten to thirty instructions: kernels with them need more arithmetic than the count says.
"""

from coursekit.kernels.contract import Operation
from coursekit.kernels.ops.activation import (
    BIAS_GELU,
    BIAS_RELU,
    BIAS_SILU,
    SCALE_SHIFT_GELU_SCALE_SHIFT_CLIP,
)
from coursekit.kernels.ops.activation_gradients import BIAS_GELU_GRAD, BIAS_RELU_GRAD, BIAS_SILU_GRAD
from coursekit.kernels.ops.attention import ATTENTION
from coursekit.kernels.ops.attention_gradients import ATTENTION_GRAD
from coursekit.kernels.ops.binary import BINARY_MATMUL, PACK_SIGNS
from coursekit.kernels.ops.codebook import HISTOGRAM, KMEANS_STEP
from coursekit.kernels.ops.convolution import CONV2D, CONV2D_GRAD_INPUT, CONV2D_GRAD_WEIGHT
from coursekit.kernels.ops.elementwise import ELEMENTWISE
from coursekit.kernels.ops.half import BFLOAT16_MATMUL, HALF_MATMUL
from coursekit.kernels.ops.integer import INT4_LINEAR, INT8_MATMUL, INT8_MATMUL_PACKED, PACK_INT4, PACK_INT8
from coursekit.kernels.ops.linear import BATCHED_MATMUL, LINEAR, LINEAR_PACKED, MATMUL, PACK_LINEAR
from coursekit.kernels.ops.normalisation import ADD_LAYER_NORM, LAYER_NORM, RMS_NORM, SOFTMAX
from coursekit.kernels.ops.pooling import AVG_POOL2D, AVG_POOL2D_GRAD, MAX_POOL2D, MAX_POOL2D_GRAD
from coursekit.kernels.ops.quantised import (
    INT8_CONV2D,
    INT8_LINEAR,
    INT8_MAX_POOL2D,
    PACK_INT8_FILTERS,
    QUANTIZE_INT8,
    REQUANTIZE,
)
from coursekit.kernels.ops.recurrence import GRU, LSTM, RNN
from coursekit.kernels.ops.recurrence_gradients import GRU_GRAD, LSTM_GRAD, RNN_GRAD
from coursekit.kernels.ops.reduction import LOG_SUM_EXP, REDUCE
from coursekit.kernels.ops.scan import LINEAR_RECURRENCE
from coursekit.kernels.ops.sparse import BLOCK_SPARSE_MATMUL, CSR_MATMUL, TWO_FOUR_MATMUL
from coursekit.kernels.ops.training import (
    ADAM_STEP,
    EMBEDDING,
    LAYER_NORM_GRAD,
    LOG_SUM_EXP_GRAD,
    RMS_NORM_GRAD,
    SOFTMAX_GRAD,
)

OPS: dict[str, Operation] = {
    op.name: op
    for op in (
        MATMUL,
        BATCHED_MATMUL,
        LINEAR,
        PACK_LINEAR,
        LINEAR_PACKED,
        HALF_MATMUL,
        BFLOAT16_MATMUL,
        INT8_MATMUL,
        PACK_INT8,
        INT8_MATMUL_PACKED,
        PACK_INT4,
        INT4_LINEAR,
        CONV2D,
        CONV2D_GRAD_INPUT,
        CONV2D_GRAD_WEIGHT,
        ATTENTION,
        RNN,
        LSTM,
        GRU,
        SOFTMAX,
        LAYER_NORM,
        ADD_LAYER_NORM,
        RMS_NORM,
        BIAS_GELU,
        BIAS_RELU,
        BIAS_SILU,
        SCALE_SHIFT_GELU_SCALE_SHIFT_CLIP,
        LOG_SUM_EXP,
        REDUCE,
        ADAM_STEP,
        EMBEDDING,
        RMS_NORM_GRAD,
        LOG_SUM_EXP_GRAD,
        SOFTMAX_GRAD,
        LAYER_NORM_GRAD,
        CSR_MATMUL,
        BLOCK_SPARSE_MATMUL,
        TWO_FOUR_MATMUL,
        PACK_SIGNS,
        BINARY_MATMUL,
        HISTOGRAM,
        KMEANS_STEP,
        BIAS_RELU_GRAD,
        BIAS_SILU_GRAD,
        BIAS_GELU_GRAD,
        MAX_POOL2D,
        AVG_POOL2D,
        MAX_POOL2D_GRAD,
        AVG_POOL2D_GRAD,
        *ELEMENTWISE,
        RNN_GRAD,
        LSTM_GRAD,
        GRU_GRAD,
        LINEAR_RECURRENCE,
        ATTENTION_GRAD,
        QUANTIZE_INT8,
        REQUANTIZE,
        INT8_LINEAR,
        PACK_INT8_FILTERS,
        INT8_CONV2D,
        INT8_MAX_POOL2D,
    )
}
