"""What the kernels share that have a block of threads for each row: how many threads, and whether a row fits."""

from coursekit.kernels.cuda.device import blocks, current_device
from coursekit.kernels.cuda.kernel import threads
from coursekit.kernels.cuda.pointwise import can_use_fours
from coursekit.kernels.cuda.warps import WARP

THREADS = threads(256)
"""The most that a block has; a power of two, as reductions want it."""


def row_threads(N: int, each: int = 1) -> int:
    """Threads for a row of N numbers, with ``each`` of them in a load: one warp at least, for short rows no more."""
    return max(WARP, min(THREADS, 1 << max(blocks(N, each) - 1, 0).bit_length()))


def fits(N: int, arrays: int = 1) -> bool:
    """Whether shared memory holds rows of N float32 from so many arrays, beside what reductions need."""
    return 4 * (arrays * N + THREADS) <= current_device().shared


def can_keep_rows(N: int, *others, arrays: int = 1) -> bool:
    """Whether a kernel can load the rows in fours and keep them in shared memory; ``others`` are all its arrays."""
    return N % 4 == 0 and fits(N, arrays) and can_use_fours(*others)
