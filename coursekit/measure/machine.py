"""What machine this is: enough to know whether a number measured earlier still holds."""

import functools
import hashlib
import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

SYS_CPU = Path("/sys/devices/system/cpu")


@dataclass(frozen=True)
class Cache:
    """One data cache: its name ('L1', 'L2', ...), bytes, and how many logical cores share one of it."""

    name: str
    size: int
    shared_by: int
    assumed: bool = False


@dataclass(frozen=True)
class Machine:
    """The machine as this process sees it; `cores` are the logical ones it may run on, memory is in bytes."""

    cpu: str
    cores: int
    features: tuple[str, ...]
    memory: int
    caches: tuple[Cache, ...]
    os: str
    python: str
    numba: str
    torch: str

    @property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that change when anything above does; memory counts in whole GiB."""
        facts = asdict(self) | {"memory": round(self.memory / 2**30)}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]

    def __repr__(self) -> str:
        return f"{self.cpu}, {self.cores} cores, {self.memory / 2**30:.0f} GiB, {self.os}"


@functools.cache
def this_machine() -> Machine:
    """Describe this machine. What cannot be found out is 'unknown' or assumed; nothing is raised."""
    import psutil

    return Machine(
        cpu=cpu_model(),
        cores=cores(),
        features=cpu_features(),
        memory=psutil.virtual_memory().total,
        caches=tuple(caches()),
        os=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        numba=_version("numba"),
        torch=_version("torch"),
    )


def cores() -> int:
    """Logical cores that this process may use: fewer than the machine has under taskset or in a container."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def cpu_model() -> str:
    """The name of the processor, as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.lower().startswith(("model name", "hardware")):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return _sysctl("machdep.cpu.brand_string") or platform.processor() or "unknown"


def cpu_features() -> tuple[str, ...]:
    """Names of the instruction sets that Numba compiles for, in LLVM's spelling: 'avx2', 'fma', 'neon'."""
    try:
        from numba.core import config
        from numba.core.codegen import get_host_cpu_features

        listed = config.CPU_FEATURES if config.CPU_FEATURES is not None else get_host_cpu_features()
    except Exception:
        return ()
    return tuple(sorted(name[1:] for name in listed.split(",") if name.startswith("+")))


def caches(root: Path = SYS_CPU) -> list[Cache]:
    """The data caches of the first core, smallest first: from Linux, from macOS, or assumed."""
    found = _caches_linux(root) or _caches_macos()
    if found:
        return sorted(found, key=lambda cache: cache.name)
    return [
        Cache("L1", 32 << 10, 1, assumed=True),
        Cache("L2", 512 << 10, 1, assumed=True),
        Cache("L3", 8 << 20, cores(), assumed=True),
    ]


def _caches_linux(root: Path) -> list[Cache]:
    found = []
    for index in sorted(root.glob("cpu0/cache/index*")):
        try:
            facts = {n: (index / n).read_text().strip() for n in ("type", "level", "size", "shared_cpu_list")}
            if facts["type"] in ("Data", "Unified"):
                shared_by = len(_listed(facts["shared_cpu_list"]))
                found.append(Cache(f"L{int(facts['level'])}", _bytes(facts["size"]), shared_by))
        except (OSError, ValueError):
            continue
    return found


def _caches_macos() -> list[Cache]:
    found = []
    for level, shared in ((1, 1), (2, int(_sysctl("hw.perflevel0.cpusperl2") or 1)), (3, cores())):
        kind = "l1dcachesize" if level == 1 else f"l{level}cachesize"
        size = _sysctl(f"hw.perflevel0.{kind}") or _sysctl(f"hw.{kind}")
        if size and int(size) > 0:
            found.append(Cache(f"L{level}", int(size), shared))
    return found


def _sysctl(name: str) -> str:
    if platform.system() != "Darwin":
        return ""
    try:
        command = ["/usr/sbin/sysctl", "-n", name]
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _listed(cpus: str) -> set[int]:
    """The members of a kernel list such as '0-3,8'."""
    ranges = [part.split("-") for part in cpus.split(",")]
    return {cpu for r in ranges for cpu in range(int(r[0]), int(r[-1]) + 1)}


def _bytes(size: str) -> int:
    """The kernel's '32K' or '1M' in bytes."""
    shift = {"K": 10, "M": 20, "G": 30}.get(size[-1], 0)
    return int(size.rstrip("KMG")) << shift


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"
