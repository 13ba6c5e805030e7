"""Looking around: what a kernel finds, its learner reads in the feedback, so there must be nothing worth finding.

Each answer is right and prints what it found when its visible check calls it. Every attack is tried against the
canary too: it stands in the environment, in another learner's answers, in a solution, in the keyring and in memory
that other processes of this user share, and no text for a learner may hold it.
"""

import ctypes
import os
import platform
import socket
import sys
from pathlib import Path

import psutil
import pytest

from coursekit.grading.kernels import seccomp
from tests.grading.attacks.attack import ALL, CANARY, Attack

CALL = {"x86_64": {"add_key": 248, "keyctl": 250}, "aarch64": {"add_key": 217, "keyctl": 219}}
SESSION, UNLINK = -3, 9
KEY = f"coursekit-{os.getpid()}".encode()
SHARED_KEY = 0x7F000000 + os.getpid()


def spy(look: str, **options) -> Attack:
    """An honest answer that prints what `look`, the lines of a function, returns or raises."""
    lines = "\n".join("    " + line for line in look.strip("\n").splitlines())
    source = f"""
import ctypes, os, pathlib, socket, sys
def look():
{lines}
def double(x):
    try:
        print("found:", look())
    except BaseException as error:
        print("refused:", type(error).__name__, error)
    return 2 * np.asarray(x)
"""
    return Attack(source, points=ALL, status="right", **options)


READ = """
    found = ""
    for path in PATHS:
        try:
            found += path + " " + open(path, errors="replace").read()[:1500].replace(chr(0), " ") + chr(10)
        except OSError as error:
            found += f"no {path}: {error}" + chr(10)
    return found[-3500:]
"""

