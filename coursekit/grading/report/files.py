"""The files of a report: what a learner's page is called, and the list by which old pages are found again."""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from coursekit.grading.course.sheets import BadSheet, read_sheet, sheet
from coursekit.storage import write_atomically

LIST = "pages.csv"
COLUMNS = ("learner", "id", "file")
GENERATOR = '<meta name="generator" content="coursekit report">'  # templates/base.html has it near its top
LONGEST = 40  # letters of a name that go into its file's
SHORT, LONG = 12, 64  # hexadecimal digits of the name's digest
PAGE = re.compile(r"[a-z0-9-]{1,40}-(?:[0-9a-f]{12}|[0-9a-f]{64})\.html")


class BadReports(ValueError):
    """The folder cannot take the pages; the message says what to name in its place."""


def page_name(learner: str, digits: int = SHORT) -> str:
    """A file name for whatever a learner's folder is called: its plain letters, and a digest of the whole.

    So it leads nowhere, is no name that Windows keeps for itself, and is another one where the file system does not
    tell a from A.
    """
    plain = unicodedata.normalize("NFKD", learner).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain)[:LONGEST].strip("-") or "learner"
    digest = hashlib.sha256(learner.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{slug}-{digest[:digits]}.html"


def page_names(learners: Iterable[str]) -> dict[str, str]:
    """A file name for each learner. Names made to share a short digest get the long one."""
    names = {learner: page_name(learner) for learner in learners}
    counts = Counter(names.values())
    return {a: name if counts[name] == 1 else page_name(a, LONG) for a, name in names.items()}


def old_pages(folder: Path) -> list[Path]:
    """The learners' pages that the folder's list names and that are this tool's.

    Raises :class:`BadReports` where there is a ``pages.csv`` that is no such list.
    """
    path = folder / LIST
    if not path.exists() and not path.is_symlink():
        return []
    if path.is_symlink() or not path.is_file():
        raise BadReports(f"{path} is not a plain file; wanted: the list that coursekit report writes")
    try:
        names = sorted({line["file"] for _, line in read_sheet(path, COLUMNS)})
    except BadSheet as error:
        raise BadReports(
            f"{error}. coursekit report keeps the list of its pages there; name another folder with --out"
        ) from None
    return [folder / name for name in names if PAGE.fullmatch(name) and _is_ours(folder / name)]


def keep_list(folder: Path, pages: Mapping[str, str], ids: Mapping[str, str]) -> None:
    """Write the list of pages by learner, and delete those that the list before it had and this one has not."""
    for path in old_pages(folder):
        if path.name not in pages.values():
            path.unlink()
    lines = [[learner, ids.get(learner, ""), page] for learner, page in pages.items()]
    write_atomically(folder / LIST, sheet([COLUMNS, *lines]).encode("utf-8", "backslashreplace"))


def _is_ours(path: Path) -> bool:
    """Whether it is a page that this tool wrote, and no link to another file."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return GENERATOR.encode() in file.read(1000)
