"""Grading a class: ``FOLDER/<learner>/<notebook>.ipynb`` in, one row a learner and exercise out."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from coursekit.grading.course.gradebook import Gradebook, Row, writable
from coursekit.grading.exercise.key import Key, load_key
from coursekit.grading.exercise.notebook import exercise_of
from coursekit.grading.exercise.submission import find
from coursekit.grading.marking.grade import draw_seed, expected, mark_file
from coursekit.grading.marking.result import Result


class BadClass(ValueError):
    """The folder holds nothing that can be graded; the message says what was looked for."""


@dataclass(frozen=True)
class Class:
    """What stands in a folder: who has something to grade, by which keys, and what belongs to nobody."""

    learners: tuple[Path, ...]
    keys: tuple[Key, ...]
    strays: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.learners) * len(self.keys)


def read_class(folder: Path, solutions: Path, exercises: Iterable[str] = ()) -> Class:
    """Look a folder over. Without `exercises`, those that somebody handed in are graded for everybody.

    Raises :class:`BadClass` for a missing folder, one without learners, or an exercise without a key.
    """
    if not folder.is_dir():
        raise BadClass(f"{folder} is not a folder; wanted: FOLDER/<learner>/<notebook>.ipynb")
    entries = sorted(p for p in folder.iterdir() if p.name not in (".DS_Store", ".ipynb_checkpoints"))
    learners = tuple(p for p in entries if p.is_dir() and not p.is_symlink() and not p.name.startswith("."))
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
    return Class(learners, keys, tuple(p for p in entries if p not in learners))


def grade_class(
    group: Class, gradebook: Gradebook, seed: int | None = None, progress: Callable[[str], None] | None = None
) -> Iterator[tuple[str, Result]]:
    """Grade a class into a gradebook, a submission at a time, yielding each as it is written.

    A submission that breaks the grader itself becomes a row that says so; the run goes on.
    """
    seed = draw_seed() if seed is None else seed
    run = gradebook.start_run(seed)
    for key in group.keys:
        if progress:
            progress(f"{key.name}: running the key")
        wanted = expected(key, seed)
        for folder in group.learners:
            if progress:
                progress(f"{key.name}: {writable(folder.name)}")
            result = _grade_one(key, folder, wanted, seed)
            row = writable(Row(folder.name, result, key_digest=key.digest))
            gradebook.record(run, row)
            yield row.learner, row.result


def _grade_one(key: Key, folder: Path, wanted: dict, seed: int) -> Result:
    try:
        found = find(folder, key)
        if found.path is None:
            return Result(key.name, found.status, found.message, possible=key.points)
        result = mark_file(key, found.path, wanted, seed)
    except Exception as error:
        return Result(
            key.name, "failed", f"grading it failed: {error!r}; tell the maintainers", possible=key.points
        )
    return replace(result, notes=(found.message, *result.notes)) if found.message else result


def _handed_in(learners: Iterable[Path]) -> set[str]:
    names = set()
    for folder in learners:
        with contextlib.suppress(OSError):  # a folder that cannot be read gets its row when it is graded
            for path in folder.iterdir():
                if path.suffix.lower() == ".ipynb":
                    names |= {path.stem, exercise_of(path)}
    return names - {None}
