"""The contract: what each operation is, what it costs, and how exact it must be.

The agreement tests, the benchmarks, the roofline and the lessons' tables read :data:`OPS`, so that an
operation is described once. Importing this module loads NumPy and nothing heavier.

FLOPs count the mathematics, not an implementation: +, -, ·, /, a comparison, exp, erf, tanh and sqrt
count 1 each, and a reduction over n elements counts n. So a multiply-add is 2. A polynomial for exp or
erf costs ten to thirty instructions: kernels with them need more arithmetic than the count says.
"""

from coursekit.kernels.contract import Operation
from coursekit.kernels.ops.activation import BIAS_GELU
from coursekit.kernels.ops.attention import ATTENTION
from coursekit.kernels.ops.convolution import CONV2D, CONV2D_GRAD_INPUT, CONV2D_GRAD_WEIGHT
from coursekit.kernels.ops.linear import BATCHED_MATMUL, MATMUL
from coursekit.kernels.ops.normalisation import SOFTMAX
from coursekit.kernels.ops.recurrence import GRU, LSTM, RNN

OPS: dict[str, Operation] = {
    op.name: op
    for op in (
        MATMUL,
        BATCHED_MATMUL,
        CONV2D,
        CONV2D_GRAD_INPUT,
        CONV2D_GRAD_WEIGHT,
        ATTENTION,
        RNN,
        LSTM,
        GRU,
        SOFTMAX,
        BIAS_GELU,
    )
}