ATTACKS = {
    "its own environment": spy("return dict(os.environ)", shows=r"found: \{'HOME': '/tmp'", quick=True),
    "the environments of all processes": spy(
        READ.replace("PATHS", "[f'/proc/{pid}/environ' for pid in os.listdir('/proc') if pid.isdigit()]"),
        shows="/proc/1/environ PATH=",
    ),
    "the command lines of all processes": spy(
        "pids = [pid for pid in os.listdir('/proc') if pid.isdigit()]\n"
        "lines = [open(f'/proc/{pid}/cmdline').read().replace(chr(0), ' ') for pid in pids]\n"
        "return len(pids), 'pytest' in str(lines), @GROUP@ in str(lines), @SOLUTIONS@ in str(lines)",
        shows=r"found: \(2, False, False, False\)",
    ),
    "what is mounted": spy(
        "text = open('/proc/self/mountinfo').read()\n"
        "return 'usr' in text, @GROUP@ in text, @SOLUTIONS@ in text, @BOOK@ in text",
        shows=r"found: \(True, False, False, False\)",
    ),
    "the memory of the process above": spy(
        """
import re
text = b""
for line in open("/proc/1/maps"):
    if "stack" in line or "heap" in line:
        start, end = (int(number, 16) for number in line.split()[0].split("-"))
        with open("/proc/1/mem", "rb", 0) as memory:
            memory.seek(start)
            text += memory.read(end - start)
return b"canary" + b"-7f3a" in text, re.findall(rb"canary.{0,9}|[A-Z_]{4,}=[^\\0]{0,30}", text)
""",
        shows=r"refused: PermissionError|found: \(False, ",
    ),
    "the process above, traced": spy(
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "return libc.ptrace(16, 1, 0, 0), os.strerror(ctypes.get_errno())",
        shows="found: .-1, 'Operation not permitted'",
    ),
    "the process above, its memory called for": spy(
        """
libc = ctypes.CDLL(None, use_errno=True)
class Piece(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]
start = int(next(line for line in open("/proc/self/maps") if "stack" in line).split("-")[0], 16)
room = ctypes.create_string_buffer(8)
ours, theirs = Piece(ctypes.addressof(room), 8), Piece(start, 8)
return libc.process_vm_readv(1, ctypes.byref(ours), 1, ctypes.byref(theirs), 1, 0), os.strerror(ctypes.get_errno())
""",
        shows="found: .-1, 'Operation not permitted'",
    ),
    "other processes signalled": spy(
        "pids = []\nfor pid in range(64, 40000):  # below are its own threads\n"
        "    try: os.kill(pid, 0); pids.append(pid)\n    except OSError: pass\nreturn pids",
        shows=r"found: \[\]",
    ),
    "other learners' files": spy(
        "return os.listdir(@GROUP@)", shows="refused: FileNotFoundError", quick=True
    ),
    "the solutions": spy("return os.listdir(@SOLUTIONS@)", shows="refused: FileNotFoundError"),
    "the gradebook": spy("return open(@BOOK@, 'rb').read(20)", shows="refused: FileNotFoundError"),
    "the home of who grades": spy(
        "return os.listdir(@HOME@)", shows="refused: |found: " + r"\['.pyenv'\]|found: \[\]"
    ),
    "every notebook that can be found": spy(
        """
found = []
for top, folders, files in os.walk("/"):
    large = ("/proc", "/usr", "/bin", "/lib", "/sbin", "/lib64", sys.prefix, sys.base_prefix)
    folders[:] = [name for name in folders if os.path.join(top, name) not in large]
    found += [name for name in files if name.endswith((".ipynb", ".sqlite")) and "00_small" in name + top]
return found
""",
        shows=r"found: \[\]",
    ),
    "accounts and secrets of the system": spy(
        READ.replace(
            "PATHS", "['/etc/shadow', '/etc/passwd', '/etc/ssh', '/root/.ssh/id_rsa', '/var/log/syslog']"
        ),
        shows="no /etc/shadow.*no /etc/passwd",
    ),
    "devices": spy(
        "return sorted(os.listdir('/dev'))",
        shows=r"found: \['core', 'fd', 'full', 'null', 'ptmx', 'pts', 'random', 'shm', 'stderr', 'stdin', 'stdout', "
        r"'tty', 'urandom', 'zero'\]",
    ),
    "a device made": spy(
        "os.mknod('/tmp/disk', 0o60600, os.makedev(8, 0))", shows="refused: PermissionError"
    ),
    "sockets of the system": spy(
        "paths = ('/run', '/var/run', '/var/run/docker.sock', '/tmp/.X11-unix')\n"
        "return [path for path in paths if os.path.exists(path)]",
        shows=r"found: \[\]",
    ),
    "the connection file": spy(
        "path = next(a for a in open('/proc/self/cmdline').read().split(chr(0)) if a.endswith('connection.json'))\n"
        "print(open(path).read()); open(path, 'w')",
        shows="ipc.*refused: OSError.*Read-only",
    ),
    "a socket beside its own": spy(
        "path = next(a for a in open('/proc/self/cmdline').read().split(chr(0)) if a.endswith('connection.json'))\n"
        "socket.socket(socket.AF_UNIX).bind(os.path.join(os.path.dirname(path), 's-9'))",
        shows="refused: OSError.*Read-only",
    ),
    "what it inherited": spy(
        """
found = []
for name in os.listdir("/proc/self/fd"):
    try:
        target = os.readlink("/proc/self/fd/" + name)
    except OSError:
        continue
    if not target.startswith(("socket:", "pipe:", "anon_inode:", "/dev/null", "/proc/", "/memfd")):
        found.append((target, os.pread(int(name), 5000, 0)))
return found
""",
        shows=r"found: \[(\('/.*#\d+ \(deleted\)', b''\))?\]",
    ),
    "keys of who grades": spy(
        """
libc = ctypes.CDLL(None, use_errno=True)
key = libc.syscall(@KEYCTL@, 10, -3, b"user", @KEY@, 0)
text = ctypes.create_string_buffer(100)
return key, libc.syscall(@KEYCTL@, 11, key, text, 100), text.value
""",
        shows=r"found: \(-1, -1, b''\)",
    ),
    "memory shared with who grades": spy(
        f"libc = ctypes.CDLL(None, use_errno=True)\nreturn libc.shmget({SHARED_KEY}, 64, 0)",
        shows="found: -1",
    ),
    "writing where others read": spy(
        """
said = []
for folder in (os.path.dirname(@PACKAGE@), sys.prefix, "/usr/lib", "/etc", "/", "/dev", "/proc/sys/kernel"):
    try:
        path = os.path.join(folder, "new")
        open(path, "w")
        os.unlink(path)
        said.append("wrote into " + folder)
    except OSError as error:
        said.append(type(error).__name__)
return said
""",
        shows="found: (?!.*wrote into)",
    ),
    "the kernel's settings written": spy(
        "path = '/proc/sys/kernel/core_pattern'\ntext = open(path).read()\nopen(path, 'w').write(text)",
        shows="refused: (OSError|PermissionError)",
    ),
    "a system key pressed": spy(
        "open('/proc/sysrq-trigger', 'w').write('h')",
        shows="refused: (OSError|PermissionError|FileNotFoundError)",
    ),
    "root again": spy("os.setuid(0)", shows="refused: (OSError|PermissionError)"),
    "another root folder": spy("os.chroot('/tmp')", shows="refused: PermissionError"),
    "a namespace of its own": spy(
        """
child = os.fork()  # which has one thread only
if child == 0:
    os._exit(ctypes.CDLL(None).unshare(0x10000000) == 0)
return "made", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
""",
        shows=r"found: \('made', 0\)",
    ),
    "privileges to be had": spy(
        "lines = open('/proc/self/status').read().splitlines()\n"
        "return [line.split()[1] for line in lines if line.startswith(('Cap', 'NoNewPrivs', 'Uid'))]",
        shows=r"found: \['65534', ('0000000000000000', ){5}'1'\]",
    ),
    "something mounted anew": spy(
        "libc = ctypes.CDLL(None, use_errno=True)\nreturn libc.mount(b'none', b'/usr', b'', 32, None)",
        shows="found: -1",
    ),
    "a filter of the kernel's own": spy(
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "return [libc.syscall(number, 0, 0, 0, 0, 0) for number in @REFUSED@], ctypes.get_errno()",
        shows=r"found: \(\[(-1, )*-1\], 1\)",
    ),
    "what the learner before left behind": spy(
        "before = sorted(os.listdir('/tmp'))\nopen('/tmp/message', 'w').write('for the next one')\n"
        "open('/dev/shm/message', 'w')\nreturn 'message' in before",
        shows="found: False",
    ),
    "what another learner left behind": spy(
        "before = [*os.listdir('/tmp'), *os.listdir('/dev/shm')]\nopen('/tmp/message', 'w').write('for the next one')\n"
        "open('/dev/shm/message', 'w')\nreturn 'message' in before",
        shows="found: False",
    ),
}


