"""Isolation by bubblewrap: what a submission's kernel can see, write and reach.

It sees system folders, this Python and ``coursekit``, all read-only; it writes to memory of a fixed size; it has no
network, no other processes, no privileges. Solutions, other submissions and the gradebook are not there to be found.
"""

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import coursekit
from coursekit.grading.kernels.limits import Limits

HOME = "/tmp"  # in there
SYSTEM = ("/usr", "/bin", "/lib", "/lib32", "/lib64", "/libx32", "/sbin")
SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime", "/etc/os-release")
WITHOUT = "or grade without isolation, with every submission running as you: --no-sandbox"
HOW_TO = (
    "install bubblewrap (Debian and Ubuntu: sudo apt install bubblewrap; Fedora: sudo dnf install bubblewrap), "
    + WITHOUT
)
SWITCHES = {  # what keeps users from making namespaces: the setting, what it is where it does, and how to change it
    "kernel/apparmor_restrict_unprivileged_userns": (
        "1",
        "Ubuntu's AppArmor keeps programs without a profile from isolating themselves; give bwrap one (its package "
        "apparmor-profiles has bwrap-userns-restrict), or: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    "kernel/unprivileged_userns_clone": (
        "0",
        "this system keeps users from making namespaces; allow it: sudo sysctl kernel.unprivileged_userns_clone=1",
    ),
    "user/max_user_namespaces": (
        "0",
        "this system allows no user namespaces; allow some: sudo sysctl user.max_user_namespaces=10000",
    ),
}
CONTAINER = (
    "in a container, its own rules may keep programs from isolating themselves: start it with them loosened (docker "
    "run --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined), "
    "or grade outside of it"
)
CONTAINER_MARKS = (Path("/.dockerenv"), Path("/run/.containerenv"))
UNKNOWN = "see whether `bwrap --unshare-all --ro-bind / / true` works, and what forbids user namespaces here"


class NoSandbox(RuntimeError):
    """Isolation is wanted and cannot be had; the message says what to do."""


def require() -> None:
    """Raise :class:`NoSandbox` unless a process can be isolated here."""
    reason = missing()
    if reason:
        raise NoSandbox(f"{reason}; {advice()}")


def advice(settings: Path = Path("/proc/sys"), marks: Iterable[Path] = CONTAINER_MARKS) -> str:
    """What to do where there is no isolation: install bubblewrap, or change what keeps it from working.

    `settings` is where the system's settings stand, and `marks` are files that only a container has.
    """
    if sys.platform != "linux" or shutil.which("bwrap") is None:
        return HOW_TO
    found = [how for name, (off, how) in SWITCHES.items() if _setting(settings / name) == off]
    if any(path.exists() for path in marks):
        found.append(CONTAINER)
    return "; ".join([*(found or [UNKNOWN]), WITHOUT])


def _setting(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


@functools.cache
def missing() -> str:
    """Why there is no isolation on this machine; an empty text where there is."""
    if sys.platform != "linux":
        return f"isolation needs Linux with bubblewrap, and this is {sys.platform}"
    if shutil.which("bwrap") is None:
        return "isolation needs bubblewrap, and there is no bwrap on the PATH"
    try:
        tried = subprocess.run(command(["true"]), capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.SubprocessError) as error:
        return f"bubblewrap is there and does not work ({error})"
    if tried.returncode:
        return f"bubblewrap is there and does not work ({tried.stderr.strip() or tried.returncode})"
    return ""


def command(
    argv: list[str],
    work: Path | None = None,
    hide: Iterable[Path] = (),
    limits: Limits | None = None,
    seccomp: int | None = None,
) -> list[str]:
    """The command line that runs `argv` isolated, with ``HOME`` to write in, kept in memory.

    `work` is a folder that it sees where it stands; `hide` are folders and files that must not be seen even where
    they stand inside a folder that is; `seccomp` is a file descriptor with a filter of system calls.
    """
    shown, limits = visible(), limits or Limits()
    return [
        *("bwrap", "--unshare-all", "--unshare-user", "--disable-userns", "--uid", "65534", "--gid", "65534"),
        *("--cap-drop", "ALL", "--die-with-parent", "--new-session", "--clearenv", "--hostname", "kernel"),
        *(("--seccomp", str(seccomp)) if seccomp is not None else ()),
        *("--proc", "/proc", "--dev", "/dev"),
        *_memory("/dev/shm", limits.shared_mb),
        *_memory(HOME, limits.folder_mb),
        *_each("--ro-bind-try", (*SYSTEM, *SYSTEM_FILES)),
        *_each("--ro-bind", (*shown, *((work,) if work else ()))),
        *_masks(hide, (*map(Path, SYSTEM), *shown)),
        *("--chdir", HOME),
        # Whoever grades as root is root's user id in here too, without its privileges; what belongs to root
        # under /proc/sys (the core pattern, say) could still be written.
        *("--remount-ro", "/proc", "--remount-ro", "/dev", "--remount-ro", "/"),
        *_environment(),
        "--",
        *argv,
    ]


def visible() -> list[Path]:
    """The folders of this Python and this package: shown read-only."""
    folders = {Path(sys.prefix), Path(sys.base_prefix), Path(coursekit.__file__).parent}
    folders |= {Path(os.path.realpath(sys.executable)).parent}
    outside = [path for path in sorted(folders) if not any(path.is_relative_to(top) for top in SYSTEM)]
    return [path for path in outside if not any(path != top and path.is_relative_to(top) for top in outside)]


def _each(option: str, paths: Iterable) -> list[str]:
    return [word for path in paths for word in (option, str(path), str(path))]


def _masks(hide: Iterable[Path], shown: Iterable[Path]) -> list[str]:
    """Something empty over each hidden folder or file that would be seen otherwise."""
    words, tops = [], list(shown)
    for path in (path.resolve() for path in hide):
        if any(path.is_relative_to(top) for top in tops):
            words += ["--tmpfs", str(path)] if path.is_dir() else ["--ro-bind-try", "/dev/null", str(path)]
    return words


def _memory(path: str, megabytes: int) -> tuple[str, ...]:
    return "--size", str(megabytes * 1_000_000), "--tmpfs", path


def _environment() -> list[str]:
    values = {
        "HOME": HOME,
        "TMPDIR": HOME,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"]),
        "LANG": "C.UTF-8",
    }
    return [word for name, value in values.items() for word in ("--setenv", name, value)]
