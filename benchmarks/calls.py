"""What a call of a kernel costs before it computes anything: ``python benchmarks/calls.py``.

A product of two matrices of 8 x 8, which takes well under a microsecond itself, is called with NumPy arrays and with
torch tensors; torch's own product stands beside it. Outputs are given. Medians of interleaved rounds, by the CPU time
of the thread.
"""

import torch

from coursekit.kernels import cpu
from coursekit.measure import compare


def main() -> None:
    torch.set_num_threads(1)
    a, out = torch.ones(8, 8), torch.empty(8, 8)
    x, y = a.numpy(), out.numpy()
    print(
        compare(
            {
                "torch.mm": lambda: torch.mm(a, a, out=out),
                "cpu.matmul, NumPy arrays": lambda: cpu.matmul(x, x, out=y),
                "cpu.matmul, torch tensors": lambda: cpu.matmul(a, a, out=out),
            },
            clock="cpu",
            budget_s=3,
        )
    )


if __name__ == "__main__":
    main()
