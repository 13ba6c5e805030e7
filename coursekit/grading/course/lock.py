"""One run at a time for a gradebook."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from coursekit.grading.course.folder import BadClass


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Nobody else writes to the gradebook within the block. Raises :class:`BadClass` where somebody does.

    The lock is the system's and ends with the process, killed or not. Its file is removed while it is still held, and
    whoever then gets the removed file tries again, so that two never hold one lock.
    """
    path = path.resolve()
    beside = path.with_name(f"{path.name}.lock")
    try:
        with FileLock(beside, timeout=1):
            try:
                yield
            finally:
                with contextlib.suppress(OSError):  # Windows removes no open file
                    beside.unlink()
    except Timeout:
        raise BadClass(f"another run is writing to {path}; wait for it, or name another gradebook") from None
