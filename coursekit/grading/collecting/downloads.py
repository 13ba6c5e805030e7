"""What stands in a download, a folder or a zip archive. Nothing in it is trusted: not a name, a size, or a link."""

import os
import re
import stat
import struct
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import partial
from pathlib import Path

from coursekit.grading.course.times import moment

MAX_MB = 20  # what the grader reads of one notebook
MAX_TOTAL_MB = 4000
MAX_ENTRIES = 50_000
NOISE = {"__MACOSX", "Thumbs.db", "desktop.ini"}


class BadDownload(ValueError):
    """The download as a whole cannot be read."""


class Unreadable(Exception):
    """One file of it cannot; the message says why, to follow the file's name."""


@dataclass(frozen=True)
class Entry:
    """A file of the download, or with an empty last part a folder.

    ``source`` is its path as it stands there, ``parts`` the same taken apart: none where the path leads elsewhere.
    ``problem`` says why it is not to be read; empty where it may be.
    """

    source: str
    parts: tuple[str, ...]
    modified: datetime | None
    problem: str
    read: Callable[[], bytes]


@contextmanager
def open_download(path: Path, zone: tzinfo = UTC) -> Iterator[list[Entry]]:
    """The files of a folder or a zip archive, to be read within the block.

    A zip archive's times have mostly no offset: they are read as times of `zone`. Raises :class:`BadDownload`.
    """
    budget = _Budget()
    if path.is_dir():
        yield _limited(path, _folder(path, budget))
        return
    if not path.is_file():
        raise BadDownload(f"{path} is neither a folder nor a file; wanted: a folder or a zip archive")
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, OSError) as error:
        raise BadDownload(
            f"{path} is not a zip archive that can be read ({error}); wanted: one, or a folder"
        ) from None
    with archive:
        yield _limited(path, _archive(archive, zone, budget))


def unwrapped(entries: list[Entry], is_platform: Callable[[str], bool]) -> int:
    """How many folders around everything say nothing: 1 where an archive was unpacked into one of its own, else 0."""
    files = [entry.parts for entry in entries if entry.parts and entry.parts[-1]]
    tops = {parts[0] for parts in files}
    if len(tops) != 1 or any(len(parts) < 2 for parts in files) or is_platform(next(iter(tops))):
        return 0
    seconds = {parts[1] for parts in files}
    folders_only = all(len(parts) > 2 for parts in files)
    return int(any(map(is_platform, seconds)) or (folders_only and len(seconds) > 1))


class _Budget:
    """How much may still be read of one download."""

    def __init__(self) -> None:
        self.left = int(MAX_TOTAL_MB * 1e6)

    def read(self, open_file: Callable) -> bytes:
        """The file's content. Raises :class:`Unreadable` where it is too large, or its bytes make no file."""
        most = int(MAX_MB * 1e6)
        try:
            with open_file() as file:
                data = file.read(min(most, self.left) + 1)
        except Exception as error:  # a damaged archive raises nearly anything
            raise Unreadable(f"cannot be read, it is damaged ({error})") from None
        if len(data) > most:
            raise Unreadable(f"has more than {MAX_MB} MB, and no more is collected of one notebook")
        if len(data) > self.left:
            raise Unreadable(f"comes after {MAX_TOTAL_MB} MB of notebooks, and no more is collected at once")
        self.left -= len(data)
        return data


def _limited(path: Path, entries: Iterator[Entry]) -> list[Entry]:
    found = []
    for entry in entries:
        if any(part.startswith(".") or part in NOISE for part in entry.parts):
            continue
        found.append(entry)
        if len(found) > MAX_ENTRIES:
            raise BadDownload(f"{path} holds more than {MAX_ENTRIES} files, which is no class's download")
    return sorted(found, key=lambda entry: entry.source)


def _folder(top: Path, budget: _Budget) -> Iterator[Entry]:
    for place, folders, files in os.walk(top, onerror=_refuse):
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        for name in links + files:
            yield _file(Path(place) / name, top, budget)
        if not folders and not files and Path(place) != top:
            parts = Path(place).relative_to(top).parts
            yield Entry("/".join(parts), _composed(*parts, ""), None, "", bytes)


def _refuse(error: OSError) -> None:
    raise BadDownload(f"{error.filename} cannot be read ({error.strerror}); mend its permissions")


def _file(path: Path, top: Path, budget: _Budget) -> Entry:
    found, parts = path.lstat(), path.relative_to(top).parts
    problem = ""
    if stat.S_ISLNK(found.st_mode):
        problem = "is a link; links are not followed"
    elif not stat.S_ISREG(found.st_mode):
        problem = "is no ordinary file"
    modified = datetime.fromtimestamp(found.st_mtime, UTC)
    read = partial(budget.read, partial(path.open, "rb"))
    return Entry("/".join(parts), _composed(*parts), modified, problem, read)


def _archive(archive: zipfile.ZipFile, zone: tzinfo, budget: _Budget) -> Iterator[Entry]:
    for info in archive.infolist():
        parts = _zip_parts(info.filename)
        read = partial(budget.read, partial(archive.open, info))
        yield Entry(info.filename, parts, _zip_time(info, zone), _zip_problem(info, parts), read)


def _zip_parts(name: str) -> tuple[str, ...]:
    parts = [part for part in re.split(r"[/\\]", name) if part not in ("", ".")]
    if not parts or ".." in parts or name[0] in "/\\" or re.match("[A-Za-z]:", name):
        return ()
    return _composed(*parts, "") if name[-1] in "/\\" else _composed(*parts)


def _composed(*parts: str) -> tuple[str, ...]:
    """The parts with each letter written in one way: macOS writes accents as letters of their own."""
    return tuple(unicodedata.normalize("NFC", part) for part in parts)


def _zip_problem(info: zipfile.ZipInfo, parts: tuple[str, ...]) -> str:
    if not parts:
        return "has a name that leads out of the archive"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "is a link; links are not followed"
    if info.flag_bits & 0x1:
        return "is encrypted"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is packed in a way that is not read here; pack it as an ordinary zip archive"
    return ""


def _zip_time(info: zipfile.ZipInfo, zone: tzinfo) -> datetime | None:
    """When the file was last changed: from the field that Unix writes, else from the one that has no offset."""
    extra = info.extra
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        if kind == 0x5455 and size >= 5 and len(extra) >= 9 and extra[4] & 1:
            return datetime.fromtimestamp(struct.unpack_from("<i", extra, 5)[0], UTC)
        extra = extra[4 + size :]
    try:
        when = datetime(*info.date_time)
    except ValueError:
        return None
    return (
        moment(when, zone) if when > datetime(1980, 1, 1) else None
    )  # its first moment stands for "unknown"
