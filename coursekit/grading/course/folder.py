"""What stands in a class's folder, ``FOLDER/<learner>/<notebook>.ipynb``, before anything is graded."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from coursekit.grading.course.records import RECORDS
from coursekit.grading.exercise.key import Key, load_key
from coursekit.grading.exercise.notebook import exercise_of

NOISE = (".DS_Store", ".ipynb_checkpoints", RECORDS, "course.toml")


class BadClass(ValueError):
    """The folder cannot be graded; the message says what was looked for."""


@dataclass(frozen=True)
class Class:
    """What stands in a folder: who has something to grade, by which keys, and what belongs to nobody."""

    folder: Path
    solutions: Path
    learners: tuple[Path, ...]
    keys: tuple[Key, ...]
    strays: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.learners) * len(self.keys)


def read_class(folder: Path, solutions: Path, exercises: Iterable[str] = ()) -> Class:
    """Look a folder over. Without `exercises`, those that somebody handed in are graded for everybody.

    Raises :class:`BadClass` for a missing folder, one without learners or of whole classes, or an exercise without a
    key.
    """
    if not folder.is_dir():
        raise BadClass(f"{folder} is not a folder; wanted: FOLDER/<learner>/<notebook>.ipynb")
    entries = sorted(p for p in folder.iterdir() if p.name not in NOISE)
    learners = tuple(p for p in entries if p.is_dir() and not p.is_symlink() and not p.name.startswith("."))
    _refuse_neighbours(folder, learners)
    if not learners:
        raise BadClass(f"{folder} holds no learner's folder; wanted: {folder}/<learner>/<notebook>.ipynb")
    known = {path.stem: path for path in sorted(solutions.glob("*.ipynb"))}
    names = list(exercises) or sorted(_handed_in(learners) & known.keys())
    unknown = [name for name in names if name not in known]
    if unknown:
        raise BadClass(
            f"there is no key for {', '.join(unknown)} in {solutions}; it has {', '.join(known) or 'none'}"
        )
    if not names:
        raise BadClass(f"nobody in {folder} handed in one of: {', '.join(known)}; name it with --exercise")
    keys = tuple(load_key(known[name]) for name in names)
    return Class(folder, solutions, learners, keys, tuple(p for p in entries if p not in learners))


def _refuse_neighbours(folder: Path, learners: tuple[Path, ...]) -> None:
    """Refuse a folder that is one too low, a single learner's, or one too high, of whole classes."""
    collected = [place for place in learners if (place / RECORDS).is_file() and not _notebooks(place)]
    if collected:
        raise BadClass(f"{folder} holds what coursekit collect made, one folder lower; name {_or(collected)}")
    if any(map(_notebooks, learners)):
        return
    own, above = _notebooks(folder), folder.resolve().parent
    if own:
        raise BadClass(
            f"{folder} holds {own[0].name} and no folder with a notebook, so it seems to be one learner's; "
            f"wanted: the folder of the class, such as {above}"
        )
    classes = [place for place in learners if any(map(_notebooks, _folders(place)))]
    if classes:
        raise BadClass(
            f"{folder} holds no learner's notebook, and {classes[0].name} in it does, one folder lower; wanted: "
            f"FOLDER/<learner>/<notebook>.ipynb, so name {_or(classes)}"
        )


def _or(places: list[Path]) -> str:
    return " or ".join(map(str, places[:3]))


def _folders(place: Path) -> list[Path]:
    return [path for path in _entries(place) if path.is_dir() and not path.is_symlink()]


def _notebooks(place: Path) -> list[Path]:
    return [path for path in _entries(place) if path.suffix.lower() == ".ipynb" and path.is_file()]


def _entries(place: Path) -> list[Path]:
    """What stands in a folder; nothing where it cannot be read, which gets its row when it is graded."""
    try:
        return sorted(path for path in place.iterdir() if not path.name.startswith("."))
    except OSError:
        return []


def _handed_in(learners: Iterable[Path]) -> set[str]:
    paths = [path for folder in learners for path in _notebooks(folder)]
    return {path.stem for path in paths} | {name for path in paths if (name := exercise_of(path))}
