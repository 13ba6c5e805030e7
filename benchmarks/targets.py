"""What the kernels are meant to reach, as times a rival's speed.

``benchmarks/kernels.py`` ends with the table of ``TARGETS``, ``benchmarks/gpu.py`` with that of ``GPU_TARGETS``. The
figures of the first were set on a machine with AVX-512. ``NOTES.md`` beside this file says what bounds those that are
missed.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """A version of an operation in one case has to be ``least`` times as fast as a rival, and better ``aim`` times.

    Attributes:
        version: the operation's public one where it is empty.
        share: what part of the ceiling to aim for, 0 where none is named.
    """

    operation: str
    case: str
    rival: str
    least: float
    aim: float = 0.0
    share: float = 0.0
    version: str = ""
    threads: str = "one"


ONEDNN, COMPILED = "oneDNN", "torch.compile"

TARGETS = (
    *(Target("matmul", f"square {n}", ONEDNN, 0.95, 1.0, 0.8) for n in (512, 1024, 2048)),
    Target("matmul", "square 1024", "torch", 1.5, share=0.65, version="matmul_blocked"),
    Target("matmul", "square 1024", ONEDNN, 0.95, 1.0, threads="all"),
    Target("linear_packed", "1 through 1024-1024", "torch", 1.5),
    Target("linear_packed", "4 through 1024-1024", "torch", 2.5),
    Target("linear_packed", "8 through 1024-1024", "torch", 2.5, share=0.9),
    Target("linear_packed", "64 through 1024-1024", "torch", 2.5, share=0.9),
    Target("int8_matmul_packed", "512 cubed", "torch", 1.0),
    Target("int8_matmul_packed", "512 cubed", "torch in float32", 8.0),
    Target("conv2d", "64 to 64, 56x56, 3x3", "channels last", 1.0, version="conv2d_tiled"),
    Target("conv2d", "64 to 64, 56x56, 3x3", "channels last", 2.0, 2.5, version="conv2d_winograd"),
    Target("attention", "1x8x1024x64", "torch", 2.0, share=0.8),
    Target("lstm", "128x32, 256 to 256", "torch", 1.05),
    Target("rnn", "128x32, 256 to 256", "torch", 2.8),
    Target("bias_gelu", "256x1024, tanh", "torch", 4.0),
    Target("bias_gelu", "256x1024, erf", "torch", 1.8),
    Target("softmax", "64 rows of 1024", "torch", 1.9),
    Target("layer_norm", "128x768", "torch, no out", 2.0),
    Target("add_layer_norm", "128x768", "torch, no out", 1.9),
    Target("bias_gelu", "8192x1024, 32 MB, erf", "torch", 0.9, 1.3),
    Target("softmax", "32 MB", "torch", 0.9, 1.3),
    Target("layer_norm", "32 MB", "torch", 0.9, 1.3),
    Target("add_layer_norm", "32 MB", "torch", 0.9, 1.3),
    Target("scale_shift_gelu_scale_shift_clip", "256x1024", "torch", 7.0),
    Target("scale_shift_gelu_scale_shift_clip", "256x1024", COMPILED, 3.0),
    Target("csr_matmul", "1024x1024x64, 75 % zeros", "our dense product", 1.0),
    Target("block_sparse_matmul", "1024x1024x64, 50 % zeros", "our dense product", 1.3),
    Target("block_sparse_matmul", "1024x1024x64, 90 % zeros", "our dense product", 7.0),
    Target("binary_matmul", "square 1024", "our float32 product", 10.0, 20.0),
)

CUBLAS = "torch.mm of 16 bits"
GPU_TARGETS = (Target("bfloat16_matmul", "square 4096", CUBLAS, 0.5, 0.7),)
