"""The one place that starts a kernel to grade in, and the loop that talks with it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from shutil import rmtree

import psutil
import zmq
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.connect import write_connection_file

from coursekit.grading.judge import MIME
from coursekit.grading.kernels import cgroup, sandbox, watchdog
from coursekit.grading.kernels.cgroup import Group
from coursekit.grading.kernels.limits import Limits

PREFIX = "ck"  # of a kernel's folder
POLL_S = 0.05
WATCH_S = 0.2
START_S = 30.0
GRACE_S = 1.0
MAX_MESSAGE_BYTES = 16_000_000
GONE = ("timeout", "died", "flooded", "garbled", "memory", "processes", "disk")


@dataclass
class Execution:
    """What became of one cell: ``status`` is 'ok', 'error', or one of ``GONE``, after which the kernel is of no
    use: 'timeout', 'died', 'garbled' (it sent what is no Jupyter message), 'flooded' (it sent too much), or the
    limit that it exceeded. ``seconds`` is wall time between sending the cell and its end, taken out here."""

    status: str = "ok"
    seconds: float = 0.0
    values: list[dict] = field(default_factory=list)
    text: str = ""
    error: str = ""


@dataclass(frozen=True)
class Isolation:
    """How kernels are kept apart. Without `sandboxed` they run as the user, unbound; `hide` are paths that a
    sandboxed kernel must not see wherever they stand."""

    sandboxed: bool = False
    hide: tuple[Path, ...] = ()
    limits: Limits = field(default_factory=Limits)

    @property
    def name(self) -> str:
        return "bubblewrap" if self.sandboxed else "none"


class GradingKernel:
    """A kernel of this Python in a private empty folder, read while it works: whatever goes wrong in it is
    noticed within a second. It is started at once; :meth:`wait` for it before the first :meth:`run`."""

    def __init__(self, isolation: Isolation) -> None:
        self.isolation = isolation
        # The owner's number tells sweep() whose folder it is; the path of a socket has to be short.
        self.folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}-{os.getpid()}-"))
        transport = "tcp" if sys.platform == "win32" else "ipc"
        ip = "127.0.0.1" if transport == "tcp" else str(self.folder / "s")
        file, info = write_connection_file(str(self.folder / "connection.json"), ip=ip, transport=transport)
        limits = json.dumps(asdict(isolation.limits) if isolation.sandboxed else None)
        argv = [sys.executable, "-I", "-m", "coursekit.grading.kernels.launch", file, limits]
        self.group = Group(self.folder.name, isolation.limits) if isolation.sandboxed else None
        if isolation.sandboxed:
            argv = self.group.wrap(sandbox.command(self.folder, argv, isolation.hide))
        self.log = tempfile.TemporaryFile()  # noqa: SIM115  (closed by kill)
        self.process = subprocess.Popen(
            argv,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self.log,
            start_new_session=True,
            env=None if isolation.sandboxed else os.environ | {"JPY_PARENT_PID": str(os.getpid())},
        )
        self.context = zmq.Context()
        self.context.maxmsgsize, self.context.rcvhwm, self.context.linger = MAX_MESSAGE_BYTES, 4, 0
        self.client = BlockingKernelClient(context=self.context)
        self.client.load_connection_info(info)
        self.watched = 0.0

    def wait(self) -> None:
        """Return when the kernel is ready and its output is listened to. Raises RuntimeError where it does not
        start."""
        self.client.start_channels(shell=True, iopub=True, stdin=False, hb=False, control=False)
        until = time.monotonic() + START_S
        while not (self._has("iopub") and self._next()["msg_type"] == "iopub_welcome"):
            if self.process.poll() is not None or time.monotonic() > until:
                self.log.seek(0)
                said = self.log.read(2000).decode("utf-8", "replace").strip()
                self.kill()
                last = said.splitlines()[-1] if said else "it said nothing"
                raise RuntimeError(f"a kernel did not start: {last}")
        self.losses = self.client.iopub_channel.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)

    def run(self, source: str, timeout: float) -> Execution:
        """Execute one cell; `timeout` in seconds. After a status of ``GONE`` the kernel has to be killed."""
        result, started = Execution(), time.perf_counter()
        message_id = self.client.execute(source, store_history=False, allow_stdin=False, stop_on_error=False)
        reader = _Reader(result, message_id, self.isolation.limits)
        replied = None
        while not reader.done:
            now = time.perf_counter()
            if self._has("iopub"):
                reader.take(self._next)
            elif self._is_over():
                result.status = self._why_gone("died")
            elif self.losses.poll(0):  # zmq ends the connection at a message of more than MAX_MESSAGE_BYTES
                result.status = "died" if self._is_over(GRACE_S) else "flooded"
            elif replied is None and self._replied(message_id):
                replied = now
            elif replied is not None and now - replied > GRACE_S:
                result.status = "garbled"
            if result.status in GONE:
                break
            if now - started > timeout:
                result.status = "timeout"
            elif now - self.watched > WATCH_S:
                self.watched = now
                result.status = self._why_gone("") or result.status
        result.seconds = time.perf_counter() - started
        return result

    def pause(self) -> None:
        """Stop every process of the kernel until :meth:`resume`, so that it takes no time from another's turn."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the kernel, whatever state it is in, with all its processes, and remove what it wrote."""
        family = [] if self.isolation.sandboxed else watchdog.family(self.process.pid)
        self.process.kill()  # bubblewrap takes its whole sandbox with it
        for process in family:
            with contextlib.suppress(Exception):
                process.kill()
        self.process.wait()
        if self.client.channels_running:
            self.client.iopub_channel.socket.disable_monitor()
        self.client.stop_channels()
        self.context.destroy(linger=0)
        self.log.close()
        rmtree(self.folder, ignore_errors=True)
        if self.group:
            self.group.remove()

    def _has(self, channel: str, timeout_s: float = POLL_S) -> bool:
        socket = getattr(self.client, f"{channel}_channel").socket
        return bool(socket.poll(int(timeout_s * 1000)))

    def _next(self) -> dict:
        return self.client.iopub_channel.get_msg(timeout=0)

    def _is_over(self, patience_s: float = 0.0) -> bool:
        """Whether the process has ended, or ends within a while."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(patience_s)
            return True
        return False

    def _replied(self, message_id: str) -> bool:
        """Whether the kernel says that a cell is done, which it may say before its last output is here."""
        with contextlib.suppress(Exception):
            while self._has("shell", 0):
                message = self.client.shell_channel.get_msg(timeout=0)
                if message["parent_header"].get("msg_id") == message_id:
                    return True
        return False

    def _why_gone(self, otherwise: str) -> str:
        """The limit that the kernel exceeded, if it did."""
        if not self.isolation.sandboxed:
            return otherwise
        if self.group.refused_processes():
            return "processes"
        if self.group.killed_for_memory():
            return "memory"
        return watchdog.exceeded(self.process.pid, self.folder, self.isolation.limits) or otherwise

    def _signal(self, which: signal.Signals) -> None:
        for process in watchdog.family(self.process.pid):
            with contextlib.suppress(Exception):
                process.send_signal(which)


class _Reader:
    """Takes the messages of one cell until it is done or has sent too many."""

    def __init__(self, result: Execution, message_id: str, limits: Limits) -> None:
        self.result, self.message_id, self.limits = result, message_id, limits
        self.bytes = self.messages = 0
        self.done = False

    def take(self, receive) -> None:
        try:
            message = receive()
            kind, content = message["msg_type"], message["content"]
            if message["parent_header"].get("msg_id") == self.message_id:
                if kind == "status" and content.get("execution_state") == "idle":
                    self.done = True
                self.bytes += self._keep(kind, content)
        except Exception:
            self.result.status = "garbled"
        self.messages += 1
        if self.bytes > self.limits.output_mb * 1_000_000 or self.messages > self.limits.messages:
            self.result.status = "flooded"

    def _keep(self, kind: str, content: dict) -> int:
        """Keep what a message holds; returns its size in bytes, roughly."""
        result = self.result
        if kind == "stream":
            result.text = (result.text + str(content.get("text", "")))[-4000:]
            return len(str(content.get("text", "")))
        if kind == "error" and result.status not in GONE:
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


def sweep() -> None:
    """Remove what kernels of a killed grader left behind: folders and control groups."""
    for folder in (*Path(tempfile.gettempdir()).glob(f"{PREFIX}-*-*"), *cgroup.left_behind(PREFIX)):
        owner = folder.name.removeprefix("coursekit-").split("-")[1]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            cgroup.remove(folder) if cgroup.MOUNT in folder.parents else rmtree(folder, ignore_errors=True)
