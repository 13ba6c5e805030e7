"""What an answer leaves running, and what it asks of a person who is not there."""

import os

import psutil
import pytest

from tests.grading.attacks.attack import ALL, HONEST, RIGHT, Attack

MARK = f"98764{os.getpid()}"  # seconds that a child of an attack would sleep
SLOW = "import time\ntime.sleep(0.6)\n" + RIGHT["total"]  # so that there is a later for what comes later


def leaving(lines: str, **options) -> Attack:
    """A right answer whose cell leaves something behind, before a second one that takes its time."""
    options = {"answers": {"total": SLOW}, "points": ALL, "status": "right"} | options
    return Attack(f"import os, subprocess, sys, threading, time\n{lines.strip()}\n\n\n{HONEST}", **options)


def asking(line: str, **options) -> Attack:
    return Attack(f"import getpass, sys\ndef double(x):\n    return {line}", **options)


ATTACKS = {
    "a thread that ends the process later": leaving(
        "threading.Timer(0.3, os._exit, [1]).start()", quick=True
    ),
    "a process that ends the process later": leaving(
        "parent = os.getpid()\nif os.fork() == 0:\n    time.sleep(0.3)\n    os.kill(parent, 9)\n    os._exit(0)"
    ),
    "a thread that prints later": leaving(
        """
def later():
    for _ in range(50):
        time.sleep(0.01)
        print("right " * 100)
threading.Thread(target=later, daemon=True).start()
"""
    ),
    "a thread that displays values later": leaving(
        """
from IPython.display import display
def later():
    time.sleep(0.2)
    for _ in range(20):
        time.sleep(0.01)
        value = {"case": "drawn", "value": {"kind": "bool", "value": True}}
        display({"application/vnd.coursekit.value+json": value}, raw=True)
threading.Thread(target=later, daemon=True).start()
"""
    ),
    "a process that stays": leaving(f"subprocess.Popen(['sleep', '{MARK}'], start_new_session=True)"),
    "a process that stays, twice removed": leaving(
        f"""
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execv("/bin/sleep", ["sleep", "{MARK}"])
    os._exit(0)
os.wait()
"""
    ),
    "a fork that becomes a second kernel": leaving(
        "if os.fork() == 0:\n    time.sleep(0.2)\n    get_ipython().kernel.io_loop.add_callback(lambda: None)\n"
        "    os._exit(0)"
    ),
    "a handler for the end of Python": leaving("import atexit\natexit.register(time.sleep, 15)"),
    "an alarm for later": leaving(
        "import signal\nsignal.signal(signal.SIGALRM, lambda *args: os._exit(1))\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.4)"
    ),
    "threads that never rest": leaving(
        "def spin():\n    end = time.time() + 10\n    while time.time() < end:\n        pass\n"
        "for _ in range(3):\n    threading.Thread(target=spin, daemon=True).start()"
    ),
    "a thread that keeps the lock of Python": leaving(
        "sys.setswitchinterval(30)\ndef spin():\n    end = time.time() + 25\n    while time.time() < end: pass\n"
        "threading.Thread(target=spin, daemon=True).start()\ntime.sleep(0.01)",
        points=(0, 2, 3),
        status="timeout",
        says="stopped after",
    ),
    "a flood that comes later": leaving(
        """
def later():
    time.sleep(0.3)
    while True:
        print("x" * 100_000)
        time.sleep(0.001)
threading.Thread(target=later, daemon=True).start()
""",
    ),
    "files that are written later": leaving(
        """
def later():
    time.sleep(0.3)
    for n in range(5000):
        open(f"{n}.txt", "w").close()
threading.Thread(target=later, daemon=True).start()
""",
        answers={"total": "import time\ntime.sleep(1)\n" + RIGHT["total"]},
    ),
    "a question": asking("input('your name? ')", says="StdinNotImplementedError"),
    "a question for a password": asking("getpass.getpass()", says="StdinNotImplementedError|raised"),
    "a line read": asking("sys.stdin.readline()", says="got '', wanted|raised"),
    "a question at the terminal": asking("open('/dev/tty').readline()", says="raised OSError"),
    "a debugger": Attack(
        "def double(x):\n    breakpoint()\n    return 2 * np.asarray(x)",
        status="wrong|timeout|error",
        says="",
    ),
}


def test_what_comes_later_costs_nobody_else(attack, graded):
    ATTACKS[attack].verify(graded[attack])


@pytest.mark.slow
def test_nothing_stays_behind(graded, neighbours):
    assert [result.points for result in neighbours] == [sum(ALL)] * 2
    left = [p.info["cmdline"] for p in psutil.process_iter(["cmdline"]) if MARK in (p.info["cmdline"] or ())]
    assert left == []
