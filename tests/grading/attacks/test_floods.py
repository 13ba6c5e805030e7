"""Filling everything up: the disk, the connection, the page of feedback, and what reads a source.

Each payload is bounded by itself, too, so that a limit that fails harms nobody who runs these tests.
"""

import pytest

from tests.grading.attacks.attack import ALL, HONEST, Attack, when_called

FLOOD = {"status": "flooded", "says": "printed or displayed too much"}
FILES = {"status": "disk", "says": "more files or bytes"}
END = "time.time() + 15"  # of a payload whose limit fails

DISK = {
    "many files": when_called(
        "for n in range(5000):\n    open(f'{n}.txt', 'w').close()\ntime.sleep(1)", quick=True, **FILES
    ),
    "a farm of links": when_called(
        "for n in range(5000):\n    os.symlink('/', f'link{n}')\ntime.sleep(1)", **FILES
    ),
    "a file of 100 MB": when_called(
        "with open('large', 'wb') as file:\n    for _ in range(100):\n        file.write(bytes(10**6))",
        says="File too large",
    ),
    "400 MB in files": when_called(
        "for n in range(8):\n    with open(f'large{n}', 'wb') as file:\n        file.write(bytes(5 * 10**7))",
        says="No space left on device",
    ),
    "400 MB in files without a name": when_called(
        """
held = []
for n in range(8):
    file = open("large", "wb", buffering=0)
    held.append(file)
    os.unlink("large")
    if file.write(bytes(5 * 10**7)) < 5 * 10**7:
        raise OSError("full")
""",
        says="full|No space left",
    ),
    "400 MB at the end of a long path": when_called(
        """
for _ in range(30):
    os.mkdir("d" * 200)
    os.chdir("d" * 200)
for n in range(8):
    with open(f"large{n}", "wb") as file:
        file.write(bytes(5 * 10**7))
""",
        says="No space left on device",
    ),
    "400 MB where nobody may look": when_called(
        """
os.makedirs("dark", 0o300, exist_ok=True)
for n in range(8):
    with open(f"dark/large{n}", "wb") as file:
        file.write(bytes(5 * 10**7))
""",
        says="No space left on device",
    ),
    "folders 1,500 deep": when_called(
        "if os.getcwd() == '/tmp':\n    for _ in range(1500):\n        os.mkdir('d')\n        os.chdir('d')",
        points=ALL,
        status="right",
    ),
}

OUTPUT = {
    "100,000 displays": when_called(
        "from IPython.display import display\nfor _ in range(100_000):\n    display(1)",
        "double",
        status="flooded|timeout",
        says="too much|stopped after",
    ),
    "500 MB printed": when_called(
        "for _ in range(5000):\n    print('x' * 100_000)\n    time.sleep(0.001)", quick=True, **FLOOD
    ),
    "500 MB written past Python": when_called(
        "for _ in range(5000):\n    os.write(1, b'x' * 100_000)\n    time.sleep(0.001)", **FLOOD
    ),
    "500 MB written as errors": when_called(
        "for _ in range(5000):\n    os.write(2, b'x' * 100_000)\n    time.sleep(0.001)", **FLOOD
    ),
    "a line of 200 MB": when_called("print('x' * 2 * 10**8)", **FLOOD),
    "an exception of 20 MB": Attack("raise ValueError('x' * 2 * 10**7)", **FLOOD),
    "an exception of 20 MB, when called": when_called("raise ValueError('x' * 2 * 10**7)", **FLOOD),
    "a repr of 20 MB": Attack(
        HONEST + "\nclass Large:\n    __repr__ = lambda self: 'x' * 2 * 10**7\nLarge()", **FLOOD
    ),
    "a display of 20 MB": when_called(
        "from IPython.display import HTML, display\ndisplay(HTML('x' * 2 * 10**7))", **FLOOD
    ),
    "messages that are no output": when_called(
        """
kernel = get_ipython().kernel
for _ in range(100):
    content = {"comm_id": "x", "data": "x" * 10**6}
    kernel.session.send(kernel.iopub_socket, "comm_msg", content, parent=kernel.get_parent())
""",
        **FLOOD,
    ),
    "bytes beside a message": when_called(
        """
kernel = get_ipython().kernel
for _ in range(100):
    kernel.session.send(
        kernel.iopub_socket, "comm_msg", {}, parent=kernel.get_parent(), buffers=[bytes(10**6)])
""",
        **FLOOD,
    ),
    "a message that does not end": when_called(
        """
import zmq
def endless():
    socket = get_ipython().kernel.iopub_thread.socket
    chunk = b"x" * 10**6
    for _ in range(2000):
        socket.send(chunk, zmq.SNDMORE, copy=False)
    socket.send(b"")
get_ipython().kernel.iopub_thread.schedule(endless)
time.sleep(15)
""",
        status="flooded|timeout",
        says="too much|stopped after",
    ),
    "replies to nothing": when_called(
        f"""
kernel, end = get_ipython().kernel, {END}
ident = kernel.get_parent("shell").get("identities") or kernel._parent_ident["shell"]
while time.time() < end:
    kernel.session.send(kernel.shell_stream or kernel.shell_socket, "execute_reply", dict(status="ok"), ident=ident)
""",
        "double",
        status="flooded|timeout",
        says="too much|stopped after",
    ),
    "values of 50 MB": when_called(
        "return [np.zeros(90_000) for _ in range(70)]", status="flooded", says="printed or displayed too much"
    ),
}

SOURCES = {
    "parentheses 10,000 deep": Attack(
        "def double(x):\n    return " + "(" * 10_000 + "x" + ")" * 10_000, status="error"
    ),
    "a sum of 10,000 terms": Attack(
        "def double(x):\n    return 2 * np.asarray(x)" + " + 0" * 10_000,
        status="error",
        says="nested too deeply",
    ),
    "a number of a million digits": Attack("n = " + "9" * 10**6 + "\n" + HONEST, status="error|timeout"),
    "a source of 190 KB": Attack(HONEST + "\n#" + "x" * 190_000, points=ALL, status="right"),
    "a source of 5 MB": Attack(HONEST + "\n#" + "x" * 5 * 10**6, points=ALL, status="right"),
    "a name with 10,000 attributes": Attack(
        "def total(x):\n    return x" + ".a" * 10_000,
        task="total",
        points=(1, 0, 0),
        status="refused",
        says="too deeply to be looked through",
    ),
}

ATTACKS = DISK | OUTPUT | SOURCES


def test_limits_hold(attack, graded):
    ATTACKS[attack].verify(graded[attack])


@pytest.mark.slow
def test_neighbours_keep_their_marks(neighbours):
    assert [result.points for result in neighbours] == [sum(ALL)] * 2
