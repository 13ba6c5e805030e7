"""Grading a class: seconds a submission, memory of the grader, and a run with hostile submissions that is killed twice.

    python benchmarks/grading.py [--learners 200] [--hostile 40] [--rounds 5] [--json FILE]

The exercise has 11 code cells and 5 judged tasks, and imports NumPy. Seconds a submission are those of a whole run of
``grade_class`` less those of starting it (a run over one submission), over the submissions; with and without the
sandbox, with one and two workers, interleaved, as medians with the lowest and highest round.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import psutil
from rich.console import Console
from rich.table import Table

from coursekit.grading.course.classroom import Options, grade_class, read_class
from coursekit.grading.course.gradebook import Gradebook, read_rows
from coursekit.grading.exercise.key import load_key
from coursekit.grading.exercise.release import release
from coursekit.grading.kernels import sandbox

EXERCISE = "01_bench"
TASKS = {
    "double": "return 2 * x",
    "centre": "return x - x.mean()",
    "total": "return float(x.sum())",
    "largest": "return x.max(initial=0.0)",
    "ranks": "return np.argsort(np.argsort(x))",
}
HOSTILE = {
    "endless": "def double(x):\n    while True: pass",
    "exit": "import os\nos._exit(0)",
    "crash": "def double(x):\n    import ctypes; ctypes.string_at(0)",
    "memory": "x = []\nfor i in range(400): x.append(bytearray(b'1') * 10**7)",
    "forks": "import os, time\nfor i in range(300):\n    if os.fork() == 0: time.sleep(5); os._exit(0)",
    "output": "import os\nfor i in range(50): os.write(1, b'x' * 10_000_000)",
    "displays": "for i in range(100_000): display(i)",
    "files": "for i in range(40): open(f'f{i}', 'wb').write(b'x' * 20_000_000)",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--learners", type=int, default=200, help="submissions of the hostile run")
    parser.add_argument("--hostile", type=int, default=40, help="how many of them are hostile")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of the timing")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    args = parser.parse_args()
    if not 0 <= args.hostile <= args.learners or args.rounds < 1:
        parser.error("wanted: 0 <= --hostile <= --learners, and --rounds of 1 or more")
    sandbox.require()
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        course = Course(Path(folder))
        speed = measure_speed(course, args.rounds, console)
        endurance = measure_endurance(course, args.learners, args.hostile, console)
    if args.json:
        args.json.write_text(json.dumps({"speed": speed, "endurance": endurance}, indent=1) + "\n")


class Course:
    """A key, and classes that hand it in."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.solutions = folder, folder / "solutions"
        self.solutions.mkdir()
        path = self.solutions / f"{EXERCISE}.ipynb"
        path.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=list(key_cells()))))
        self.key, self.released = load_key(path), json.loads(release(path))

    def hand_in(self, name: str, learners: int, hostile: int = 0) -> Path:
        """A class of `learners`, `hostile` of them spread among the others."""
        folder = self.folder / name
        for number in range(learners):
            bad = number * hostile // learners != (number + 1) * hostile // learners
            kind = list(HOSTILE)[number % len(HOSTILE)]
            self._write(folder / f"{kind if bad else 'honest'}-{number:03}", HOSTILE[kind] if bad else None)
        return folder

    def _write(self, folder: Path, attack: str | None) -> None:
        folder.mkdir(parents=True)
        for cell in self.released["cells"]:
            if cell["id"].startswith("answer-"):
                task = cell["id"].removeprefix("answer-")
                is_attacked = attack is not None and task == "double"
                cell["source"] = attack if is_attacked else self.key.tasks[task].solution
        (folder / f"{EXERCISE}.ipynb").write_text(json.dumps(self.released))


def key_cells() -> Iterator[nbformat.NotebookNode]:
    """One given cell, and five tasks of an answer, a check and a judge each."""

    def cell(source: str, **meta) -> nbformat.NotebookNode:
        return nbformat.v4.new_code_cell(source, metadata={"coursekit": meta})

    yield cell("import numpy as np\n\nfrom coursekit.grading import Check", role="given")
    for name, body in TASKS.items():
        solution = f"def {name}(x):\n    # BEGIN SOLUTION\n    {body}\n    # END SOLUTION"
        yield cell(solution, role="answer", task=name, points=1)
        yield cell(
            f'with Check("{name}") as check:\n    check({name}, np.zeros(1), want=None)',
            role="check",
            task=name,
        )
        calls = f'emit("drawn", {name}, rng.normal(size=1000))\nemit("one", {name}, np.ones(1))'
        judge = f'from coursekit.grading.judge import judge\n\nemit, rng = judge("{name}")\n{calls}'
        yield cell(judge, role="judge", task=name, timeout=5)


