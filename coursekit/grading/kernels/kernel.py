"""The one place that starts a kernel to grade in, and the loop that talks with it."""

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from shutil import rmtree

import psutil
import zmq
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.connect import write_connection_file
from jupyter_client.session import Session
from zmq.utils.monitor import recv_monitor_message

from coursekit.grading.judge import MIME
from coursekit.grading.kernels import cgroup, sandbox, seccomp, watchdog
from coursekit.grading.kernels.cgroup import Group
from coursekit.grading.kernels.limits import Limits

PREFIX = "ck"  # of a kernel's folder
POLL_S = 0.05
WATCH_S = 0.2
MEASURE_S = 0.02
START_S = 30.0
GRACE_S = 1.0
MAX_HELD_MB = 100  # of messages that are under way and not complete, which zmq does not bound
MAX_VALUES = (
    1_000_000  # in the JSON of a cell's messages: each takes up to a hundred times its bytes in memory
)
CONTENT = 4  # the place of a message's content among its parts, after its signature and its headers
NO_REPLY = "no word from Python itself (is it nested too deeply?)"
GONE = ("timeout", "died", "flooded", "garbled", "memory", "processes", "disk")


@dataclass
class Execution:
    """What became of one cell: ``status`` is 'ok', 'error', or one of ``GONE``, after which the kernel is of no
    use: 'timeout', 'died', 'garbled' (it sent what is no Jupyter message), 'flooded' (it sent too much), or the
    limit that it exceeded. ``seconds`` is wall time between sending the cell and its end, taken out here."""

    status: str = "ok"
    seconds: float = 0.0
    text: str = ""
    error: str = ""
    emitted: list[bytes] = field(default_factory=list)  # as JSON, many times smaller than what it says

    @property
    def values(self) -> list:
        """What the cell emitted, a case each."""
        return [json.loads(content.decode("utf-8", "replace"))["data"][MIME] for content in self.emitted]


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
        file, info = write_connection_file(
            str(self.folder / "connection.json"),
            ip=ip,
            transport=transport,
            key=secrets.token_bytes(32).hex().encode(),
        )
        self.group = Group(self.folder.name, isolation.limits) if isolation.sandboxed else None
        self.log = tempfile.TemporaryFile()  # noqa: SIM115  (closed by kill)
        with contextlib.ExitStack() as lent:
            ports = [value for name, value in info.items() if name.endswith("_port")] * (transport == "ipc")
            sockets = {port: lent.enter_context(_listen(f"{ip}-{port}")).fileno() for port in ports}
            self.process = self._start(file, sockets, lent)
        self.context = zmq.Context()
        self.context.maxmsgsize, self.context.rcvhwm = isolation.limits.output_mb * 1_000_000, 4
        self.context.linger = 0
        self.client = BlockingKernelClient(context=self.context, session=_Session())
        self.client.load_connection_info(info)
        self.grader, self.watched = psutil.Process(), 0.0

    def _start(self, file: str, sockets: dict[int, int], lent: contextlib.ExitStack) -> subprocess.Popen:
        sandboxed, limits = self.isolation.sandboxed, self.isolation.limits
        bounds = json.dumps(asdict(limits) if sandboxed else None)
        argv = [sys.executable, "-I", "-m", "coursekit.grading.kernels.launch", file, bounds]
        argv, lend = [*argv, json.dumps(sockets)], list(sockets.values())
        env = os.environ | {"JPY_PARENT_PID": str(os.getpid())}
        if sandboxed:
            filters = lent.enter_context(seccomp.as_file())
            lend += [filters] if filters is not None else []
            argv = self.group.wrap(sandbox.command(argv, self.folder, self.isolation.hide, limits, filters))
            env = {"PATH": os.environ.get("PATH", os.defpath)}  # of bubblewrap, which can be looked into
        return subprocess.Popen(
            argv,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self.log,
            start_new_session=True,
            pass_fds=lend,
            env=env,
        )

    def wait(self) -> None:
        """Return when the kernel is ready and its output is listened to. Raises RuntimeError where it does not
        start."""
        self.client.start_channels(shell=True, iopub=True, stdin=False, hb=False, control=False)
        until = time.monotonic() + START_S
        while not (self._has("iopub") and self._is_welcome()):
            if self.process.poll() is not None or time.monotonic() > until:
                self.log.seek(0)
                said = self.log.read(2000).decode("utf-8", "replace").strip()
                self.kill()
                last = said.splitlines()[-1] if said else "it said nothing"
                raise RuntimeError(f"a kernel did not start: {last}")
        events = zmq.EVENT_DISCONNECTED | zmq.EVENT_CONNECT_RETRIED
        self.losses = self.client.iopub_channel.socket.get_monitor_socket(events)

    def run(self, source: str, timeout: float) -> Execution:
        """Execute one cell; `timeout` in seconds. After a status of ``GONE`` the kernel has to be killed."""
        result, started = Execution(), time.perf_counter()
        message_id = self.client.execute(source, store_history=False, allow_stdin=False, stop_on_error=False)
        reader = _Reader(result, message_id, self.client.session, self.isolation.limits)
        held, measured, replied = self._resident_mb(), started, None
        while not reader.done:
            now = time.perf_counter()
            if self._has("iopub"):
                reader.take(lambda: self._receive("iopub"))
            elif self._is_over():
                result.status = self._why_gone("died")
            elif self.losses.poll(0):
                result.status = self._why_lost()
            elif self._has("shell", 0):
                if reader.is_reply(lambda: self._receive("shell")):
                    replied = now
            elif replied is not None and now - replied > GRACE_S:
                result.status = "garbled"
            if now - measured > MEASURE_S:
                measured = now
                if self._resident_mb() - held > MAX_HELD_MB:
                    result.status = "flooded"
            if result.status in GONE:
                break
            if now - started > timeout:
                result.status = "timeout"
            elif now - self.watched > WATCH_S:
                self.watched = now
                result.status = self._why_gone("") or result.status
        result.seconds = time.perf_counter() - started
        if reader.done and replied is None and not self._replies(reader):
            result.status, result.error = "error", NO_REPLY
        if self.group is not None and result.status not in GONE:  # or it would be put down to the next cell
            result.status = self.group.exceeded() or result.status
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
        return bool(getattr(self.client, f"{channel}_channel").socket.poll(int(timeout_s * 1000)))

    def _receive(self, channel: str) -> list[bytes]:
        return getattr(self.client, f"{channel}_channel").socket.recv_multipart(zmq.NOBLOCK)

    def _is_welcome(self) -> bool:
        return self.client.iopub_channel.get_msg(timeout=0)["msg_type"] == "iopub_welcome"

    def _resident_mb(self) -> float:
        """How much memory this very process has."""
        return self.grader.memory_info().rss / 1e6

    def _is_over(self, patience_s: float = 0.0) -> bool:
        """Whether the process has ended, or ends within a while."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(patience_s)
            return True
        return False

    def _replies(self, reader: "_Reader") -> bool:
        """Whether a reply comes after the last output; none does where ipykernel itself fails at a cell."""
        until = time.perf_counter() + GRACE_S
        while time.perf_counter() < until:
            if self._has("shell") and reader.is_reply(lambda: self._receive("shell")):
                return True
        return False

    def _why_lost(self) -> str:
        """Why the connection ended: with the process; by the kernel's will, and zmq tries to make it anew; or by
        zmq's own, at a message that is too large."""
        if self._is_over(GRACE_S):
            return self._why_gone("died")
        while self.losses.poll(0):
            if recv_monitor_message(self.losses)["event"] == zmq.EVENT_CONNECT_RETRIED:
                return "garbled"
        return "flooded"

    def _why_gone(self, otherwise: str) -> str:
        """The limit that the kernel exceeded, if it did."""
        if not self.isolation.sandboxed:
            return otherwise
        return (
            self.group.exceeded() or watchdog.exceeded(self.process.pid, self.isolation.limits) or otherwise
        )

    def _signal(self, which: signal.Signals) -> None:
        for process in watchdog.family(self.process.pid):
            with contextlib.suppress(Exception):
                process.send_signal(which)


