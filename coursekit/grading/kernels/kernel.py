"""The one place that starts a kernel to grade in, and the loop that talks with it."""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty

from nbval.kernel import CURRENT_ENV_KERNEL_NAME, RunningKernel

from coursekit.grading.judge import MIME

POLL_S = 0.1
MAX_OUTPUT_BYTES = 8_000_000


@dataclass
class Execution:
    """What became of one cell: ``status`` is 'ok', 'error', or one after which the kernel is gone:
    'timeout', 'died', 'flooded', or 'garbled' (it sent what is no Jupyter message)."""

    status: str = "ok"
    seconds: float = 0.0
    values: list[dict] = field(default_factory=list)
    text: str = ""
    error: str = ""


def start_kernel(workdir: Path) -> "GradingKernel":
    """A fresh kernel of this Python, at work in a private empty folder.

    Isolation goes here: nothing else in the package starts a kernel for a submission.
    """
    settings = {"IPYTHONDIR": str(workdir / ".ipython"), "MPLBACKEND": "agg", "PYTHONDONTWRITEBYTECODE": "1"}
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        return GradingKernel(CURRENT_ENV_KERNEL_NAME, cwd=str(workdir))
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


class GradingKernel(RunningKernel):
    """nbval's kernel, read while it works: a death, a time-out or a flood is noticed within a second."""

    def run(self, source: str, timeout: float) -> Execution:
        """Execute one cell. Unless the status is 'ok' or 'error' the kernel is of no further use."""
        result, started, size = Execution(), time.perf_counter(), 0
        message_id = self.execute_cell_input(source, allow_stdin=False)
        while True:
            result.seconds = time.perf_counter() - started
            if result.seconds > timeout:
                result.status = "timeout"
                return result
            try:
                message = self.get_message("iopub", timeout=POLL_S)
                if message["parent_header"].get("msg_id") != message_id:
                    continue
                kind, content = message["msg_type"], message["content"]
                if kind == "status" and content.get("execution_state") == "idle":
                    return result
                size += self._take(result, kind, content)
            except Empty:
                if not self.is_alive():
                    result.status = "died"
                    return result
            except Exception:
                result.status = "garbled"
                return result
            if size > MAX_OUTPUT_BYTES:
                result.status = "flooded"
                return result

    @staticmethod
    def _take(result: Execution, kind: str, content: dict) -> int:
        """Keep what a message holds; returns its size in bytes, roughly."""
        if kind == "stream":
            result.text = (result.text + str(content.get("text", "")))[-4000:]
            return len(str(content.get("text", "")))
        if kind == "error":
            result.status = "error"
            result.error = f"{content.get('ename')}: {content.get('evalue')}"[:500]
        if kind in ("display_data", "execute_result"):
            data = content.get("data", {})
            if MIME in data:
                result.values.append(data[MIME])
            else:
                result.text = (result.text + str(data.get("text/plain", "")) + "\n")[-4000:]
            return sum(len(str(value)) for value in data.values())
        return 0

    def kill(self) -> None:
        """End the kernel whatever state it is in."""
        if hasattr(self, "km"):
            self.stop()
