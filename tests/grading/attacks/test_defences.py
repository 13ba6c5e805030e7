"""Each defence by itself, with limits small enough to be reached at once, and without the one before it."""

import json
import os
import socket
import struct
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from coursekit.grading.kernels import cgroup, sandbox, seccomp
from coursekit.grading.kernels.kernel import Execution, GradingKernel, Isolation
from coursekit.grading.kernels.limits import Limits

FORKS = """
import os, time
for _ in range(60):
    if os.fork() == 0:
        time.sleep(5)
        os._exit(0)
time.sleep(5)
"""
THREADS = """
import threading, time
for _ in range(60):
    threading.Thread(target=time.sleep, args=(5,)).start()
"""


@pytest.fixture
def run(needs_sandbox):
    """Run cells in a sandboxed kernel of its own; the last one's :class:`Execution`."""

    def run(*cells: str, timeout: float = 20, hide: tuple[Path, ...] = (), **limits) -> Execution:
        kernel = GradingKernel(Isolation(True, hide, replace(Limits(), **limits)))
        kernel.wait()
        try:
            for cell in cells:
                done = kernel.run(cell, timeout)
        finally:
            kernel.kill()
        return done

    return run


@pytest.fixture
def groups():
    """A machine where control groups may be made."""
    if not all(os.access(f"/sys/fs/cgroup/{name}/cgroup.procs", os.W_OK) for name in ("memory", "pids")):
        pytest.skip("there are no control groups of version 1, or this user may not make any")
    group = cgroup.Group(f"test-{os.getpid()}", Limits())
    assert len(group.folders) == 2
    group.remove()


@pytest.fixture
def no_groups(monkeypatch):
    """A machine where nobody may make control groups, as for most users."""
    monkeypatch.setattr(cgroup, "MOUNT", Path("/nowhere"))


def test_a_kernel_has_the_limits(run):
    names = ["AS", "CPU", "FSIZE", "CORE", "NOFILE"]
    cell = f"import json, resource as r\nprint(json.dumps([r.getrlimit(getattr(r, 'RLIMIT_' + n)) for n in {names}]))"
    limits = Limits()
    wanted = [limits.address_mb * 10**6, limits.cpu_s, limits.file_mb * 10**6, 0, 1024]
    assert json.loads(run(cell).text) == [[bound, bound] for bound in wanted]


def test_a_kernel_writes_to_memory_of_a_fixed_size(run):
    cell = "import os\nfor path in ('/tmp', '/dev/shm'):\n    s = os.statvfs(path); print(s.f_blocks * s.f_frsize)"
    sizes = [int(line) / 1e6 for line in run(cell).text.split()]
    limits = Limits()
    assert sizes == pytest.approx([limits.folder_mb, limits.shared_mb], rel=0.01)


