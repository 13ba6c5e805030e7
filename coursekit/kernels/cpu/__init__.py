"""The operations in Numba, on one core. Each file climbs from the textbook version to the public one.

NumPy arrays give NumPy arrays; torch tensors on the CPU are read in place and give torch tensors. An
input that is not contiguous is copied first. ``cpu.rungs("matmul")`` lists the versions by name.
"""

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.bias_gelu import bias_gelu, bias_gelu_textbook
from coursekit.kernels.cpu.matmul import matmul, matmul_rows, matmul_textbook
from coursekit.kernels.cpu.softmax import softmax, softmax_textbook

rungs = boundary.rungs

__all__ = [
    "bias_gelu",
    "bias_gelu_textbook",
    "matmul",
    "matmul_rows",
    "matmul_textbook",
    "rungs",
    "softmax",
    "softmax_textbook",
]
