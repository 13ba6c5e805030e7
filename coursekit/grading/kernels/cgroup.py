"""Control groups: the limit on memory and processes that nothing inside can get round.

Groups of version 1 are used where this process may make them (a container's root, mostly). Elsewhere
the limits of single processes and the grader's own watch (:mod:`coursekit.grading.kernels.watchdog`) have to do.
"""

import contextlib
import time
from pathlib import Path

from coursekit.grading.kernels.limits import Limits

MOUNT = Path("/sys/fs/cgroup")


class Group:
    """A control group for one kernel, made where that is possible: ``folders`` is empty where it is not."""

    def __init__(self, name: str, limits: Limits) -> None:
        wanted = {
            "memory": {"memory.limit_in_bytes": limits.memory_mb * 1_000_000},
            "pids": {"pids.max": limits.processes},
        }
        self.folders: list[Path] = []
        for controller, values in wanted.items():
            folder = _own(controller) / f"coursekit-{name}"
            try:
                folder.mkdir()
                for file, value in values.items():
                    (folder / file).write_text(str(value))
            except OSError:
                remove(folder)
            else:
                self.folders.append(folder)

    def wrap(self, argv: list[str]) -> list[str]:
        """The command line that joins the group before it becomes `argv`."""
        if not self.folders:
            return argv
        joins = " && ".join(f'echo $$ > "{folder}/cgroup.procs"' for folder in self.folders)
        return ["/bin/sh", "-c", f'{joins} && exec "$@"', "sh", *argv]

    def exceeded(self) -> str:
        """Which limit something in the group has run into: a status, or an empty text."""
        if any("max 0" not in _read(folder / "pids.events") for folder in self._with("pids")):
            return "processes"
        if any("oom_kill 0" not in _read(folder / "memory.oom_control") for folder in self._with("memory")):
            return "memory"
        return ""

    def _with(self, controller: str) -> list[Path]:
        return [folder for folder in self.folders if MOUNT / controller in folder.parents]

    def remove(self) -> None:
        """Give the group up, once its processes are gone."""
        for folder in self.folders:
            remove(folder)
        self.folders = []


def _own(controller: str) -> Path:
    """The folder of the group that this process is in."""
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return MOUNT / controller / path.lstrip("/")
    return MOUNT / "none"


def left_behind(prefix: str) -> list[Path]:
    """The groups that stand where this process makes its own."""
    return [path for name in ("memory", "pids") for path in _own(name).glob(f"coursekit-{prefix}-*-*")]


def remove(folder: Path, patience_s: float = 1.0) -> None:
    """Remove a group's folder, as soon as its last process is gone."""
    until = time.monotonic() + patience_s
    while folder.is_dir():
        with contextlib.suppress(OSError):
            folder.rmdir()
            return
        if time.monotonic() > until:
            return
        time.sleep(0.02)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
