"""System calls that a sandboxed kernel may not make: a filter in the kernel's own format, for bubblewrap.

Namespaces keep files, processes and the network apart. They do not keep apart the user's keyrings, sockets to the
host of a virtual machine, and some large interfaces that no exercise needs and that holes have been found in.
"""

import contextlib
import errno
import os
import platform
import socket
import struct
from collections.abc import Iterator

# The machine's number in a filter, and the call that opens a socket.
MACHINES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
CALLS = {  # on x86_64 and on aarch64
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
}
FAMILIES = (socket.AF_INET, socket.AF_INET6, 1, 16)  # the last two: AF_UNIX, AF_NETLINK

LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
NUMBER, MACHINE, ARGUMENT = 0, 4, 16  # where they stand in what a filter is shown
ALLOW, REFUSE = 0x7FFF0000, 0x00050000
OTHER_NUMBERS = 0x40000000  # from here on x86_64 counts the same calls once more


@contextlib.contextmanager
def as_file() -> Iterator[int | None]:
    """A file descriptor to read this machine's filter from; None where there is none for it."""
    program = assemble(platform.machine())
    if program is None:
        yield None
        return
    read, write = os.pipe()
    try:
        os.write(write, program)
        os.close(write)
        yield read
    finally:
        os.close(read)


def assemble(machine: str) -> bytes | None:
    """The filter for a machine: calls of another machine's numbering are unknown, those of ``CALLS`` not permitted,
    and sockets are of ``FAMILIES``."""
    if machine not in MACHINES:
        return None
    number, opens_socket = MACHINES[machine]
    column = list(MACHINES).index(machine)
    refused = [numbers[column] for numbers in CALLS.values()]
    lines = [
        (LOAD, MACHINE),
        (EQUAL, number, None, "unknown"),
        (LOAD, NUMBER),
        (AT_LEAST, OTHER_NUMBERS, "unknown", None),
        *((EQUAL, call, "not permitted", None) for call in refused),
        (EQUAL, opens_socket, None, "allowed"),
        (LOAD, ARGUMENT),
        *((EQUAL, family, "allowed", None) for family in FAMILIES),
        (RETURN, REFUSE | errno.EAFNOSUPPORT),
    ]
    ends = {"allowed": ALLOW, "not permitted": REFUSE | errno.EPERM, "unknown": REFUSE | errno.ENOSYS}
    places = {name: len(lines) + index for index, name in enumerate(ends)}
    lines += [(RETURN, value) for value in ends.values()]
    return b"".join(_instruction(index, places, *line) for index, line in enumerate(lines))


def _instruction(index: int, places: dict[str, int], code: int, value: int, *targets: str | None) -> bytes:
    """One instruction; `targets` are where to go if a comparison holds, and if not (None: to the next)."""
    jumps = [0 if name is None else places[name] - index - 1 for name in targets] or [0, 0]
    return struct.pack("=HBBI", code, *jumps, value)
