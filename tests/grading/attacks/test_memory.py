"""The grader's own memory, whatever it is sent to read."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.grading.attacks.gluttons import KERNELS, write_all

MOST_MB = 400


@pytest.fixture(scope="module")
def sizes(needs_sandbox, tmp_path_factory) -> dict[str, list]:
    folder = tmp_path_factory.mktemp("gluttons")
    write_all(folder)
    command = [sys.executable, "-m", "tests.grading.attacks.gluttons", str(folder)]
    top = Path(__file__).parents[3]
    done = subprocess.run(command, cwd=top, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.slow
def test_the_grader_stays_small(sizes):
    most = {name: size for name, (size, _) in sizes.items()}
    assert most.pop("before") < 250, "what it takes before anything hostile leaves little room"
    assert max(most.values()) < MOST_MB, most


@pytest.mark.slow
@pytest.mark.parametrize("name", KERNELS)
def test_a_glutton_is_stopped(sizes, name):
    _, message = sizes[name]
    assert "was stopped" in message


@pytest.mark.slow
def test_large_notebooks_are_read_or_refused(sizes):
    assert "too many values" in sizes["too many values"][1]
    assert "not defined" in sizes["wide characters"][1]
