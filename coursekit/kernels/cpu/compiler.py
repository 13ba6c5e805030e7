"""How the kernels are compiled: their options, and a cache of machine code that processes can share.

Numba's own cache asks only whether the file of a function has changed; a kernel here is inlined from several files,
and has to be compiled anew when any of them changes. And two processes that compile the same function for two dtypes
at the same time may give both results one file name. So each result lies in a file of its own, named by digests of
everything it depends on: its source and those it imports from, the signature, the processor and its extensions.
"""

import functools
import hashlib
import os
import pickle
import re
import tempfile
from pathlib import Path

import numba
from numba import config, njit
from numba.core.caching import CompileResultCacheImpl, FunctionCache, IndexDataCacheFile

HERE = Path(__file__).parent
# What a source takes from others, as in
#     from coursekit.kernels.cpu import simd
#     from coursekit.kernels.cpu.simd import fma
# The constants of the contract come from a file of ops/; the contract itself, OPS, is in no machine code.
NAMES = re.compile(r"^from coursekit\.kernels\.cpu import (\([^)]*\)|[\w, ]+)", re.MULTILINE)
FILES = re.compile(r"^from coursekit\.kernels\.(cpu|ops)\.(\w+) import", re.MULTILINE)


def compiled(function=None, *, inline=False):
    """``@compiled``: machine code of a function, made at its first call and kept for later processes.

    Division by zero gives inf or nan, as in NumPy: the check for it would stop vectorisation. a·b + c may be one
    instruction with one rounding; no other liberty is taken, so neither the order of a sum changes, nor what becomes
    of inf and nan. The interpreter's lock is released.

    Args:
        inline: put the code into each caller; for helpers of a few lines.
    """
    if function is None:
        return functools.partial(compiled, inline=inline)
    dispatcher = njit(error_model="numpy", fastmath={"contract"}, forceinline=inline, nogil=True)(function)
    dispatcher._cache = _Cache(function)
    return dispatcher


@functools.cache
def source_digest(path: Path) -> str:
    """What a source is now, and all it stands on, with the version of Numba."""
    found, left = {}, [path]
    while left:
        path = left.pop()
        if path not in found:
            found[path] = _text(path)
            left += _imported(path)
    digest = hashlib.sha256(numba.__version__.encode())
    for path in sorted(found):
        digest.update(f"{path.parent.name}/{path.name}\0{found[path]}\0".encode())
    return digest.hexdigest()[:16]


@functools.cache
def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:  # a notebook's cell: Numba gives it a name of its own that holds its digest
        return str(path)


@functools.cache
def _imported(path: Path) -> list[Path]:
    """The sources of kernels that this one imports from."""
    text = _text(path)
    names = [name for words in NAMES.findall(text) for name in re.findall(r"\w+", words)]
    files = [HERE / f"{name}.py" for name in names]
    files += [HERE.parent / folder / f"{name}.py" for folder, name in FILES.findall(text)]
    return [file for file in files if file.is_file()]


@functools.cache
def cache_folder() -> Path:
    """Where compiled code lies: beside the sources, or in NUMBA_CACHE_DIR, or else in the user's cache folder.

    Beside the sources it is also read where it cannot be written.
    """
    if config.CACHE_DIR:
        return Path(config.CACHE_DIR) / "kernels"
    beside = HERE / "__pycache__"
    if (beside / "kernels").is_dir() or _is_writable(beside):
        return beside / "kernels"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "coursekit" / "kernels"


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


class _Files(IndexDataCacheFile):
    """One file for each result of a function, written whole or not at all."""

    def __init__(self, name: str, digest: str):
        super().__init__(str(cache_folder()), name, digest)
        self._name, self._digest = name, digest

    def _path(self, key) -> Path:
        digest = hashlib.sha256(repr(key).encode()).hexdigest()[:24]
        return cache_folder() / f"{self._name}-{self._digest}-{digest}.nbc"

    def _make_room(self) -> None:
        """Make the folder, and beside the sources remove what was made of older ones. Other places may be shared."""
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        if folder.parent == HERE / "__pycache__":
            for path in folder.glob(f"{self._name}-*.nbc"):
                if not path.name.startswith(f"{self._name}-{self._digest}-"):
                    path.unlink(missing_ok=True)

    def save(self, key, data) -> None:
        try:
            self._make_room()
            self._save_data(self._path(key).name, data)
        except OSError:
            pass  # a full or read-only disk: the next process compiles again

    def load(self, key):
        try:
            return self._load_data(self._path(key).name)
        except (OSError, EOFError, pickle.UnpicklingError):
            return None  # not there, or damaged: compile again

    def flush(self) -> None:
        for path in cache_folder().glob(f"{self._name}-*.nbc"):
            path.unlink(missing_ok=True)


class _Rules(CompileResultCacheImpl):
    """Numba's way of writing a result to a file."""

    def __init__(self, function):
        self._lineno = function.__code__.co_firstlineno
        self._locator = _Place(function.__code__.co_filename)
        self._filename_base = f"{function.__module__}.{function.__qualname__}"


class _Place:
    """What Numba asks of a place for its files."""

    def __init__(self, path: str):
        self._py_file = path

    def ensure_cache_path(self) -> None:
        """Nothing: saving makes the folder, and does without where it cannot."""


class _Cache(FunctionCache):
    def __init__(self, function):
        self._name = repr(function)
        self._py_func = function
        self._impl = _Rules(function)
        self._cache_path = str(cache_folder())
        self._cache_file = _Files(self._impl.filename_base, source_digest(_source(function)))
        self.enable()

    def _index_key(self, signature, codegen):
        """What a result depends on beside the sources; Numba's own differs in each process where a closure is used."""
        cells = [_name(cell.cell_contents) for cell in self._py_func.__closure__ or ()]
        return str(signature), codegen.magic_tuple(), cells


def _name(value) -> str:
    """A value of a closure: compiled functions and intrinsics by their names and closures, all others by their text."""
    function = getattr(value, "py_func", getattr(value, "_defn", value))
    if not callable(function):
        return repr(value)
    cells = [_name(cell.cell_contents) for cell in getattr(function, "__closure__", None) or ()]
    digest = source_digest(_source(function)) if hasattr(function, "__code__") else ""
    return f"{function.__module__}.{function.__qualname__}{digest}{cells or ''}"


def _source(function) -> Path:
    return Path(function.__code__.co_filename)