class _Session(Session):
    """Numbers messages so that nobody can answer one before it is sent."""

    @property
    def msg_id(self) -> str:
        return secrets.token_hex(16)


def _listen(path: str) -> socket.socket:
    """A socket for the kernel to inherit: so it needs no folder of ours to make one in."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen()
    return listening


class _Reader:
    """Takes the messages of one cell until it is done or has sent too much."""

    def __init__(self, result: Execution, message_id: str, session: Session, limits: Limits) -> None:
        self.result, self.message_id, self.session, self.limits = result, message_id, session, limits
        self.bytes = self.messages = self.values = 0
        self.done = False

    def take(self, receive: Callable[[], list[bytes]]) -> None:
        """Take what came from a cell. Before a message is looked into, it is counted."""
        try:
            parts, message = self._read(receive)
            if message is not None and message["parent_header"].get("msg_id") == self.message_id:
                if message["msg_type"] == "status" and message["content"].get("execution_state") == "idle":
                    self.done = True
                self._keep(message["msg_type"], message["content"], parts)
        except Exception:
            self.result.status = "garbled"

    def is_reply(self, receive: Callable[[], list[bytes]]) -> bool:
        """Whether the kernel says that the cell is done, which it may say before its last output is here."""
        try:
            _, message = self._read(receive)
            return message is not None and message["parent_header"].get("msg_id") == self.message_id
        except Exception:
            self.result.status = "garbled"
            return False

    def _read(self, receive: Callable[[], list[bytes]]) -> tuple[list[bytes], dict | None]:
        parts = self.session.feed_identities(receive())[1]
        self.messages += 1
        self.bytes += sum(map(len, parts))
        self.values += sum(part.count(sign) for part in parts[: CONTENT + 1] for sign in (b",", b"[", b"{"))
        most = self.limits.output_mb * 1_000_000
        if self.bytes > most or self.messages > self.limits.messages or self.values > MAX_VALUES:
            self.result.status = "flooded"
            return parts, None
        return parts, self.session.deserialize(parts)

    def _keep(self, kind: str, content: dict, parts: list[bytes]) -> None:
        """Keep what a message holds."""
        result = self.result
        if kind == "stream":
            result.text = (result.text + str(content.get("text", "")))[-4000:]
        if kind == "error" and result.status not in GONE:
            result.status = "error"
            result.error = f"{content.get('ename')}: {content.get('evalue')}"[:500]
        if kind in ("display_data", "execute_result"):
            data = content["data"]
            if data.get(MIME) is not None:
                result.emitted.append(parts[CONTENT])
            else:
                result.text = (result.text + str(data.get("text/plain", "")) + "\n")[-4000:]


def sweep() -> None:
    """Remove what kernels of a killed grader left behind: folders and control groups."""
    for folder in (*Path(tempfile.gettempdir()).glob(f"{PREFIX}-*-*"), *cgroup.left_behind(PREFIX)):
        owner = folder.name.removeprefix("coursekit-").split("-")[1]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            cgroup.remove(folder, 0) if cgroup.MOUNT in folder.parents else rmtree(folder, ignore_errors=True)
