"""Ending the process, by every way out: it costs the task that did it, and nobody else."""

import pytest

from tests.grading.attacks.attack import ALL, HONEST, Attack

DIED = {"status": "died", "says": "ended the Python process"}


def at_once(line: str, **options) -> Attack:
    """An answer cell that ends the process as it is run."""
    return Attack(f"import ctypes, os, signal, sys\n{HONEST}\n{line}", **(DIED | options))


def when_called(line: str, **options) -> Attack:
    """An answer that ends the process when it is called."""
    source = f"import ctypes, os, signal, sys\ndef double(x):\n    {line}\n    return 2 * np.asarray(x)"
    return Attack(source, **(DIED | options))


ATTACKS = {
    "os._exit": at_once("os._exit(0)", quick=True),
    "os._exit, when called": when_called("os._exit(0)"),
    "a kill of itself": when_called("os.kill(os.getpid(), signal.SIGKILL)"),
    "a kill of everything": when_called(
        "os.kill(-1, signal.SIGKILL)", status="wrong", says="ProcessLookupError"
    ),
    "a kill of the process above": when_called(
        "os.kill(1, signal.SIGKILL)", points=ALL, status="right", says="right"
    ),
    "a stop of itself": when_called(
        "os.kill(os.getpid(), signal.SIGSTOP)", status="timeout", says="stopped after 2 s"
    ),
    "a segmentation fault": when_called("ctypes.string_at(0)"),
    "an abort": when_called("os.abort()"),
    "another program in its place": when_called(
        "os.execv('/bin/sleep', ['sleep', '5'])", status="garbled", says="broke the connection"
    ),
    "all descriptors closed": when_called("os.closerange(0, 1024)"),
    "an endless recursion in C": when_called(
        "sys.setrecursionlimit(10**9); R = type('R', (), {'__repr__': lambda s: repr(s)}); repr(R())"
    ),
    "the kernel shut down": when_called(
        "k = get_ipython().kernel; k.do_shutdown(False); k.io_loop.add_callback(k.io_loop.stop)",
        status="died|timeout|garbled",
        says="ended|stopped",
    ),
    "the kernel's loop stopped": at_once(
        "get_ipython().kernel.io_loop.stop()", status="died|timeout|garbled", says="ended|stopped"
    ),
    "the kernel's socket closed": when_called(
        "get_ipython().kernel.iopub_thread.socket.close()",
        status="garbled|timeout|died",
        says="broke the connection|stopped|ended",
    ),
    "a child in its place": when_called("os.fork() and os._exit(0)"),
    "sys.exit": when_called("sys.exit(0)", status="wrong", says="judging stopped with SystemExit"),
    "sys.exit at once": at_once("sys.exit(0)", status="error", says="SystemExit"),
    "quit": at_once("quit()", status="right", says="right", points=ALL),
    "exit, without a call": at_once("exit", status="right", says="right", points=ALL),
    "an interrupt": when_called(
        "raise KeyboardInterrupt", status="wrong", says="judging stopped with KeyboardInterrupt"
    ),
    "an exception that nobody catches": when_called(
        "raise BaseException('out')", status="wrong", says="judging stopped with BaseException"
    ),
    "an end when Python ends": at_once(
        "import atexit; atexit.register(os._exit, 7)", points=ALL, status="right", says="right"
    ),
}


def test_an_end_costs_one_task(attack, graded):
    ATTACKS[attack].verify(graded[attack])


@pytest.mark.slow
def test_neighbours_keep_their_marks(neighbours):
    assert [result.points for result in neighbours] == [sum(ALL)] * 2
