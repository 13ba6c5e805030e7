"""Numbers for the channels of a model, tied where channels can only go together: what `channels` finds."""

from dataclasses import dataclass, field

import numpy as np


class Units:
    """Numbers for channels, and which of them were tied together or have to stay (union-find)."""

    def __init__(self):
        self._parent: list[int] = []
        self._held: set[int] = set()

    def new(self, count: int) -> np.ndarray:
        first = len(self._parent)
        self._parent.extend(range(first, first + count))
        return np.arange(first, first + count)

    def root(self, unit: int) -> int:
        while self._parent[unit] != unit:
            self._parent[unit] = self._parent[self._parent[unit]]
            unit = self._parent[unit]
        return unit

    def roots(self, units: np.ndarray) -> np.ndarray:
        return np.array([self.root(unit) for unit in units], int)

    def tie(self, some: np.ndarray, others: np.ndarray) -> None:
        """Let each of ``some`` go only with its counterpart."""
        for a, b in zip(some, others, strict=True):
            self._parent[self.root(a)] = self.root(b)

    def hold(self, units: np.ndarray) -> None:
        """Let these stay."""
        self._held.update(units.tolist())

    def held(self) -> set[int]:
        """The roots of all that stay."""
        return {self.root(unit) for unit in self._held}


@dataclass(frozen=True)
class Flow:
    """A tensor's axis of channels, and the unit of each position along it. One without units is None instead."""

    axis: int
    units: np.ndarray


@dataclass
class Use:
    """Of a layer: the units it reads and those it makes; None where none of them can go."""

    inputs: np.ndarray | None
    outputs: np.ndarray | None


@dataclass
class Channels:
    """What `find_channels` found: the units, and each layer's use of them by name, in the order of the calls."""

    units: Units = field(default_factory=Units)
    uses: dict[str, Use] = field(default_factory=dict)
