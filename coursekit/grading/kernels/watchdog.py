"""The grader's own watch over a sandboxed kernel: memory and processes of the whole tree, and how many files it has.

The bytes in its files need no watch: it writes to memory of a fixed size.
"""

import os

import psutil

from coursekit.grading.kernels.limits import Limits
from coursekit.grading.kernels.sandbox import HOME


def exceeded(pid: int, limits: Limits) -> str:
    """Which limit the processes below `pid` exceed: a status, or an empty text."""
    processes = family(pid)
    if sum(map(_threads, processes)) > limits.processes:
        return "processes"
    most = limits.memory_mb * 1_000_000
    if sum(map(_resident, processes)) > most and sum(map(_proportional, processes)) > most:
        return "memory"
    if _files(processes) > limits.files:
        return "disk"
    return ""


def family(pid: int) -> list[psutil.Process]:
    """A process and all its descendants, as far as they still are."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _threads(process: psutil.Process) -> int:
    try:
        return process.num_threads()
    except psutil.Error:
        return 0


def _resident(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.Error:
        return 0


def _proportional(process: psutil.Process) -> int:
    """Memory with a fair share of what several processes share; slow to ask for."""
    try:
        return process.memory_full_info().pss
    except (psutil.Error, AttributeError):
        return _resident(process)


def _files(processes: list[psutil.Process]) -> int:
    """How many files there are in the folders that a sandbox can write to; 0 where nobody lets us look."""
    for process in reversed(processes):  # the first of them are bubblewrap's own, outside
        root = f"/proc/{process.pid}/root"
        try:
            if os.stat(root).st_dev != os.stat("/").st_dev:
                found = [os.statvfs(f"{root}{path}") for path in (HOME, "/dev/shm")]
                return sum(folder.f_files - folder.f_ffree for folder in found)
        except OSError:
            continue
    return 0
