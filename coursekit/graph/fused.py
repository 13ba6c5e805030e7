"""Kernels made while the program runs: the source of a chain of elementwise operations, and its machine code.

The source is Python, in the words of :mod:`coursekit.kernels.cpu.simd`: vectors of float32 as wide as the registers,
with exp, tanh and erf of ``vector_math``. float64 is done a number at a time. What was made once for a chain serves all
chains of the same form, in this process and, from a file, in later ones.
"""

import hashlib
import linecache
import math
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np

from coursekit.graph.elementwise import ELEMENTWISE

GRAIN = 2**16
"""Numbers that are worth a thread."""


@dataclass(frozen=True)
class Body:
    """The form of a fused chain; equal ones share their machine code.

    Attributes:
        dtype: float32 or float64, of all arrays.
        lies: how each argument lies: "full", or "row", "column" or "scalar" where it is repeated.
        constants: numbers that stand in the source.
        steps: operations, each with the numbers of what it reads: arguments come first, then constants, then steps.
        sums: how many of the last axes are added up in the end.
    """

    dtype: str
    lies: tuple[str, ...]
    constants: tuple[float, ...]
    steps: tuple[tuple[str, tuple[int, ...]], ...]
    sums: int = 0

    @property
    def flops(self) -> int:
        """For each number of the group's shape."""
        return sum(ELEMENTWISE[name].flops for name, _ in self.steps) + bool(self.sums)

    @property
    def by_rows(self) -> bool:
        """Whether rows have to be told apart."""
        return bool(self.sums) or not {"row", "column"}.isdisjoint(self.lies)

    @property
    def source(self) -> str:
        """The kernel in Python, to be printed."""
        return _source_of(self)

    def __repr__(self) -> str:
        return " ".join([*(name for name, _ in self.steps), *(["sum"] if self.sums else [])])


def lie(shape: tuple[int, ...], whole: tuple[int, ...]) -> str:
    """How an argument lies in a kernel over ``whole``, or "" where it lies otherwise than kernels know."""
    if shape == whole:
        return "full"
    if math.prod(shape) == 1:
        return "scalar"
    padded = (1,) * (len(whole) - len(shape)) + shape
    if padded[-1] == whole[-1] and set(padded[:-1]) <= {1}:
        return "row"
    return "column" if padded == (*whole[:-1], 1) else ""


def _source_of(body: Body) -> str:
    lines = _of_vectors(body) if body.dtype == "float32" else _of_numbers(body)
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]
    arguments = ", ".join(f"x{i}" for i in range(len(body.lies)))
    head = f"def fused_{digest}(first, last, N, {arguments + ', ' if arguments else ''}out):"
    return "\n".join([head, *(f"    {line}" for line in lines)]) + "\n"


def _indented(lines):
    return [f"    {line}" for line in lines]


def _steps(body: Body, form: str) -> list[str]:
    """One line for each operation."""
    start = len(body.lies) + len(body.constants)
    found = []
    for number, (name, reads) in enumerate(body.steps, start):
        words = getattr(ELEMENTWISE[name], form).format(*(f"v{read}" for read in reads))
        found.append(f"v{number} = {words}")
    return found


def _result(body: Body) -> str:
    return f"v{len(body.lies) + len(body.constants) + len(body.steps) - 1}"


def _of_lies(body: Body, *lies: str) -> list[int]:
    return [i for i, how in enumerate(body.lies) if how in lies]


