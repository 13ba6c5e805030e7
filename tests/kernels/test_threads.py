"""Threads of the CPU kernels: the same bits for any number of them, and nobody else's setting touched."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch

from coursekit.kernels import cpu
from coursekit.kernels.cpu.threads import split


@pytest.fixture(autouse=True)
def restored():
    before = cpu.get_num_threads()
    yield
    cpu.set_num_threads(before)


def test_one_thread_unless_more_are_asked_for():
    assert cpu.get_num_threads() == 1


@pytest.mark.parametrize("number", [1, 2, 3, 7])
@pytest.mark.parametrize("total", [0, 1, 9, 10, 20, 21, 99, 100])
def test_parts_cover_everything_once(number, total):
    cpu.set_num_threads(number)
    done, lock = [], threading.Lock()

    def work(start, stop):
        with lock:
            done.append((start, stop))

    split(work, total, 10)
    assert sorted(i for part in done for i in range(*part)) == list(range(total))
    assert len(done) <= number
    assert all((stop - start) % 10 == 0 or stop == total for start, stop in done)
    assert all(stop - start >= 10 for start, stop in done if total >= 10)


@pytest.mark.parametrize("which", [0, 50])
def test_an_error_of_a_part_is_raised(which):
    cpu.set_num_threads(2)

    def work(start, stop):
        if start == which:
            raise MemoryError("no room")

    with pytest.raises(MemoryError, match="no room"):
        split(work, 100, 10)


@pytest.mark.parametrize(
    ("number", "error", "words"),
    [(0, ValueError, "1 or more; got 0"), (-2, ValueError, "got -2"), (1.0, TypeError, "an int; got float")],
)
def test_wrong_numbers(number, error, words):
    with pytest.raises(error, match=words):
        cpu.set_num_threads(number)


@pytest.mark.parametrize("M", [12, 96, 191, 192, 193, 500])
def test_matmul_gives_the_same_bits(M):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((M, 300), np.float32), rng.standard_normal((300, 70), np.float32)
    results, before = [], torch.get_num_threads()
    for number in (1, 2, 3, 5):
        cpu.set_num_threads(number)
        results.append(cpu.matmul(a, b))
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])
    assert torch.get_num_threads() == before


AFTER_FORK = """
import os, signal
import numpy as np
from coursekit.kernels import cpu
cpu.set_num_threads(2)
a = np.ones((400, 40), np.float32)
cpu.matmul(a, a.T)
child = os.fork()
if child == 0:
    signal.alarm(60)  # ends the child where it waits for threads that it does not have
    os._exit(0 if (cpu.matmul(a, a.T) == 40).all() else 1)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_has_threads_of_its_own():
    assert subprocess.run([sys.executable, "-c", AFTER_FORK], timeout=120).returncode == 0
