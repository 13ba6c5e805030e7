"""The machine code of the kernels, made and read without a GPU.

``python -m coursekit.kernels.cuda.report`` prints a table of all kernels for the architectures sm_80 and sm_90:
registers, bytes spilled to memory, shared memory, and the widest load. It needs the extra ``[cuda]``, and no driver.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from coursekit.kernels.cuda.kernel import KERNELS, SIMULATED, Kernel

ARCHITECTURES = ((8, 0), (9, 0))
"""Compute capabilities that kernels are compiled for: Ampere's and Hopper's data-centre GPUs."""


@dataclass(frozen=True)
class Code:
    """What the compiler says of a kernel.

    Attributes:
        registers: of a thread.
        spilled: bytes of a thread in local memory, for want of registers, or because an array has an index that is no
            constant after all loops are unrolled.
        shared: bytes of a block whose size is known to the compiler.
        instructions: how often each one stands in the machine code, by its whole name, e.g. ``LDG.E.128``.
    """

    registers: int
    spilled: int
    shared: int
    instructions: Counter

    def has(self, start: str) -> bool:
        """Whether an instruction begins so."""
        return any(name.startswith(start) for name in self.instructions)

    def shortcomings(self, kernel: Kernel) -> list[str]:
        """What the code of this kernel should be and is not, in words."""
        found = [f"there is no {name} in it" for name in kernel.expects if not self.has(name)]
        if kernel.tuned and self.spilled:
            found.append(f"{self.spilled} bytes of registers are spilled to memory")
        double = [name for name in self.instructions if name.split(".")[0] in ("DADD", "DMUL", "DFMA")]
        if double and kernel.tuned:
            found.append(f"it calculates in float64: {', '.join(double)}")
        return found

    @property
    def widest_load(self) -> int:
        """Bits of the widest load from global (or unknown) memory; 0 where there is none."""
        loads = [name for name in self.instructions if name.startswith(("LDG.", "LD."))]
        return max((_bits(name) for name in loads), default=0)


def _bits(load: str) -> int:
    found = re.search(r"\.U?(8|16|64|128)\b", load)
    return int(found[1]) if found else 32


def what_is_missing() -> str:
    """Why kernels cannot be compiled here, or nothing."""
    if SIMULATED:
        return "Numba's simulator is on (NUMBA_ENABLE_CUDASIM), and compiles nothing"
    if find_spec("numba_cuda") is None:
        return "numba-cuda is not installed; pip install 'coursekit[cuda]' brings it and its compiler"
    for tool in ("ptxas", "cuobjdump", "nvdisasm"):
        if _tool(tool) is None:
            return f"{tool} was not found; pip install 'coursekit[cuda]' brings it"
    return ""


@cache
def _tool(name: str) -> str | None:
    """Of the same wheels as the compiler: an older one does not read its PTX."""
    spec = find_spec("nvidia")
    for folder in spec.submodule_search_locations if spec else ():
        for found in sorted(Path(folder).glob(f"cu*/bin/{name}*")):
            if found.stem == name:
                return str(found)
    return shutil.which(name)


@cache
def _compiled(name: str, signature: str, capability: tuple[int, int]) -> Code:
    from numba import cuda
    from numba.core import sigutils, types

    kernel = next(k for k in KERNELS if k.name == name)
    arguments, _ = sigutils.normalize_signature(signature)
    fast = kernel.options.get("fastmath", False)
    with _instead_of_a_device(capability):
        ptx, _ = cuda.compile(
            kernel.function, types.void(*arguments), cc=capability, device=False, abi="numba", fastmath=fast
        )
    with tempfile.TemporaryDirectory() as folder:
        source, binary = Path(folder, "kernel.ptx"), Path(folder, "kernel.cubin")
        source.write_text(ptx)
        target = f"-arch=sm_{capability[0]}{capability[1]}"
        most = kernel.options.get("max_registers")
        limits = [f"-maxrregcount={most}"] if most else []
        said = _run("ptxas", "-v", *limits, target, "-o", binary, source).stderr
        sass = _run("cuobjdump", "-sass", binary).stdout
    return Code(
        registers=_number(r"Used (\d+) registers", said),
        spilled=_number(r"(\d+) bytes stack frame", said),
        shared=_number(r"(\d+) bytes smem", said),
        instructions=Counter(re.findall(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\d+\s+)?([A-Z][\w.]*)", sass)),
    )


def _instead_of_a_device(capability):
    """Numba asks the current device for its capability wherever a kernel calls a device function."""
    stand_in = SimpleNamespace(compute_capability=capability)
    return mock.patch("numba.cuda.dispatcher.get_current_device", lambda: stand_in)


def compile_kernel(kernel: Kernel, signature: str, capability: tuple[int, int]) -> Code:
    """Machine code of a kernel for arguments of these types.

    Raises:
        RuntimeError: the compiler is missing; the message says what to install.
    """
    if missing := what_is_missing():
        raise RuntimeError(missing)
    return _compiled(kernel.name, signature, capability)


def _run(tool, *arguments):
    done = subprocess.run([_tool(tool), *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{tool}: {done.stderr.strip() or done.stdout.strip()}")
    return done


def _number(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    return int(found[1]) if found else 0


HEADER = f"{'kernel':44} {'for':6} {'registers':>9} {'spilled':>7} {'shared':>7} {'load':>4}  instructions"


def row(kernel: Kernel, capability: tuple[int, int], code: Code) -> str:
    """A line of the table below :data:`HEADER`."""
    found = " ".join(name for name in kernel.expects if code.has(name))
    architecture = f"sm_{capability[0]}{capability[1]}"
    numbers = f"{code.registers:9} {code.spilled:7} {code.shared:7} {code.widest_load:4}"
    return f"{kernel.name:44} {architecture:6} {numbers}  {found}".rstrip()


def main() -> None:
    if missing := what_is_missing():
        sys.exit(missing)
    print(HEADER)
    for kernel in KERNELS:
        for capability in ARCHITECTURES:
            for signature in kernel.signatures:
                print(row(kernel, capability, compile_kernel(kernel, signature, capability)))


if __name__ == "__main__":
    import coursekit.kernels.cuda  # noqa: F401 - declares the kernels

    main()