def _of_vectors(body: Body) -> list[str]:
    """A vector at a time, and what is left of a row with its lanes masked."""
    begin = [f"v{i} = load_one(x{i}, 0)" for i in _of_lies(body, "scalar")]
    begin += [f"v{i} = broadcast(float32({value}))" for i, value in enumerate(body.constants, len(body.lies))]
    whole = [*_loads(body, "load({}, {})"), *_steps(body, "vector")]
    rest = [*_loads(body, "load_first({}, {}, N - i, broadcast(ZERO))"), *_steps(body, "vector")]
    result = _result(body)
    if body.sums:
        whole.append(f"total += {result}")
        inside = "load(LANE_NUMBERS, 0) < broadcast(float32(N - i))"
        rest.append(f"total += select({inside}, {result}, broadcast(ZERO))")
    else:
        whole.append(f"store(out, at + i, {result})")
        rest.append(f"store_first(out, at + i, {result}, N - i)")
    loop = [
        *(["total = broadcast(ZERO)"] if body.sums else []),
        *(f"v{i} = load_one(x{i}, m)" for i in _of_lies(body, "column")),
        "whole = N - N % n",
        "for i in range(0, whole, n):",
        *_indented(whole),
        "if whole < N:",
        *_indented(["i = whole", *rest]),
        *(["out[m] = sum_across(total)"] if body.sums else []),
    ]
    return ["n = width(out)", *begin, *_over_rows(body, loop)]


def _loads(body: Body, words: str) -> list[str]:
    full = [f"v{i} = " + words.format(f"x{i}", "at + i") for i in _of_lies(body, "full")]
    return full + [f"v{i} = " + words.format(f"x{i}", "i") for i in _of_lies(body, "row")]


def _of_numbers(body: Body) -> list[str]:
    """A number at a time."""
    begin = [f"v{i} = x{i}[0]" for i in _of_lies(body, "scalar")]
    begin += [f"v{i} = float64({value})" for i, value in enumerate(body.constants, len(body.lies))]
    each = [f"v{i} = x{i}[at + i]" for i in _of_lies(body, "full")]
    each += [f"v{i} = x{i}[i]" for i in _of_lies(body, "row")]
    each += [
        *_steps(body, "number"),
        f"total += {_result(body)}" if body.sums else f"out[at + i] = {_result(body)}",
    ]
    loop = [
        *(["total = 0.0"] if body.sums else []),
        *(f"v{i} = x{i}[m]" for i in _of_lies(body, "column")),
        "for i in range(N):",
        *_indented(each),
        *(["out[m] = total"] if body.sums else []),
    ]
    return [*begin, *_over_rows(body, loop)]


def _over_rows(body: Body, loop: list[str]) -> list[str]:
    """For each row; where rows are all alike, numbers first to last are one."""
    if body.by_rows:
        return ["for m in range(first, last):", *_indented(["at = m * N", *loop])]
    return ["at = first", "N = last - first", *loop]


@cache
def kernel(body: Body):
    """The machine code of a chain, made at its first call."""
    from coursekit.kernels.cpu.compiler import compiled, source_digest

    source = body.source
    name = source[4 : source.index("(")]
    # The file of machine code is named by what the code stands on: this source, and those of the vectors.
    place = f"<{name} {source_digest(Path(__file__).with_name('fused_words.py'))}>"
    words = _words()
    exec(compile(source, place, "exec"), words)
    linecache.cache[place] = (len(source), None, source.splitlines(True), place)
    return compiled(words[name])


def _words() -> dict:
    from coursekit.graph import fused_words

    return {**vars(fused_words), "__name__": __name__}


def bind(arrays, out, body: Body, shape):
    """A call without arguments that fills ``out``: flat arrays, how many numbers there are in a row, and a kernel."""
    N = math.prod(shape[len(shape) - max(body.sums, 1) :])
    rows = math.prod(shape) // max(N, 1)
    flat = [array.reshape(-1) for array in arrays]
    run = kernel(body)
    total, grain = (rows, GRAIN // max(N, 1) + 1) if body.by_rows else (math.prod(shape), GRAIN)
    return partial(_split, run, N, [*flat, out.reshape(-1)], total, grain)


def _split(run, N, arrays, total, grain):
    from coursekit.kernels.cpu.threads import get_num_threads, split

    if get_num_threads() == 1:
        return run(0, total, N, *arrays)
    return split(lambda i, j: run(i, j, N, *arrays), total, grain)


def run(*arrays, out, body: Body, shape):
    """Fill ``out`` with a chain's results; arrays that are not contiguous are copied."""
    whole = [np.ascontiguousarray(array) for array in arrays]
    target = out if out.flags.c_contiguous else np.empty_like(out, order="C")
    bind(whole, target, body, shape)()
    if target is not out:
        out[...] = target
