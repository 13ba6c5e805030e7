"""Reaching out: nothing that a submission sends arrives anywhere, not even on this machine."""

import contextlib
import os
import selectors
import socket
import threading

import pytest

from tests.grading.attacks.attack import ALL, Attack

ABSTRACT = f"\0coursekit-{os.getpid()}"


def call(lines: str, shows: str, **options) -> Attack:
    """An honest answer that says what became of its call."""
    body = "\n".join("        " + line for line in lines.strip("\n").splitlines())
    source = f"""
import socket, subprocess, urllib.request
def double(x):
    socket.setdefaulttimeout(0.5)
    try:
{body}
        print("it went out")
    except OSError as error:
        print("refused:", error)
    return 2 * np.asarray(x)
"""
    return Attack(source, points=ALL, status="right", shows=shows, **options)


REFUSED = r"^(?!.*went out).*refused: "
ATTACKS = {
    "a connection to this machine": call(
        "socket.create_connection(('127.0.0.1', @TCP@))", REFUSED, quick=True
    ),
    "a connection to this machine by its address": call(
        "socket.create_connection((@ADDRESS@, @TCP@))", REFUSED
    ),
    "a connection by IPv6": call("socket.create_connection(('::1', @TCP6@))", REFUSED),
    "a datagram": call(
        "with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:\n    s.sendto(b'found', ('127.0.0.1', @UDP@))",
        "",
    ),
    "a datagram by the address": call(
        "with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:\n    s.sendto(b'found', (@ADDRESS@, @UDP@))",
        REFUSED,
    ),
    "a web page": call("urllib.request.urlopen('http://127.0.0.1:@TCP@/found')", REFUSED),
    "a name looked up": call("socket.getaddrinfo('example.org', 80)", REFUSED),
    "an abstract socket": call(
        "with socket.socket(socket.AF_UNIX) as s:\n    s.connect(@ABSTRACT@)", REFUSED
    ),
    "a raw socket": call("socket.socket(socket.AF_PACKET, socket.SOCK_RAW)", REFUSED),
    "the host of a virtual machine": call("socket.socket(socket.AF_VSOCK)", REFUSED),
    "another process that calls": call(
        "code = \"import socket; socket.create_connection(('127.0.0.1', @TCP@), 1); print('went', 'out')\"\n"
        "print(subprocess.run(['python', '-c', code], capture_output=True, text=True).stdout)\n"
        "raise OSError('in the other process')",
        REFUSED,
    ),
}


class Listener:
    """Listens on this machine's loopback and elsewhere, and keeps what arrives."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.selector, self.sockets = selectors.DefaultSelector(), {}
        self._open("TCP", socket.AF_INET, socket.SOCK_STREAM, ("", 0))
        self._open("UDP", socket.AF_INET, socket.SOCK_DGRAM, ("", 0))
        with contextlib.suppress(OSError):
            self._open("TCP6", socket.AF_INET6, socket.SOCK_STREAM, ("::1", 0))
        self._open("ABSTRACT", socket.AF_UNIX, socket.SOCK_STREAM, ABSTRACT)
        threading.Thread(target=self._listen, daemon=True).start()

    def _open(self, name: str, family: int, kind: int, address) -> None:
        made = self.sockets[name] = socket.socket(family, kind)
        made.bind(address)
        if kind == socket.SOCK_STREAM:
            made.listen()
        self.selector.register(made, selectors.EVENT_READ, name)

    def _listen(self) -> None:
        while True:
            for key, _ in self.selector.select():
                self.heard.append(key.data)
                if key.data == "UDP":
                    key.fileobj.recv(100)
                else:
                    key.fileobj.accept()[0].close()

    def port(self, name: str) -> int:
        return self.sockets[name].getsockname()[1] if name in self.sockets else 9


@pytest.fixture(scope="module")
def listener():
    return Listener()


@pytest.fixture(scope="module")
def facts(listener):
    ports = {name: listener.port(name) for name in ("TCP", "UDP", "TCP6")}
    return ports | {"ADDRESS": _own_address(), "ABSTRACT": ABSTRACT}


def _own_address() -> str:
    """An address of this machine beside the loopback, where it has one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
            return probe.getsockname()[0]
        except OSError:
            return "127.0.0.1"


def test_nothing_is_reached(attack, graded, listener):
    ATTACKS[attack].verify(graded[attack])
    assert listener.heard == []


@pytest.mark.slow
def test_the_listener_would_have_heard(listener, neighbours):
    """What the attacks do arrives where nothing is in between."""
    assert [result.points for result in neighbours] == [sum(ALL)] * 2
    assert listener.heard == []
    address = _own_address()
    socket.create_connection(("127.0.0.1", listener.port("TCP")), 5).close()
    socket.create_connection((address, listener.port("TCP")), 5).close()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"found", (address, listener.port("UDP")))
    with socket.socket(socket.AF_UNIX) as sender:
        sender.connect(ABSTRACT)
    for _ in range(100):
        if len(listener.heard) == 4:
            break
        threading.Event().wait(0.05)
    assert sorted(listener.heard) == ["ABSTRACT", "TCP", "TCP", "UDP"]