@pytest.fixture(scope="module")
def facts():
    numbers = CALL.get(platform.machine(), {"add_key": -1, "keyctl": -1})
    column = list(seccomp.MACHINES).index(platform.machine()) if platform.machine() in seccomp.MACHINES else 0
    return {
        "KEY": KEY,
        "KEYCTL": numbers["keyctl"],
        "PACKAGE": str(Path(seccomp.__file__)),
        "REFUSED": [both[column] for both in seccomp.CALLS.values()],
    }


@pytest.fixture(scope="module", autouse=True)
def secrets_of_this_user():
    """The canary in this process's keyring and in memory that it shares, for as long as the module runs."""
    if sys.platform != "linux" or platform.machine() not in CALL:
        yield
        return
    libc, numbers = ctypes.CDLL(None, use_errno=True), CALL[platform.machine()]
    text = CANARY.encode()
    key = libc.syscall(numbers["add_key"], b"user", KEY, text, len(text), SESSION)
    memory = libc.shmget(SHARED_KEY, 64, 0o1600)
    yield
    if key > 0:
        libc.syscall(numbers["keyctl"], UNLINK, key, SESSION)
    if memory >= 0:
        libc.shmctl(memory, 0, None)


def test_there_is_nothing_to_find(attack, graded):
    if platform.machine() not in seccomp.MACHINES and attack in NEED_A_FILTER:
        pytest.skip(f"there is no filter of system calls for {platform.machine()}")
    ATTACKS[attack].verify(graded[attack])


NEED_A_FILTER = (
    "the process above, traced",
    "the process above, its memory called for",
    "keys of who grades",
    "a filter of the kernel's own",
)


@pytest.mark.slow
def test_neighbours_keep_their_marks(neighbours):
    assert [result.points for result in neighbours] == [sum(ALL)] * 2
    assert socket.gethostname() != "kernel" and os.getpid() in psutil.pids()
