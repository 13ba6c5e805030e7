"""Names that learners chose, made fit for any disk, and what learning platforms call the files they hand out.

Moodle (``mod/assign/classes/downloader.php``) packs a submission as
``Full Name_1234567_assignsubmission_file/x.ipynb`` (with ``_`` before the slash in older versions), or where it
is told not to use folders as ``Full Name_1234567_assignsubmission_file_x.ipynb``. The name has no underscore; the
number is the learner's only within that one assignment. What was typed there comes as ``onlinetext``.

Canvas (``lib/content_zipper.rb``) writes ``lovelaceada_12345_678901_x.ipynb``: the sortable name without its blanks,
``LATE_`` where it came late, the user's number, the file's number. An anonymous one begins ``anon_k3x9z_678901_``.
A file handed in again is called ``x-1.ipynb``. What was typed there is ``lovelaceada_12345_text.html``.

Everything else is ``<learner>/x.ipynb`` or ``<learner>_x.ipynb``.
"""

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass

from coursekit.grading.course.gradebook import writable

LONGEST = 100
MOST_BYTES = 180  # of the 255 that disks allow, with room for the endings of copies and temporary files
RESERVED = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "HANDED_IN"}
RESERVED |= {f"{port}{n}" for port in ("COM", "LPT") for n in "0123456789¹²³"}

MOODLE = r"(?P<name>[^_]*)(?:_(?P<id>[0-9]+))?_assignsubmission_[a-z]+"
MOODLE_FOLDER = re.compile(rf"{MOODLE}_?", re.DOTALL)
MOODLE_FILE = re.compile(rf"{MOODLE}_(?P<file>.+)", re.DOTALL)
CANVAS_ANONYMOUS = re.compile(r"(?:LATE_)?(?P<name>anon_[A-Za-z0-9]+)_[1-9][0-9]{2,}_(?P<file>.+)", re.DOTALL)
CANVAS_FILE = re.compile(
    r"(?P<name>.*?)_(?P<late>LATE_)?(?P<id>[1-9][0-9]*)_[1-9][0-9]{2,}_(?P<file>.+)", re.DOTALL
)
CANVAS_TEXT = re.compile(
    r"(?P<name>.*?)_(?P<late>LATE_)?(?P<id>[1-9][0-9]*)_(?P<file>(?:text|link)\.html)", re.DOTALL
)


@dataclass(frozen=True)
class Person:
    """Who handed something in, as the download says: the platform ('moodle', 'canvas' or ''), its number, the name."""

    lms: str
    lms_id: str
    name: str


def person(lms: str, lms_id: str | None, name: str) -> Person:
    """A person, with the name as it can be written down and read again."""
    flat = "".join(" " if unicodedata.category(c) == "Cc" else c for c in writable(name))
    return Person(lms, lms_id or "", " ".join(unicodedata.normalize("NFC", flat).split()))


@dataclass(frozen=True)
class Origin:
    """What a path in a download says. Without a person it is ``<learner>_<file>``, still to be taken apart."""

    person: Person | None
    file: str
    is_late: bool = False


def recognise(parts: tuple[str, ...]) -> Origin:
    """Whose file it is, and what the learner called it, from the parts of its path.

    Only the part that the platform wrote is asked, the first: what follows it was chosen by the learner.
    """
    first, file = parts[0], parts[-1]
    if len(parts) > 1:
        found = MOODLE_FOLDER.fullmatch(first)
        return Origin(_found("moodle", found) if found else person("", "", first), file)
    if found := MOODLE_FILE.fullmatch(first):
        return Origin(_found("moodle", found), found["file"])
    if found := CANVAS_ANONYMOUS.fullmatch(first):
        return Origin(person("canvas", "", found["name"]), found["file"], first.startswith("LATE_"))
    if found := CANVAS_FILE.fullmatch(first) or CANVAS_TEXT.fullmatch(first):
        return Origin(_found("canvas", found), found["file"], bool(found["late"]))
    return Origin(None, file)


def is_platform(part: str) -> bool:
    """Whether a learning platform gave this name to a file or a folder at the top of a download."""
    return bool(MOODLE_FOLDER.fullmatch(part)) or recognise((part,)).person is not None


