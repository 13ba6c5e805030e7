"""What divided data sets have in common, whatever an example is."""

import hashlib
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False, repr=False)
class Divided:
    """Examples ``x`` and labels ``y``, for training and for testing; `Split` and `Words` say of which kind."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray

    @property
    def classes(self) -> tuple[int, ...]:
        """The distinct labels of both parts, ascending."""
        return tuple(np.union1d(self.y_train, self.y_test).tolist())

    def summary(self) -> str:
        """One sentence: how many examples, in how many classes."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.summary()})"

    def checksum(self) -> str:
        """SHA-256 of all four arrays, in hexadecimal: equal exactly when shapes and values are."""
        digest = hashlib.sha256()
        for array in (self.x_train, self.y_train, self.x_test, self.y_test):
            digest.update(repr(array.shape).encode())
            digest.update(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")))
        return digest.hexdigest()

    def _check_lengths(self, of: str) -> None:
        for part in ("train", "test"):
            x, y = getattr(self, f"x_{part}"), getattr(self, f"y_{part}")
            if len(x) != len(y):
                raise ValueError(f"x_{part} has {len(x)} {of} but y_{part} has {len(y)} labels")
