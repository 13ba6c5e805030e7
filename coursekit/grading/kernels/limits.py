"""How much a kernel may use. A submission that wants more is stopped, and its learner told of what."""

import os
import platform
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The limits of one kernel with all its processes; sizes in MB, times in seconds.

    ``address_mb`` is the address space of one process: beyond it Python raises MemoryError at once, where a
    process that really fills ``memory_mb`` is stopped from outside.
    """

    memory_mb: int = 2_000
    address_mb: int = 12_000
    processes: int = 128  # threads count; a kernel with NumPy has about a dozen
    cpu_s: int = 600
    file_mb: int = 64
    folder_mb: int = 256  # in the one folder it can write to, in memory
    shared_mb: int = 64  # for what its processes share
    files: int = 2_000
    output_mb: int = 8
    messages: int = 10_000

    def apply(self) -> None:
        """Bind this process and its children to what a process can be bound to. There is no way back."""
        import resource  # which Windows has not

        bounds = {
            resource.RLIMIT_AS: self.address_mb * 1_000_000,
            resource.RLIMIT_CPU: self.cpu_s,
            resource.RLIMIT_FSIZE: self.file_mb * 1_000_000,
            resource.RLIMIT_CORE: 0,
            resource.RLIMIT_NOFILE: 1024,
        }
        if counts_by_namespace(platform.release()):
            bounds[resource.RLIMIT_NPROC] = self.processes
        for which, wanted in bounds.items():
            hard = resource.getrlimit(which)[1]
            bound = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(which, (bound, bound))


def counts_by_namespace(release: str) -> bool:
    """Whether this Linux counts a user's processes by namespace (5.14 does); before, all of the user's count."""
    found = re.match(r"(\d+)\.(\d+)", release)
    return bool(found) and tuple(map(int, found.groups())) >= (5, 14)


def threads() -> int:
    """How many threads a kernel's parallel code may use: within the limit on processes on any machine."""
    return min(os.cpu_count() or 1, 16)
