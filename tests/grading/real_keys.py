"""The keys of exercises 07 to 09, and what an answer earns in them."""

import functools
import textwrap
from pathlib import Path

from coursekit.grading.exercise.key import load_key
from coursekit.grading.marking.grade import expected, mark
from coursekit.grading.marking.race import add_races

SEED = 11
SOLUTIONS = Path(__file__).parents[2] / "solutions"
KEYS = {
    name[:2]: load_key(SOLUTIONS / f"{name}.ipynb")
    for name in ("07_cpu_kernels", "08_gpu_kernels", "09_fusion")
}


def of(task: str):
    """The key that has this task."""
    return next(key for key in KEYS.values() if task in key.tasks)


def pairs(table: dict) -> list:
    return [(task, source) for task, sources in table.items() for source in sources]


@functools.cache
def _wanted(number: str) -> dict:
    return expected(KEYS[number], SEED)


def _result(task: str, source: str):
    number = next(number for number, key in KEYS.items() if task in key.tasks)
    return mark(KEYS[number], {task: source}, _wanted(number), SEED)


def earned(task: str, source: str):
    """The mark of an answer, its speed aside."""
    return next(mark for mark in _result(task, textwrap.dedent(source)).marks if mark.task == task)


def raced(task: str, source: str) -> list:
    """The marks of an answer: of itself, and of its speed or of what its race counts."""
    source = textwrap.dedent(source)
    result = add_races(of(task), {task: source}, _result(task, source))
    return [mark for mark in result.marks if mark.task == task]


def kernel(body: str, head: str = "", name: str = "sums(x, out)") -> str:
    body = textwrap.indent(textwrap.dedent(body).strip(), "    ")
    return f"{textwrap.dedent(head)}\n@cuda.jit\ndef {name}:\n{body}"


def textbook(a: str, b: str, first: str = "") -> str:
    """A product without tiles, in which each thread reads its row and its column by these expressions."""
    body = f"""
        n, m = cuda.grid(2)
        if m < out.shape[0] and n < out.shape[1]:
            total = float32(0)
            for k in range(K):
                total += {a} * {b}
            out[m, n] = total
    """
    return kernel(
        f"K = a.shape[1]\n{textwrap.dedent(first)}\n{textwrap.dedent(body)}", "", "product(a, b, out)"
    )
