"""Faults that can be seen in a kernel's source: two shared arrays on one line, which the simulator makes one array."""

import ast
from pathlib import Path

import pytest

from coursekit.kernels import cuda

FILES = sorted(Path(cuda.__file__).parent.glob("*.py"))


def shared_arrays_on_one_line(source: str) -> list[int]:
    """Lines with more than one call of ``cuda.shared.array``."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    lines = [call.lineno for call in calls if ast.unparse(call.func).endswith("shared.array")]
    return sorted({line for line in lines if lines.count(line) > 1})


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_each_shared_array_has_a_line_of_its_own(file):
    assert shared_arrays_on_one_line(file.read_text()) == []


def test_the_fault_is_seen():
    """Numba's simulator tells shared arrays apart by the line that asks for them."""
    line = "a, b = cuda.shared.array(8, float32), cuda.shared.array(8, float32)\n"
    assert shared_arrays_on_one_line(f"x = 1\n{line}") == [2]
    assert shared_arrays_on_one_line(line.replace(", cuda", "\nc = cuda").replace("a, b", "a")) == []
