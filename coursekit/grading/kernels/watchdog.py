"""The grader's own watch over a kernel: memory and processes of the whole tree, and bytes in its folder."""

import os
import stat
from pathlib import Path

import psutil

from coursekit.grading.kernels.limits import Limits

MAX_FILES = 2_000


def exceeded(pid: int, folder: Path, limits: Limits) -> str:
    """Which limit the processes below `pid`, or the files in `folder`, exceed: a status, or an empty text."""
    processes = family(pid)
    if sum(map(_threads, processes)) > limits.processes:
        return "processes"
    most = limits.memory_mb * 1_000_000
    if sum(map(_resident, processes)) > most and sum(map(_proportional, processes)) > most:
        return "memory"
    if _size(folder) > limits.folder_mb * 1_000_000:
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


def _size(folder: Path) -> float:
    """Bytes below a folder; infinite where there are more files than anybody needs."""
    total, seen, waiting = 0, 0, [os.fspath(folder)]
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except OSError:
            continue
        for entry in entries:
            seen += 1
            if seen > MAX_FILES:
                return float("inf")
            try:
                found = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            total += found.st_blocks * 512
            if stat.S_ISDIR(found.st_mode):
                waiting.append(entry.path)
    return total