def test_hidden_folders_and_files_are_empty_where_all_around_is_seen(run, tmp_path, monkeypatch):
    for name in ("class/ada.ipynb", "book.sqlite", "seen.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("content")
    shown = [*sandbox.visible(), tmp_path]
    monkeypatch.setattr(sandbox, "visible", lambda: shown)
    cell = f"""
from pathlib import Path
top = Path({str(tmp_path)!r})
print(sorted(str(p.relative_to(top)) for p in top.rglob("*")), (top / "seen.txt").read_text())
try:
    print((top / "book.sqlite").read_text())
except OSError as error:
    print(type(error).__name__)
"""
    listed, book = run(cell, hide=(tmp_path / "class", tmp_path / "book.sqlite")).text.splitlines()
    assert listed == "['book.sqlite', 'class', 'seen.txt'] content"
    assert book in ("", "PermissionError")


def test_the_group_bounds_memory(run, groups, monkeypatch):
    monkeypatch.setattr("coursekit.grading.kernels.watchdog.exceeded", lambda pid, limits: "")
    done = run("held = b'x' * 400_000_000", memory_mb=300)
    assert done.status == "memory"


def test_the_watch_bounds_memory_without_groups(run, no_groups):
    done = run("import time\nheld = b'x' * 400_000_000\ntime.sleep(5)", memory_mb=300)
    assert done.status == "memory" and done.seconds < 5


@pytest.mark.slow
def test_the_watch_bounds_processes_without_groups(run, no_groups):
    done = run(FORKS, processes=50)
    assert done.status in ("processes", "error") and done.seconds < 5


@pytest.mark.slow
def test_the_watch_bounds_threads_without_groups_and_limits(run, no_groups, monkeypatch):
    """Where neither groups nor limits by namespace are to be had, there is still the watch."""
    monkeypatch.setattr(
        "coursekit.grading.kernels.kernel.asdict", lambda limits: asdict(limits) | {"processes": 4000}
    )
    done = run(THREADS + "time.sleep(5)", processes=50)
    assert done.status == "processes" and done.seconds < 5


@pytest.mark.slow
def test_the_watch_bounds_files(run):
    cell = "import os, time\nfor n in range(200): open(f'/dev/shm/{n}', 'w').close()\ntime.sleep(5)"
    done = run(cell, files=150)
    assert done.status == "disk" and done.seconds < 5


@pytest.mark.slow
def test_messages_are_counted(run):
    done = run("from IPython.display import display\nfor n in range(300): display(n)", messages=200)
    assert done.status == "flooded"


@pytest.mark.slow
def test_bytes_are_counted_over_all_messages(run):
    cell = "import time\nfor n in range(30):\n    print('x' * 100_000, flush=True)\n    time.sleep(0.01)"
    assert run(cell, output_mb=1).status == "flooded"
    assert run(cell, output_mb=8).status == "ok"


@pytest.mark.slow
def test_processor_time_is_bounded(run):
    done = run("while True: pass", cpu_s=3)
    assert done.status == "died" and done.seconds < 10


@pytest.mark.slow
def test_what_goes_wrong_at_the_end_of_a_cell_is_put_down_to_it(run, groups):
    quiet = (
        "try:\n"
        + THREADS.strip().replace("\n", "\n    ").join(("    ", ""))
        + "\nexcept RuntimeError:\n    pass"
    )
    assert run(quiet, processes=50).status == "processes"


@pytest.mark.slow
def test_a_kernel_that_ends_leaves_nothing(run, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert run("import os; os.mkdir('x'); open('x/y', 'w').write('z')").status == "ok"
    assert list(tmp_path.iterdir()) == []


def filtered(program: bytes, machine: int, call: int, *arguments: int) -> int:
    """What a filter answers to a system call: the part of the kernel's interpreter that it needs."""
    data = struct.pack("=IIQ6Q", call, machine, 0, *(arguments + (0,) * 6)[:6])
    lines = [struct.unpack_from("=HBBI", program, start) for start in range(0, len(program), 8)]
    value = place = 0
    while True:
        code, if_so, if_not, operand = lines[place]
        place += 1
        if code == 0x20:
            (value,) = struct.unpack_from("=I", data, operand)
        elif code == 0x15:
            place += if_so if value == operand else if_not
        elif code == 0x35:
            place += if_so if value >= operand else if_not
        elif code == 0x06:
            return operand
        else:
            raise AssertionError(f"there is no instruction {code:#x} here")


@pytest.mark.parametrize(("column", "machine"), list(enumerate(seccomp.MACHINES)))
def test_the_filter_refuses_what_it_says_and_no_more(column, machine):
    program = seccomp.assemble(machine)
    number, opens_socket = seccomp.MACHINES[machine]
    other = next(numbers[0] for name, numbers in seccomp.MACHINES.items() if name != machine)
    allowed, refused, unknown, no_family = 0x7FFF0000, 0x50000 | 1, 0x50000 | 38, 0x50000 | 97
    listed = {numbers[column] for numbers in seccomp.CALLS.values()}
    for call in range(600):
        if call != opens_socket:
            assert filtered(program, number, call) == (refused if call in listed else allowed), call
        assert filtered(program, other, call) == unknown
        assert filtered(program, number, call | 0x40000000) == unknown
    for family in range(50):
        wanted = allowed if family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, 16) else no_family
        assert filtered(program, number, opens_socket, family, 1) == wanted, family


def test_there_is_no_filter_for_an_unknown_machine():
    assert seccomp.assemble("vax") is None
