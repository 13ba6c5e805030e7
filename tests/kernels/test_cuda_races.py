"""No kernel races: every version of every operation in the cases for the simulator, each access watched.

``test_cuda.py`` runs this file in a process of its own, in Numba's simulator. Kernels are not run by it, though, but by
:func:`coursekit.measure.trace`, which sees a race even where the result comes out right. And the other way round: a
kernel from which one barrier is taken away has to be caught, by a race or by a wrong result.
"""

import ast
import importlib
import inspect
import pkgutil
import textwrap

import numpy as np
import pytest

from coursekit.kernels import cuda
from coursekit.kernels.cuda import kernel as declared
from coursekit.kernels.ops import OPS
from coursekit.measure import trace

from .agreement import assert_agrees

MODULES = [importlib.import_module(f"{cuda.__name__}.{m.name}") for m in pkgutil.iter_modules(cuda.__path__)]
VERSIONS = [
    pytest.param(op, function, case, id=f"{name}-{case}")
    for op in OPS.values()
    for name, function in cuda.rungs(op.name).items()
    for case in op.cases_for("tiny")
]


class Watch:
    """Stands in for ``launch``: traces each kernel, and keeps the races it finds."""

    def __init__(self, monkeypatch, instead=None):
        self.races, self.instead = [], instead or {}
        for module in MODULES:
            if hasattr(module, "launch"):
                monkeypatch.setattr(module, "launch", self.launch)

    def launch(self, kernel, grid, threads, *arguments, shared=0):
        plain = [getattr(a, "_ary", a) for a in arguments]
        function = self.instead.get(kernel.fn, kernel.fn)
        found = trace(function, grid, threads, *plain, shared=shared)
        for name, array in zip(inspect.signature(kernel.fn).parameters, plain, strict=True):
            if isinstance(array, np.ndarray):
                array[...] = found.arrays[name]
        self.races += found.races


@pytest.mark.parametrize(("op", "function", "case"), VERSIONS)
def test_no_races(op, function, case, monkeypatch):
    watch = Watch(monkeypatch)
    arrays = op.draw(np.random.default_rng(1), case.sizes, op.dtypes[0], **case.options)
    assert_agrees(op, function(*arrays, **case.options), arrays, case.options, op.dtypes[0])
    assert not watch.races


def without_barrier(function, number):
    """The function without its ``number``-th call of ``syncthreads``."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    tree.body[0].decorator_list.clear()
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Expr) and "syncthreads" in ast.unparse(n)]
    calls[number].value = ast.Constant(None)
    scope = dict(vars(inspect.getmodule(function)))
    closure = inspect.getclosurevars(function).nonlocals
    exec(compile(tree, inspect.getsourcefile(function), "exec"), scope | closure, found := {})
    return found[function.__name__]


def barriers():
    for kernel in declared.KERNELS:
        for number in range(inspect.getsource(kernel.function).count("cuda.syncthreads()")):
            yield pytest.param(kernel, number, id=f"{kernel.name}-{number}")