def measure_speed(course: Course, rounds: int, console: Console) -> dict:
    """Seconds a submission, for each way of grading."""
    count = 48
    one, many = course.hand_in("one", 1), course.hand_in("many", count)
    ways = {
        "sandbox, 2 workers": Options(seed=1, workers=2),
        "sandbox, 1 worker": Options(seed=1, workers=1),
        "no sandbox, 2 workers": Options(seed=1, workers=2, sandboxed=False),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    with console.status("timing") as status:
        for number in range(rounds):
            for name, options in ways.items():
                status.update(f"timing, round {number + 1} of {rounds}: {name}")
                start, whole = (timed_run(course, folder, options) for folder in (one, many))
                seconds[name].append((whole - start) / (count - 1))
    table = Table(
        "", "median s", "lowest", "highest", title=f"Seconds a submission ({rounds} rounds of {count})"
    )
    for name, values in seconds.items():
        table.add_row(name, *(f"{f(values):.2f}" for f in (statistics.median, min, max)))
    console.print(table)
    return seconds


def timed_run(course: Course, folder: Path, options: Options) -> float:
    with tempfile.TemporaryDirectory() as place, Gradebook(Path(place) / "book.sqlite") as gradebook:
        started = time.perf_counter()
        rows = list(grade_class(read_class(folder, course.solutions), gradebook, options))
        seconds = time.perf_counter() - started
    wrong = [row.result for row in rows if not row.result.is_full]
    if wrong:
        raise RuntimeError(f"an honest submission was not marked in full: {wrong[0]}")
    return seconds


def measure_endurance(course: Course, learners: int, hostile: int, console: Console) -> dict:
    """Grade a class with hostile submissions in a process of its own, kill it twice, and count what stands."""
    folder, book = course.hand_in("class", learners, hostile), course.folder / "class.sqlite"
    command = [sys.executable, "-m", "coursekit", "grade", str(folder), "--gradebook", str(book)]
    command += ["--solutions", str(course.solutions), "--workers", "2"]
    started, peak, kills = time.perf_counter(), [0], []
    for part in (1, 2, 3):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        threading.Thread(target=watch_memory, args=(process.pid, peak), daemon=True).start()
        with console.status("grading") as status:
            while process.poll() is None:
                done = len(read_rows(book)) if book.exists() else 0
                status.update(f"{done} of {learners} rows, killed {len(kills)} times")
                if part < 3 and done >= learners * part // 3:
                    os.kill(process.pid, signal.SIGKILL)
                    kills.append(done)
                time.sleep(0.3)
    rows = read_rows(book)
    right = sum(row.result.points == (5 if row.learner.startswith("honest") else 4) for row in rows)
    figures = {
        "rows": len(rows),
        "right": right,
        "runs": len({row.run for row in rows}),
        "killed at": kills,
        "seconds": round(time.perf_counter() - started, 1),
        "grader MB": round(peak[0] / 1e6),
    }
    console.print(
        f"{learners} submissions, {hostile} of them hostile, killed at {kills[0]} and {kills[1]} rows:"
    )
    console.print(
        f"  {len(rows)} rows, {right} right, all of {figures['runs']} run, in {figures['seconds']} s"
    )
    console.print(f"  largest process of the grader: {figures['grader MB']} MB")
    return figures


def watch_memory(pid: int, peak: list[int]) -> None:
    """Note the largest resident memory of a grading process: the run's own, or a worker. Kernels are not the grader."""
    while psutil.pid_exists(pid):
        try:
            process = psutil.Process(pid)
            for each in (process, *process.children()):
                peak[0] = max(peak[0], each.memory_info().rss)
        except psutil.Error:
            return
        time.sleep(0.05)


if __name__ == "__main__":
    main()
