"""Running cells through nbval: its collector and its items, with cells and options from the key alone.

nbval takes cells, options and kernel from a notebook file. Here they come from a :class:`Plan` held in
memory, so no file that a kernel could read holds a judge cell.
"""

import contextlib
import io
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from coursekit.grading.checks import STOPPED
from coursekit.grading.exercise.format import nbformat
from coursekit.grading.kernels.kernel import GONE, Execution, GradingKernel
from coursekit.grading.kernels.pool import Pool

from nbval.plugin import IPyNbCell, IPyNbFile  # isort: skip  (it imports nbformat, too)

GAVE_UP = "a call of its visible check was stopped after"

# The last two collect garbage at every end of pytest, a quarter of a second each time.
PLUGINS_OFF = (
    "cacheprovider",
    "terminal",
    "logging",
    "faulthandler",
    "threadexception",
    "unraisableexception",
)


@dataclass(frozen=True)
class Step:
    """One code cell to run. ``label`` tells the grader what the result belongs to."""

    label: str
    role: str
    task: str | None
    source: str
    timeout: float


@dataclass(frozen=True)
class Plan:
    """The cells of one run, in order, and for each task the tasks whose answers it calls.

    One that ``gives_up`` runs no more cells of a task whose visible check had to stop a call: each would wait for the
    same loop, until its own limit.
    """

    steps: tuple[Step, ...]
    needs: dict[str, tuple[str, ...]]
    gives_up: bool = False


def run(plan: Plan, progress: Callable[[Step], None] | None = None, pool: Pool | None = None) -> dict:
    """Run a plan in kernels of its own, taken from `pool`; the :class:`Execution` of each step by its label.

    A kernel that dies, hangs or exceeds a limit is replaced, and the task is tried once more with nothing but what
    it needs, so that no answer pays for what another one left behind.
    """
    with tempfile.TemporaryDirectory(prefix="coursekit-") as folder:
        placeholder = Path(folder) / "submission.ipynb"
        placeholder.write_text("{}")
        plugin = _Plugin(plan, placeholder, progress, pool or Pool())
        options = [
            "--disable-plugin-autoload",
            "--noconftest",
            "-p",
            "nbval.plugin",
            "-s",
            f"--rootdir={folder}",
        ]
        options += [word for name in PLUGINS_OFF for word in ("-p", f"no:{name}")]
        with contextlib.redirect_stdout(io.StringIO()):
            pytest.main([*options, "-c", "/dev/null", str(placeholder)], plugins=[plugin])
    if plugin.failure:
        raise RuntimeError(plugin.failure)
    return plugin.results


class _Plugin:
    """Hands the plan to pytest, and collects what comes back."""

    def __init__(self, plan: Plan, path: Path, progress: Callable | None, pool: Pool) -> None:
        self.plan, self.path, self.progress, self.pool = plan, path, progress, pool
        self.results: dict[str, Execution] = {}
        self.failure = ""

    def pytest_addoption(self, parser) -> None:
        parser.addoption("--color", default="no")  # nbval asks the terminal plugin, which is off, for it

    def pytest_collect_file(self, file_path: Path, parent):
        if file_path == self.path:
            return GradedFile.from_parent(parent, path=file_path, plugin=self)
        return None

    def pytest_runtest_makereport(self, item, call) -> None:
        if call.excinfo and not self.failure:
            self.failure = f"the grader failed at a {call.when}: {call.excinfo.value!r}"


class GradedFile(IPyNbFile):
    """A submission: one kernel at a time, replaced when it stops."""

    def __init__(self, *args, plugin: _Plugin, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.plugin = plugin
        self.kernel: GradingKernel | None = None
        self.done: list[Step] = []  # what ran to its end, in whatever kernel
        self.loaded: list[Step] = []  # what ran in the kernel at hand
        self.stopped: dict[str, Execution] = {}  # the tasks that stopped a kernel

    def collect(self):
        for index, step in enumerate(self.plugin.plan.steps):
            cell = nbformat.NotebookNode(cell_type="code", source=step.source, outputs=[])
            yield GradedCell.from_parent(
                self, name=step.label, cell_num=index, cell=cell, options={}, step=step
            )

    def setup(self) -> None:
        self._fresh()

    def teardown(self) -> None:
        if self.kernel is not None:
            self.kernel.kill()

    def execute(self, step: Step) -> Execution:
        """Run a step. Where its kernel comes to an end, try once more in a fresh one with only what the step needs:
        what ended it may have been left behind by another answer."""
        needs = self.plugin.plan.needs.get(step.task, ())
        for task in (step.task, *needs):
            if task in self.stopped:
                return self.stopped[task]
        self._load(self._needed(step))
        result = self._run(step)
        if result.status in GONE and any(s.task not in (None, step.task) for s in self.loaded):
            self._fresh()
            self._load(self._needed(step))
            result = self._run(step)
        if result.status in GONE:
            self.stopped[step.task] = result
            self._fresh()
        else:
            self.done.append(step)
            self.loaded.append(step)
        return result

    def _run(self, step: Step) -> Execution:
        result = self.kernel.run(step.source, step.timeout)
        found = re.search(rf"stopped after ([\d.]+) s; {re.escape(STOPPED)}", result.text)
        if self.plugin.plan.gives_up and step.role == "check" and result.status == "ok" and found:
            why = f"{GAVE_UP} {found[1]} s, so its hidden cases were not run; {STOPPED}"
            return replace(result, status="timeout", error=why)
        return result

    def _needed(self, step: Step) -> list[Step]:
        """The steps done so far that this one builds on: all given cells, its answer, those it calls."""
        tasks = {None, step.task, *self.plugin.plan.needs.get(step.task, ())}
        return [s for s in self.done if s.task in tasks and s.role in ("given", "answer")]

    def _load(self, steps: list[Step]) -> None:
        """Run those of the steps that the kernel at hand has not seen."""
        for step in steps:
            if step not in self.loaded:
                self.kernel.run(step.source, step.timeout)
                self.loaded.append(step)

    def _fresh(self) -> None:
        if self.kernel is not None:
            self.kernel.kill()
        self.kernel, self.loaded = self.plugin.pool.take(), []


class GradedCell(IPyNbCell):
    """A cell of the plan. Running it never fails the item: what it returns is judged afterwards."""

    def __init__(self, *args, step: Step, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.step = step

    def setup(self) -> None:
        """nbval would mark every cell after a time-out as expected to fail; here the file recovers."""

    def runtest(self) -> None:
        if self.parent.plugin.progress:
            self.parent.plugin.progress(self.step)
        self.parent.plugin.results[self.step.label] = self.parent.execute(self.step)
