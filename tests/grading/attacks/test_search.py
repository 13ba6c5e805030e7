"""Sources that are short to write and long to search: the search for forbidden calls runs in the grader itself."""

import subprocess
import sys

import pytest

SECONDS = 30
MOST_MB = 300
SEARCH = """
import resource, sys
resource.setrlimit(resource.RLIMIT_DATA, (2 * 10**9, 2 * 10**9))  # this machine's, should the search fail
from coursekit.grading.exercise.forbidden import find_forbidden
find_forbidden(eval(sys.argv[1]), ("numpy.sum", ".sum", "sum", "math.fsum"))
status = open("/proc/self/status").read() if sys.platform == "linux" else "VmHWM: 0"
print(int(status.split("VmHWM:")[1].split()[0]) // 1000)
"""
SOURCES = {
    "a name that doubles its meanings": "'\\n'.join(f'a = a.f{i}' for i in range(40))",
    "names that multiply one another": "'\\n'.join(f'a{i % 7} = a{i % 5}.f{i}' for i in range(400))",
    "a name that grows": "'a = a.x\\n' * 3000",
    "walruses": "'\\n'.join(f'(a := a.f{i})' for i in range(40))",
    "400 magics": "'%time 1\\n' * 400",
    "600 magics": "'%time 1\\n' * 600",
    "600 calls of the shell": "'x = !ls\\n' * 600",
    "600 questions": "'x?\\n' * 600",
    "50,000 lines": "'x = 1\\n' * 30_000",
    "20,000 texts": "'x = [\"sum0\"]\\n' * 15_000",
    "a number of 200,000 digits": "'9' * 200_000",
    "10,000 attributes": "'x' + '.a' * 10_000",
    "a sum of 100,000": "'0' + ' + 0' * 60_000",
    "parentheses": "'(' * 100_000",
    "brackets of all kinds": "'({[' * 30_000",
}


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_a_search_ends(source):
    done = subprocess.run(
        [sys.executable, "-c", SEARCH, source], capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stderr[-300:]
    assert int(done.stdout) < MOST_MB
