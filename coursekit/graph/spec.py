"""What is known of an array before it is computed."""

from dataclasses import dataclass
from math import prod

import numpy as np


@dataclass(frozen=True)
class Spec:
    """Shape and dtype, e.g. ``Spec((64, 10), "float32")``."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * np.dtype(self.dtype).itemsize

    def __str__(self) -> str:
        return f"{self.dtype} {self.shape}"