def split_flat(file: str, exercise: str | None, learners: Collection[str]) -> tuple[str, str] | None:
    """``<learner>_<file>`` taken apart; None where there is no underscore to do it at.

    A learner's name may have underscores too, so a known learner decides, else the exercise that the notebook says
    it is, else the first underscore.
    """
    known = [name for name in learners if file.casefold().startswith(f"{name.casefold()}_")]
    if known:
        at = len(max(known, key=len))
    elif exercise and f"_{exercise}" in file:
        at = file.rindex(f"_{exercise}")
    else:
        at = file.find("_")
    return (file[:at], file[at + 1 :]) if at > 0 and file[at + 1 :] else None


def is_named_like(file: str, exercises: Collection[str], learners: Collection[str]) -> bool:
    """Whether a flat file begins with an exercise's name, where a learner's should be."""
    name = file.casefold()
    if any(name.startswith(f"{learner.casefold()}_") for learner in learners):
        return False
    return any(exercise and name.startswith(exercise.casefold()) for exercise in exercises)


def without_attempt(file: str, exercise: str | None) -> str:
    """A Canvas file's own name: ``x-1.ipynb`` is the second attempt at ``x.ipynb``, unless the exercise is ``x-1``."""
    stem = file.rpartition(".")[0]
    return file if stem == exercise else re.sub(r"-[0-9]+(?=\.[^.]+$)", "", file)


def is_notebook(file: str) -> bool:
    return file.lower().endswith(".ipynb")


def safe_file(file: str) -> str:
    """A notebook's name, fit for any disk."""
    return safe_name(file[: -len(".ipynb")], "notebook", LONGEST - len(".ipynb")) + ".ipynb"


def safe_name(text: str, instead: str = "unnamed", longest: int = LONGEST) -> str:
    """A name fit for any disk and no other folder: its letters stay, whatever their script.

    Separators, control characters and leading dots go, as do names that Windows keeps for itself and first letters
    that a command or a spreadsheet would take for something else.
    """
    text = unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode("utf-8"))
    letters = "".join(_letter(c) for c in text)
    name = " ".join(letters.split()).lstrip(".").strip(" .")
    name = re.sub(r"^[-=+@~＝＋－＠]", "_", name)
    if name.partition(".")[0].rstrip().upper() in RESERVED:
        name = f"_{name}"
    return _cut(name, longest) or instead


def unique(name: str, taken: Collection[str], mark: str = "") -> str:
    """The name, or with `mark` or a number after it where it is taken; letters' cases do not tell names apart."""
    used = {known.casefold() for known in taken}
    endings = ([f" {mark}"] if mark else []) + [f"-{n}" for n in range(2, len(used) + 3)]
    stem, dot, suffix = name.rpartition(".") if is_notebook(name) else (name, "", "")
    for ending in ["", *endings]:
        tail = f"{ending}{dot}{suffix}"
        candidate = _cut(stem, LONGEST - len(tail)) + tail
        if candidate.casefold() not in used:
            return candidate
    raise AssertionError("there are more endings than names that are taken")


def compact(name: str) -> str:
    """A name as it is compared: letters and digits only, in one case."""
    return re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", name)).casefold()


def turned(name: str) -> set[str]:
    """The ways to begin a name at another of its words: Canvas puts the family name first."""
    words = [compact(word) for word in name.replace(",", " ").split()]
    return {"".join(words[i:] + words[:i]) for i in range(len(words))}


def _found(lms: str, found: re.Match) -> Person:
    return person(lms, found["id"], found["name"])


def _letter(c: str) -> str:
    category = unicodedata.category(c)
    if category in ("Cc", "Zl", "Zp"):
        return " "
    if category in ("Cf", "Cs", "Co", "Cn"):  # what cannot be seen, or is no letter
        return ""
    return "_" if c in '/\\:*?"<>|' else c


def _cut(name: str, longest: int) -> str:
    name = name[:longest]
    while len(name.encode("utf-8")) > MOST_BYTES:
        name = name[:-1]
    return name.rstrip(" .")
