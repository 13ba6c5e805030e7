"""How the kernels are compiled: their options, and a cache of machine code that processes can share.

Numba's own cache asks only whether the file of a function has changed; a kernel here is inlined from several files,
and has to be compiled anew when any of them changes. And two processes that compile the same function for two dtypes
at the same time may give both results one file name. So each result lies in a file of its own, named by a digest of
everything it depends on: the sources of this folder, the signature, the processor and its extensions.
"""

import functools
import hashlib
import os
import pickle
import shutil
import tempfile
from pathlib import Path

import numba
from numba import config, njit
from numba.core.caching import CompileResultCacheImpl, FunctionCache, IndexDataCacheFile

HERE = Path(__file__).parent


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
def source_digest() -> str:
    """What the sources of the CPU kernels are now, with the version of Numba."""
    digest = hashlib.sha256(numba.__version__.encode())
    for path in sorted(HERE.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


@functools.cache
def cache_folder() -> Path:
    """Where compiled code lies: beside the sources, or in NUMBA_CACHE_DIR, or else in the user's cache folder.

    Beside the sources it is also read where it cannot be written.
    """
    name = f"kernels-{source_digest()}"
    if config.CACHE_DIR:
        return Path(config.CACHE_DIR) / name
    beside = HERE / "__pycache__"
    if (beside / name).is_dir() or _is_writable(beside):
        return beside / name
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "coursekit" / name


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


def _make_room(folder: Path) -> None:
    """Make the folder, and beside the sources remove those of sources that are no more. Other places may be shared."""
    if folder.is_dir():
        return
    folder.mkdir(parents=True, exist_ok=True)
    if folder.parent == HERE / "__pycache__":
        for other in folder.parent.glob("kernels-*"):
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)


class _Files(IndexDataCacheFile):
    """One file for each result, written whole or not at all."""

    def __init__(self, name: str):
        super().__init__(str(cache_folder()), name, source_digest())
        self._name = name

    def _path(self, key) -> Path:
        digest = hashlib.sha256(repr(key).encode()).hexdigest()[:24]
        return cache_folder() / f"{self._name}-{digest}.nbc"

    def save(self, key, data) -> None:
        try:
            _make_room(cache_folder())
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
        self._cache_file = _Files(self._impl.filename_base)
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
    return f"{function.__module__}.{function.__qualname__}{cells or ''}"
