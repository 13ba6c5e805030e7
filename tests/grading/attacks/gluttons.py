"""Submissions that want the memory of the grader itself.

``python -m tests.grading.attacks.gluttons FOLDER`` marks them in this process, and says how large it was after each.
"""

import json
import sys
from pathlib import Path

from coursekit.grading.exercise.key import load_key
from coursekit.grading.exercise.notebook import MAX_MB, MAX_VALUES
from coursekit.grading.kernels.kernel import Isolation
from coursekit.grading.kernels.pool import Pool
from coursekit.grading.marking.grade import expected
from coursekit.grading.marking.notebook import mark_file
from tests.grading.attacks.attack import NAME, Attack, Course, write_key

SEND = """
import json, zmq
kernel = get_ipython().kernel
def send(kind, text, **options):
    kernel.session.pack = lambda value: value if isinstance(value, bytes) else json.dumps(value, default=str).encode()
    kernel.session.send(kernel.iopub_socket, kind, text, parent=kernel.get_parent(), **options)
"""
VALUE = '{"data": {"application/vnd.coursekit.value+json": {"case": "drawn", "value": %s}}, "metadata": {}}'


def sending(lines: str) -> Attack:
    body = "\n".join("    " + line for line in lines.strip().splitlines())
    return Attack(f"{SEND}\ndef double(x):\n{body}\n    return 2 * np.asarray(x)")


KERNELS = {
    "a value of a million lists": sending(
        f"send('display_data', ({VALUE!r} % ('[' + '[],' * 2_500_000 + '[]]')).encode())"
    ),
    "a value of a million objects": sending(
        f"send('display_data', ({VALUE!r} % ('[' + '{{\"\":0}},' * 1_000_000 + '0]')).encode())"
    ),
    "many such values": sending(
        f"for _ in range(10):\n    send('display_data', ({VALUE!r} % ('[' + '[],' * 240_000 + '[]]')).encode())"
    ),
    "a message that does not end": sending(
        """
def endless():
    chunk = b"x" * 10**6
    for _ in range(2000):
        kernel.iopub_thread.socket.send(chunk, zmq.SNDMORE, copy=False)
    kernel.iopub_thread.socket.send(b"")
kernel.iopub_thread.schedule(endless)
import time; time.sleep(5)
"""
    ),
    "buffers": sending("for _ in range(60):\n    send('comm_msg', b'{}', buffers=[bytes(7_000_000)])"),
    "500 MB printed": sending(
        "import time\nfor _ in range(5000):\n    print('x' * 100_000)\n    time.sleep(0.001)"
    ),
    "an exception of 50 MB": sending("raise ValueError('x' * 5 * 10**7)"),
    "messages that nobody asked for": sending(
        "for _ in range(200):\n    kernel.session.send(kernel.iopub_socket, 'status', {'x': 'y' * 10**6})"
    ),
}


def write_all(folder: Path) -> None:
    """The key, and all the notebooks. Not in the process that is measured: writing them takes memory, too."""
    write_key(folder / "solutions")
    for name, attack in KERNELS.items():
        attack.hand_in(folder / name, Course(folder / "solutions", folder, {}))
    source = "# 😀" + "x" * (MAX_MB * 10**6 - 1000)
    wide = {"nbformat": 4, "cells": [{"cell_type": "code", "id": "answer-double", "source": source}]}
    files = {
        "as many values as are read": b'{"nbformat": 4, "cells": ['
        + b'{"":0},' * (MAX_VALUES // 2 - 10)
        + b"0]}",
        "too many values": b'{"nbformat": 4, "cells": [' + b"[]," * (MAX_MB * 330_000) + b"[]]}",
        "wide characters": json.dumps(wide, ensure_ascii=False).encode(),
    }
    for name, content in files.items():
        (folder / name).mkdir()
        (folder / name / f"{NAME}.ipynb").write_bytes(content)


def main(folder: Path) -> None:
    key = load_key(folder / "solutions" / f"{NAME}.ipynb")
    with Pool(Isolation(sandboxed=True), ahead=1) as pool:
        wanted = expected(key, 7, pool=pool)
        told = {"before": (most(), "")}
        for path in sorted(folder.glob(f"*/{NAME}.ipynb")):
            if path.parent.name != "solutions":
                result = mark_file(key, path, wanted, 7, pool=pool)
                told[path.parent.name] = most(), result.marks[0].message if result.marks else result.message
    print(json.dumps(told))


def most() -> float:
    """The largest that this process has been, in MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6


if __name__ == "__main__":
    main(Path(sys.argv[1]))
