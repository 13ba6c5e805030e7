"""Using everything up: time, memory and processes. (Files and output: test_floods.py.)

Each payload is bounded by itself, too, so that a limit that fails harms nobody who runs these tests.
"""

import os

import psutil
import pytest

from tests.grading.attacks.attack import ALL, HONEST, SECONDS, Attack, when_called

END = "time.time() + 15"  # of a payload whose limit fails
MARK = f"98765{os.getpid()}"  # seconds that a child of an attack would sleep


def endless(lines: str, **options) -> Attack:
    """An answer to ``double`` that takes more time than it has."""
    return when_called(lines, "double", status="timeout", says=f"stopped after {SECONDS} s", **options)


TIMES = {
    "an endless loop": endless(f"end = {END}\nwhile time.time() < end:\n    pass", quick=True),
    "an endless loop at once": Attack(
        HONEST + "\nimport time\nend = time.time() + 15\nwhile time.time() < end: pass",
        status="timeout",
        says=f"stopped after {SECONDS} s",
    ),
    "an endless loop that swallows interrupts": endless(
        f"""
end = {END}
while time.time() < end:
    try:
        while time.time() < end:
            pass
    except BaseException:
        pass
""",
    ),
    "signals ignored": endless(
        f"""
for number in range(1, 65):
    try:
        signal.signal(number, lambda *args: None)
    except (OSError, ValueError):
        pass
end = {END}
while time.time() < end:
    pass
""",
    ),
    "a pattern that backtracks without end": endless("re.match(r'(a|aa|a?)+$', 'a' * 60 + 'b')"),
    "a power without end": endless("3 ** 10**9"),
    "a sum in C without end": endless("sum(range(10**12))"),
    "NumPy at work without end": endless(
        f"end = {END}\na = np.ones((3000, 3000))\nwhile time.time() < end:\n    a @ a"
    ),
    "asleep": endless("time.sleep(15)"),
    "locked": endless("lock = threading.Lock()\nlock.acquire()\nlock.acquire(timeout=15)"),
    "a wait for a child": endless("subprocess.run(['sleep', '15'])"),
    "an endless iterator": Attack(
        "import itertools\ndef double(x):\n    return zip(itertools.count(), x)", says="an object of type zip"
    ),
    "a value that is endless to look at": endless(
        """
class Endless(list):
    def __iter__(self):
        end = time.time() + 15
        while time.time() < end:
            pass
        return iter([])
return Endless()
""",
    ),
}

MEMORY = {
    "three gigabytes": when_called(
        "held = []\nfor _ in range(30):\n    held.append(np.ones(12_500_000))\n    time.sleep(0.02)",
        status="memory",
        says="more memory",
    ),
    "three gigabytes in children": when_called(
        """
children = []
for _ in range(6):
    child = os.fork()
    if child == 0:
        held = np.ones(62_500_000)
        time.sleep(2)
        os._exit(0)
    children.append(child)
time.sleep(2.5)
""",
        status="memory",
        says="more memory",
    ),
    "thirty gigabytes asked for": when_called("np.empty(30 * 10**9 // 8)", says="MemoryError"),
    "a number of a hundred million digits": Attack(
        "def double(x):\n    return 1 << 332_192_809", says="the returned number is too large"
    ),
    "a text of a hundred million letters": Attack(
        "def double(x):\n    return 'x' * 10**8", says="the returned text has 100000000 characters"
    ),
    "an array of a hundred million": Attack(
        "def double(x):\n    return np.zeros(10**8)", says="the returned array has 100000000 elements"
    ),
    "a list a hundred thousand deep": Attack(
        "def double(x):\n    deep = []\n    for _ in range(10**5):\n        deep = [deep]\n    return deep",
        says="nested more than 8 deep",
    ),
    "an endless recursion": Attack("def double(x):\n    return double(x)", says="RecursionError"),
    "memory that processes share": when_called(
        "with open('/dev/shm/full', 'wb') as file:\n    for _ in range(200):\n        file.write(bytes(10**6))",
        says="No space left on device|File too large",
    ),
}

PROCESSES = {
    "a fork bomb": when_called(
        """
for _ in range(300):
    try:
        child = os.fork()
    except OSError:
        continue
    if child == 0:
        time.sleep(2)
        os._exit(0)
time.sleep(2)
""",
        status="processes",
        says="more processes or threads",
        quick=True,
    ),
    "threads": when_called(
        """
for _ in range(300):
    threading.Thread(target=time.sleep, args=(2,), daemon=True).start()
time.sleep(2)
""",
        status="processes",
        says="more processes or threads",
    ),
    "open files": when_called("held = [open('/dev/null') for _ in range(3000)]", says="Too many open files"),
    "a child that stays": when_called(
        f"subprocess.Popen(['sleep', '{MARK}'], start_new_session=True)", points=ALL, status="right"
    ),
}

ATTACKS = TIMES | MEMORY | PROCESSES


def test_limits_hold(attack, graded):
    ATTACKS[attack].verify(graded[attack])


@pytest.mark.slow
def test_nothing_stays_behind(graded, neighbours):
    assert [result.points for result in neighbours] == [sum(ALL)] * 2
    left = [p.info["cmdline"] for p in psutil.process_iter(["cmdline"]) if MARK in (p.info["cmdline"] or ())]
    assert left == []
