"""The operations in Numba's CUDA. Each file climbs from the textbook version to the public one.

Device arrays (``numba.cuda.to_device``) and torch tensors on the GPU stay there and give their own kind;
NumPy arrays are copied to the GPU and back. Work is queued on torch's current stream where torch uses the GPU, else on
the default one, or on the one of ``with cuda.stream(...)``: a result on the device is ready when that stream is
synchronised, or for whatever is queued behind it.

Without a GPU, ``NUMBA_ENABLE_CUDASIM=1`` in the environment runs all of this in Numba's simulator.
"""

from coursekit.kernels.cuda.arrays import boundary
from coursekit.kernels.cuda.attention import attention, attention_rows, attention_textbook
from coursekit.kernels.cuda.batched_matmul import (
    batched_matmul,
    batched_matmul_textbook,
    batched_matmul_tiled,
)
from coursekit.kernels.cuda.bias_gelu import bias_gelu
from coursekit.kernels.cuda.conv2d import conv2d, conv2d_direct
from coursekit.kernels.cuda.csr_matmul import (
    csr_matmul,
    csr_matmul_columns,
    csr_matmul_rows,
    csr_matmul_textbook,
)
from coursekit.kernels.cuda.device import stream
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
from coursekit.kernels.cuda.linear import linear, linear_textbook, linear_tiled
from coursekit.kernels.cuda.matmul import matmul, matmul_textbook, matmul_tiled
from coursekit.kernels.cuda.pooling import avg_pool2d, avg_pool2d_direct, max_pool2d, max_pool2d_direct
from coursekit.kernels.cuda.rnn import rnn, rnn_product, rnn_textbook
from coursekit.kernels.cuda.softmax import softmax, softmax_blocks, softmax_textbook
from coursekit.kernels.cuda.two_four_matmul import two_four_matmul, two_four_matmul_textbook

rungs = boundary.rungs

__all__ = [
    "KERNELS",
    "attention",
    "attention_rows",
    "attention_textbook",
    "avg_pool2d",
    "avg_pool2d_direct",
    "batched_matmul",
    "batched_matmul_textbook",
    "batched_matmul_tiled",
    "bias_gelu",
    "conv2d",
    "conv2d_direct",
    "csr_matmul",
    "csr_matmul_columns",
    "csr_matmul_rows",
    "csr_matmul_textbook",
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
    "linear",
    "linear_textbook",
    "linear_tiled",
    "matmul",
    "matmul_textbook",
    "matmul_tiled",
    "max_pool2d",
    "max_pool2d_direct",
    "rnn",
    "rnn_product",
    "rnn_textbook",
    "rungs",
    "softmax",
    "softmax_blocks",
    "softmax_textbook",
    "stream",
    "two_four_matmul",
    "two_four_matmul_textbook",
]
