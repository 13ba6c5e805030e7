"""The CUDA backend, in a process of its own: on the GPU where there is one, else in Numba's simulator."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from numba import cuda

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def run(*arguments, simulator):
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith(("NUMBA_ENABLE_CUDASIM", "PYTEST_"))
    }
    if simulator:
        environment["NUMBA_ENABLE_CUDASIM"] = "1"
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900
    )


@pytest.mark.slow
def test_the_cuda_backend():
    files = [str(HERE / name) for name in ("cuda_device.py", "cuda_products.py")]
    has_gpu = not os.environ.get("NUMBA_ENABLE_CUDASIM") and cuda.is_available()
    options = ("-q", "--tb=short", "-p", "no:cacheprovider", *(() if has_gpu else ("-n", "2")))
    done = run("-m", "pytest", *options, *files, simulator=not has_gpu)
    passed = re.search(r"(\d+) passed", done.stdout)
    if done.returncode or not passed or int(passed[1]) < 500:
        pytest.fail(
            f"{HERE.name} on the device, in a process of its own:\n{done.stdout}\n{done.stderr}",
            pytrace=False,
        )


def test_without_a_gpu_one_sentence_says_so():
    if cuda.is_available():
        pytest.skip("there is a GPU here, or the simulator is on")
    code = "import numpy as np; from coursekit.kernels import cuda; x = np.ones((2, 2)); cuda.matmul(x, x)"
    done = run("-c", code, simulator=False)
    *_, last = done.stderr.strip().splitlines()
    assert last.startswith("RuntimeError: no CUDA GPU was found; set NUMBA_ENABLE_CUDASIM=1")
    assert done.stderr.count("Error") == 2  # the raise, and the message
