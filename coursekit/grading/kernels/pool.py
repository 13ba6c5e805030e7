"""Kernels that are started before they are wanted: one comes up while the one before it works."""

from coursekit.grading.kernels.kernel import GradingKernel, Isolation


class Pool:
    """Hands out fresh kernels, each for one use. `ahead` of them are started in advance.

    Use it as a context manager: what it started in advance ends with it.
    """

    def __init__(self, isolation: Isolation | None = None, ahead: int = 0) -> None:
        self.isolation, self.ahead = isolation or Isolation(), ahead
        self._waiting: list[GradingKernel] = []

    def take(self) -> GradingKernel:
        """A kernel that is ready; who takes it kills it. Raises RuntimeError where none starts, tried twice."""
        try:
            return self._next()
        except RuntimeError:
            return self._next()

    def _next(self) -> GradingKernel:
        while len(self._waiting) <= self.ahead:
            self._waiting.append(GradingKernel(self.isolation))
        kernel = self._waiting.pop(0)
        kernel.wait()
        return kernel

    def close(self) -> None:
        while self._waiting:
            self._waiting.pop().kill()

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_) -> None:
        self.close()
