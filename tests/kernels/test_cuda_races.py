"""No kernel races: every version of every operation in the cases for the simulator, each access watched.

Kernels are run by :func:`coursekit.measure.trace`, at the sizes that a GPU has: blocks, tiles and shuffles are its own,
and not the simulator's twins. It sees a race even where the result comes out right. And the other way round: a kernel
from which one barrier is taken away has to be caught.
"""

import ast
import importlib
import inspect
import pkgutil
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import cuda as device

from coursekit.kernels import cuda
from coursekit.kernels.contract import Case
from coursekit.kernels.cuda import arrays as arrays_of_cuda
from coursekit.kernels.cuda.device import SIMULATOR
from coursekit.kernels.ops import OPS
from coursekit.measure import trace
from coursekit.measure.gpu import run as gpu_run

from .agreement import assert_agrees, worst

pytestmark = pytest.mark.slow

BARRIER = "cuda.syncthreads()"
TWINS = {("warps", "by_tree"), ("warps", "_by_places"), ("tensor_cores", "_twin")}
MODULES = [importlib.import_module(f"{cuda.__name__}.{m.name}") for m in pkgutil.iter_modules(cuda.__path__)]
SEVERAL_TILES = {
    "attention": ({"...": (), "M": 20, "N": 40, "D": 8, "E": 12}, {}),
    "conv2d": ({"B": 1, "C": 3, "H": 3, "W": 4, "K": 8, "R": 3, "S": 3}, {"padding": 1}),
    "int8_matmul": ({"M": 3, "K": 80, "N": 5}, {}),
    "rnn": ({"N": 3, "T": 2, "I": 4, "H": 40}, {}),
    "two_four_matmul": ({"R": 3, "K": 40, "N": 4}, {}),
}
"""Cases for kernels whose loop over tiles goes round but once in those for the simulator."""


def cases(op):
    more = SEVERAL_TILES.get(op.name)
    return (*op.cases_for("tiny"), *((Case("several tiles", "tiny", *more),) if more else ()))


VERSIONS = [
    pytest.param(op, function, case, id=f"{name}-{case}")
    for op in OPS.values()
    for name, function in cuda.rungs(op.name).items()
    for case in cases(op)
]


class HostArray(np.ndarray):
    """Stands in for a device array: on a machine without a GPU, the arrays of a traced kernel are in its own memory."""

    def copy_to_host(self, stream=0):
        return np.array(self)

    def is_c_contiguous(self):
        return self.flags.c_contiguous


def on_the_host(array, stream=0):
    return np.array(array).view(HostArray)


class Watch:
    """Stands in for ``launch``: traces each kernel, and keeps the races it finds and the barriers it comes to.

    ``without`` is the file and line of a barrier that is passed over.
    """

    def __init__(self, monkeypatch, without=None):
        self.races, self.barriers, self.without = [], set(), without
        monkeypatch.setattr(device, "to_device", on_the_host)
        monkeypatch.setattr(
            device, "device_array", lambda shape, dtype=float: on_the_host(full(shape, dtype))
        )
        monkeypatch.setattr(arrays_of_cuda.boundary, "ready", lambda: None)
        for module in MODULES:
            for name, other in (("launch", self.launch), ("current_device", lambda: SIMULATOR)):
                if hasattr(module, name):
                    monkeypatch.setattr(module, name, other)
        wait = gpu_run.Cuda.syncthreads

        def syncthreads(traced):
            frame = sys._getframe(1)
            barrier = Path(frame.f_code.co_filename).name, frame.f_lineno
            self.barriers.add(barrier)
            if barrier != self.without:
                wait(traced)

        monkeypatch.setattr(gpu_run.Cuda, "syncthreads", syncthreads)

    def launch(self, kernel, grid, threads, *arguments, shared=0):
        found = trace(kernel, grid, threads, *arguments, shared=shared, loops=False)
        for name, array in zip(inspect.signature(kernel.py_func).parameters, arguments, strict=True):
            if isinstance(array, np.ndarray):
                array[...] = found.arrays[name]
        self.races += found.races


def full(shape, dtype):
    return np.full(shape, worst(np.dtype(dtype)), dtype)


def run(op, function, case):
    arrays = op.draw(np.random.default_rng(1), case.sizes, op.dtypes[0], **case.options)
    assert_agrees(op, function(*arrays, **case.options), arrays, case.options, op.dtypes[0])


REACHED: dict[tuple[str, int], dict] = {}
"""For each barrier the versions and cases that come to it, as far as they have run."""


@pytest.mark.parametrize(("op", "function", "case"), VERSIONS)
def test_no_races(op, function, case, monkeypatch):
    watch = Watch(monkeypatch)
    run(op, function, case)
    assert not watch.races
    for barrier in watch.barriers:
        REACHED.setdefault(barrier, {})[op.name, function.__name__, case.name] = (op, function, case)


def barriers():
    """File and line of each, without those of the simulator's twins, which no GPU runs."""
    for module in MODULES:
        file = Path(module.__file__)
        for number, line in enumerate(file.read_text().splitlines(), 1):
            if line.strip() == BARRIER and (file.stem, _function_around(file, number)) not in TWINS:
                yield pytest.param(file.name, number, id=f"{file.stem}-{number}")


def _function_around(file, number) -> str:
    functions = [n for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.FunctionDef)]
    return next(f.name for f in functions if f.lineno <= number <= f.end_lineno)


@pytest.mark.parametrize(("file", "line"), list(barriers()))
def test_a_missing_barrier_is_caught(file, line, monkeypatch):
    if (file, line) not in REACHED:
        for parameters in VERSIONS:
            with pytest.MonkeyPatch.context() as patch:
                test_no_races(*parameters.values, patch)
    watch = Watch(monkeypatch, without=(file, line))
    found = REACHED.get((file, line), {}).values()
    assert found, "no case comes to this barrier"
    for case in found:
        try:
            run(*case)
        except (AssertionError, ValueError, RuntimeError):
            return
        if watch.races:
            return
    pytest.fail("no case notices that the barrier is missing")
