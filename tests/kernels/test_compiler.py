"""The cache of compiled code: shared by processes, keyed by the sources, and no harm where it cannot be used."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from coursekit.kernels.cpu import compiler

CALL = """
import sys
import numpy as np
from coursekit.kernels import cpu
from coursekit.kernels.cpu.softmax import _textbook
x = np.arange(12, dtype=sys.argv[1]).reshape(3, 4)
np.testing.assert_allclose(cpu.softmax_textbook(x).sum(1), 1, rtol=1e-6)
print(sum(_textbook.stats.cache_hits.values()), sum(_textbook.stats.cache_misses.values()))
"""


def start(folder: Path, dtype: str) -> subprocess.Popen:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(folder)}
    command = [sys.executable, "-c", CALL, dtype]
    return subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def hits_and_misses(process: subprocess.Popen) -> list[int]:
    out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    return [int(word) for word in out.split()]


def test_processes_share_what_was_compiled(tmp_path):
    both = [start(tmp_path, dtype) for dtype in ("float32", "float64")]
    assert [hits_and_misses(process) for process in both] == [[0, 1], [0, 1]]
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nbc")}
    assert len(files) == 2
    assert not list(tmp_path.rglob("*.tmp.*"))
    for dtype in ("float32", "float64"):
        assert hits_and_misses(start(tmp_path, dtype)) == [1, 0]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nbc")} == files


@pytest.mark.parametrize("damage", [b"", b"\x80", b"no pickle at all"])
def test_a_damaged_file_is_compiled_anew(tmp_path, damage):
    hits_and_misses(start(tmp_path, "float32"))
    (file,) = tmp_path.rglob("*.nbc")
    whole = file.read_bytes()
    file.write_bytes(damage or whole[: len(whole) // 2])
    assert hits_and_misses(start(tmp_path, "float32")) == [0, 1]
    assert hits_and_misses(start(tmp_path, "float32")) == [1, 0]


def test_where_nothing_can_be_written_it_computes_all_the_same(tmp_path):
    (tmp_path / "file").write_text("")
    assert hits_and_misses(start(tmp_path / "file", "float32")) == [0, 1]


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """Sources of our own, and nothing remembered of the real ones."""
    monkeypatch.setattr(compiler.config, "CACHE_DIR", "")
    forget()
    (tmp_path / "cpu").mkdir()
    (tmp_path / "ops").mkdir()
    monkeypatch.setattr(compiler, "HERE", tmp_path / "cpu")
    (tmp_path / "cpu" / "a.py").write_text(
        "import numpy\nfrom coursekit.kernels.cpu import (\n    b,\n    nowhere,\n)\n"
        "from coursekit.kernels.ops import OPS\nfrom coursekit.kernels.ops.sizes import PANEL\n"
    )
    (tmp_path / "cpu" / "b.py").write_text("from coursekit.kernels.cpu.c import x\n")
    (tmp_path / "cpu" / "c.py").write_text("from coursekit.kernels.cpu import a  # a circle ends\n")
    for name in ("cpu/d", "ops/sizes", "ops/__init__"):
        (tmp_path / f"{name}.py").write_text("")
    yield tmp_path
    forget()


def forget():
    for function in (compiler.source_digest, compiler._text, compiler._imported, compiler.cache_folder):
        function.cache_clear()


@pytest.mark.parametrize("name", ["cpu/a", "cpu/b", "cpu/c", "ops/sizes"])
def test_a_change_of_what_a_source_stands_on_makes_a_new_key(sources, name):
    before = compiler.source_digest(sources / "cpu" / "a.py")
    path = sources / f"{name}.py"
    path.write_text(path.read_text() + "# changed")
    forget()
    assert compiler.source_digest(sources / "cpu" / "a.py") != before


@pytest.mark.parametrize("name", ["cpu/d", "ops/__init__"])
def test_a_change_elsewhere_does_not(sources, name):
    before = compiler.source_digest(sources / "cpu" / "a.py")
    (sources / f"{name}.py").write_text("# changed")
    forget()
    assert compiler.source_digest(sources / "cpu" / "a.py") == before


def test_every_source_of_the_kernels_is_found():
    """matmul stands on the vector layer, and what it imports is written in a way that is understood."""
    folder = compiler.HERE
    names = {path.name for path in compiler._imported(folder / "matmul.py")}
    assert {"simd.py", "threads.py"} <= names
    for path in folder.glob("*.py"):
        modules = re.findall(
            r"^(?:from|import) coursekit\.kernels\.(?:cpu|ops)\.(\w+)", path.read_text(encoding="utf-8"), re.M
        )
        found = {other.stem for other in compiler._imported(path)}
        assert {m for m in modules if (folder / f"{m}.py").is_file()} <= found, path


def test_old_sources_leave_nothing_behind(sources):
    folder = compiler.cache_folder()
    assert folder.parent == sources / "cpu" / "__pycache__"
    folder.mkdir(parents=True)
    mine, old = folder / "m.f-new-1.nbc", ["m.f-old-1.nbc", "m.f-old-2.nbc"]
    others = ["m.f_two-old-1.nbc", "m.g-old-1.nbc"]
    for name in (mine.name, *old, *others):
        (folder / name).write_text("")
    compiler._Files("m.f", "new")._make_room()
    assert {path.name for path in folder.iterdir()} == {mine.name, *others}


def test_a_shared_folder_keeps_what_others_compiled(sources, monkeypatch):
    monkeypatch.setattr(compiler.config, "CACHE_DIR", str(sources / "shared"))
    compiler.cache_folder.cache_clear()
    compiler.cache_folder().mkdir(parents=True)
    (compiler.cache_folder() / "m.f-old-1.nbc").write_text("")
    compiler._Files("m.f", "new")._make_room()
    assert (compiler.cache_folder() / "m.f-old-1.nbc").exists()


def test_a_folder_beside_the_sources_is_read_where_it_cannot_be_written(sources, monkeypatch):
    beside = compiler.cache_folder()
    beside.mkdir(parents=True)
    monkeypatch.setattr(compiler, "_is_writable", lambda folder: False)
    compiler.cache_folder.cache_clear()
    assert compiler.cache_folder() == beside
    beside.rmdir()
    compiler.cache_folder.cache_clear()
    monkeypatch.setenv("XDG_CACHE_HOME", str(sources / "home"))
    assert compiler.cache_folder() == sources / "home" / "coursekit" / beside.name


@compiler.compiled
def quotient(x, y):
    return x / y


def test_division_by_zero_is_no_exception():
    assert quotient(1.0, 0.0) == np.inf
    assert np.isnan(quotient(0.0, 0.0))


def nested(number):
    @compiler.compiled(inline=True)
    def step(x):
        return x + number

    @compiler.compiled
    def run(x):
        return step(x)

    return run


def test_a_closure_within_a_closure_makes_a_key_of_its_own(tmp_path, monkeypatch):
    """The two functions differ in what a function that they call has in its closure."""
    monkeypatch.setattr(compiler.config, "CACHE_DIR", str(tmp_path))
    compiler.cache_folder.cache_clear()
    try:
        assert (nested(1)(5), nested(2)(5)) == (6, 7)
    finally:
        compiler.cache_folder.cache_clear()


EACH_KERNEL = """
import gc
import numpy as np
from numba.core.dispatcher import Dispatcher
from coursekit.kernels import cpu
from coursekit.kernels.ops import OPS
for op in OPS.values():
    for case in op.cases_for("tiny")[:1]:
        arrays = op.draw(np.random.default_rng(0), case.sizes, op.dtypes[0], **case.options)
        for function in cpu.rungs(op.name).values():
            function(*arrays, **case.options)
kernels = [f for f in gc.get_objects() if isinstance(f, Dispatcher) and f.py_func.__module__.startswith(cpu.__name__)]
print(sum(bool(f.signatures) for f in kernels), sum(sum(f.stats.cache_misses.values()) for f in kernels))
"""


@pytest.mark.slow
def test_a_second_process_compiles_no_kernel():
    """The first one compiles what other tests have not; both use the cache that they use."""
    for _ in range(2):
        run = subprocess.run(
            [sys.executable, "-c", EACH_KERNEL], check=True, timeout=900, capture_output=True, text=True
        )
        used, compiled = map(int, run.stdout.split())
    assert used > 100 and compiled == 0
